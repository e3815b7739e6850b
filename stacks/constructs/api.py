"""The HTTP API: each route requires a token or a signature."""

import json
from math import ceil
from typing import Any, cast

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.eventing.callback import Callback
from lambdas.eventing.http import SYNTHETIC, Audience, Endpoint
from lambdas.shared.staff import CUSTOMER_CLAIM
from stacks.constructs.acknowledge import SOLUTIONS, acknowledge
from stacks.constructs.alarm import Alarm
from stacks.constructs.metric import share
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction

_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "route": "$context.routeKey",
    "subject": "$context.authorizer.claims.sub",
    "sourceIp": "$context.identity.sourceIp",
    "status": "$context.status",
    "latencyMs": "$context.responseLatency",
    "integrationError": "$context.integrationErrorMessage",
    "authorizerError": "$context.authorizer.error",
}


TOKEN_VALIDITY = Duration.hours(1)
"""How long a token is valid, also after the account is deleted."""

_REQUESTS_PER_ORDER = 2.0
"""The requests for each order that a route of customers or staff admits: no route gets as many."""

_LEAST_PER_SECOND = 10
"""The lowest limit of a route, for stages with few orders."""

_CUSTOMER_ATTRIBUTE = CUSTOMER_CLAIM.removeprefix("custom:")
_STAGE = "$default"


class Api(Construct):
    """One API for all contexts. Each context adds its routes in its own stack.

    Customers and staff authenticate with a token, each audience with one of its own user pool. A
    route accepts tokens of the audience that its handler declares, and no others.
    """

    def __init__(self, scope: Construct, id_: str, *, platform: Platform) -> None:
        super().__init__(scope, id_)
        self._platform = platform
        self.customers, staff = self._customers(), self._staff()
        cognito.UserPoolGroup(
            self,
            "Testers",
            user_pool=self.customers,
            group_name=SYNTHETIC,
            description="Users of tests of the deployed system: their orders are synthetic",
        )
        shop = self._client(self.customers, "Shop")
        back_office = self._staff_client(staff)
        self._authorizers = {
            Audience.CUSTOMER: _authorizer(Audience.CUSTOMER, self.customers, shop),
            Audience.STAFF: _authorizer(Audience.STAFF, staff, back_office),
        }
        self._api = apigateway.HttpApi(
            self,
            "Http",
            description="What customers, staff and the shop's partners call",
            create_default_stage=False,
            default_authorizer=self._authorizers[Audience.STAFF],
        )
        self._limits: dict[apigateway.HttpRoute, int] = {}
        self._access_log = logs.LogGroup(
            self,
            "AccessLog",
            retention=platform.environment.log_retention,
            removal_policy=platform.environment.removal_policy,
        )
        self._alarms()
        CfnOutput(self, "Url", value=self._api.api_endpoint, description="Where the API answers")
        CfnOutput(self, "UserPoolId", value=self.customers.user_pool_id)
        CfnOutput(self, "UserPoolClientId", value=shop.user_pool_client_id)
        CfnOutput(self, "StaffPoolId", value=staff.user_pool_id)
        CfnOutput(self, "StaffPoolClientId", value=back_office.user_pool_client_id)

    def route(self, method: HttpMethod, path: str, function: PythonFunction) -> None:
        """Routes `method` on `path` to `function`. Requests need a token of its audience."""
        if type(function.entry) is not Endpoint:
            raise TypeError(
                f"route {path}: its handler must be an @endpoint, not {function.entry!r}"
            )
        authorizer = self._authorizers[function.entry.contract.audience]
        self._add(method, path, function, authorizer, per_order=_REQUESTS_PER_ORDER)

    def callback(self, path: str, function: PythonFunction, *, per_order: float) -> None:
        """Routes a partner's signed POST requests on `path` to `function`.

        The gateway cannot check a signature of the body, so a `Callback` does it first. Anybody can
        call the route: it admits `per_order` requests for each order of the stage's rate.
        """
        if not isinstance(function.entry, Callback):
            raise TypeError(
                f"route {path}: its handler must be a @callback, not {function.entry!r}"
            )
        anybody = apigateway.HttpNoneAuthorizer()
        self._add(HttpMethod.POST, path, function, anybody, per_order=per_order)
        acknowledge(
            function,
            {f"{SOLUTIONS}APIG4": "The handler checks the partner's signature before all else."},
        )

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Returns a metric of all routes together, over five minutes.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
        """
        return cloudwatch.Metric(
            namespace="AWS/ApiGateway",
            metric_name=name,
            dimensions_map={"ApiId": self._api.api_id, "Stage": _STAGE},
            statistic=statistic,
            period=Duration.minutes(5),
        )

    def deploy(self, scope: Construct) -> None:
        """Adds the stage, with the limits of all routes, to a stack that is deployed last.

        Each route has its own limits, so that requests on one cannot use up those of another. API
        Gateway refuses a stage with limits for routes that do not exist yet, so the stage depends
        on the routes of all contexts.
        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
        """
        lowest = _throttling(min(self._limits.values()))
        stage = apigateway.CfnStage(
            scope,
            "ApiStage",
            api_id=self._api.api_id,
            stage_name=_STAGE,
            auto_deploy=True,
            # For a route between its own deployment and that of the stage.
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=lowest["ThrottlingRateLimit"],
                throttling_burst_limit=lowest["ThrottlingBurstLimit"],
            ),
            route_settings={
                _key(route): _throttling(limit) for route, limit in self._limits.items()
            },
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=self._access_log.log_group_arn, format=json.dumps(_ACCESS_LOG)
            ),
        )
        stage.node.add_dependency(*self._limits)

    def _add(
        self,
        method: HttpMethod,
        path: str,
        function: PythonFunction,
        authorizer: apigateway.IHttpRouteAuthorizer,
        *,
        per_order: float,
    ) -> None:
        route = apigateway.HttpRoute(
            # In the function's stack, so that a new route does not change the API's stack.
            function,
            "Route",
            http_api=self._api,
            route_key=apigateway.HttpRouteKey.with_(path, method),
            integration=integrations.HttpLambdaIntegration("Integration", function.live),
            authorizer=authorizer,
        )
        needed = ceil(self._platform.environment.orders_per_second * per_order)
        self._limits[route] = max(_LEAST_PER_SECOND, needed)

    def _customers(self) -> cognito.UserPool:
        pool = self._user_pool("Customers", self_sign_up_enabled=True, mfa=cognito.Mfa.OPTIONAL)
        acknowledge(
            pool,
            {
                f"{SOLUTIONS}COG2": "Customers choose: a second factor is offered, and requiring "
                "it would turn buyers away.",
            },
        )
        return pool

    def _staff(self) -> cognito.UserPool:
        return self._user_pool(
            "Staff",
            self_sign_up_enabled=False,
            mfa=cognito.Mfa.REQUIRED,
            custom_attributes={
                _CUSTOMER_ATTRIBUTE: cognito.StringAttribute(mutable=True, max_len=128)
            },
        )

    def _user_pool(self, id_: str, **options: Any) -> cognito.UserPool:
        environment = self._platform.environment
        pool = cognito.UserPool(
            self,
            id_,
            # The shop uses no feature of the dearer plans, and AWS's default is not this one.
            # https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-sign-in-feature-plans.html
            feature_plan=cognito.FeaturePlan.LITE,
            sign_in_aliases=cognito.SignInAliases(email=True),
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            password_policy=cognito.PasswordPolicy(
                min_length=12,
                require_digits=True,
                require_lowercase=True,
                require_symbols=True,
                require_uppercase=True,
            ),
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            deletion_protection=environment.keeps_data,
            removal_policy=environment.removal_policy,
            **options,
        )
        acknowledge(
            pool,
            {
                f"{SOLUTIONS}COG8": "Threat protection is billed per active user; a shop decides "
                "by its own risk. Passwords, tokens and sign-up are safe without it.",
            },
        )
        return pool

    def _staff_client(self, pool: cognito.UserPool) -> cognito.UserPoolClient:
        """Returns the client of staff.

        They may change only their name: an administrator sets the attribute that names their
        customer account. By default, a client may write all standard attributes:
        https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateUserPoolClient.html
        """
        name = cognito.ClientAttributes().with_standard_attributes(fullname=True)
        return self._client(
            pool,
            "BackOffice",
            read_attributes=name.with_standard_attributes(email=True).with_custom_attributes(
                _CUSTOMER_ATTRIBUTE
            ),
            write_attributes=name,
            id_token_validity=TOKEN_VALIDITY,
            refresh_token_validity=Duration.hours(12),
        )

    def _client(self, pool: cognito.UserPool, id_: str, **options: Any) -> cognito.UserPoolClient:
        return pool.add_client(
            id_,
            auth_flows=cognito.AuthFlow(
                user_srp=True,
                # For `make smoke`, and a first try of a stage. Only a caller with AWS credentials
                # can use it: docs/decisions/0080-a-stage-is-tested-by-synthetic-orders.md.
                admin_user_password=True,
            ),
            disable_o_auth=True,
            prevent_user_existence_errors=True,
            access_token_validity=TOKEN_VALIDITY,
            **options,
        )

    def _alarms(self) -> None:
        Alarm(
            self,
            "ServerErrors",
            platform=self._platform,
            metric=self.metric("5xx", "Sum"),
            threshold=5,
            meaning="Customers get errors of the 500 kind.",
            page="the-api-answers-with-5xx",
        )
        Alarm(
            self,
            "Slow",
            platform=self._platform,
            metric=self.metric("Latency", "p99"),
            threshold=3_000,
            periods=3,
            meaning="One request in a hundred takes longer than three seconds.",
            page="the-api-is-slow",
        )
        # One faulty client is no reason for an alarm; an API that rejects most requests is.
        Alarm(
            self,
            "Refused",
            platform=self._platform,
            metric=share(
                self.metric("4xx", "Sum"),
                self.metric("Count", "Sum"),
                label="Requests refused (%)",
            ),
            threshold=50,
            periods=3,
            meaning="More than half of the requests are refused with a 4xx.",
            page="the-api-refuses-most-requests",
        )


def _authorizer(
    audience: Audience, pool: cognito.UserPool, client: cognito.UserPoolClient
) -> authorizers.HttpUserPoolAuthorizer:
    return authorizers.HttpUserPoolAuthorizer(
        audience.capitalize(), pool, user_pool_clients=[client]
    )


def _throttling(requests_per_second: int) -> dict[str, int]:
    """Returns the limits of one route; bursts may be twice as large."""
    return {
        "ThrottlingRateLimit": requests_per_second,
        "ThrottlingBurstLimit": 2 * requests_per_second,
    }


def _key(route: apigateway.HttpRoute) -> str:
    resource = cast(apigateway.CfnRoute, route.node.default_child)
    return resource.route_key
