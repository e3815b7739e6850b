"""The API: protected by default, throttled, and logged without personal data."""

import json

from cdk_rehearsal import Assembly, Resource, texts
from lambdas.eventing.callback import Callback
from lambdas.eventing.http import SYNTHETIC, Audience, Endpoint
from lambdas.shared.staff import CUSTOMER_CLAIM
from stacks.environment import environment_named
from tests.support.handlers import handler_of


def function_of(shop: Assembly, route: Resource) -> Resource:
    """The function of a route."""
    _, (_, target) = route.properties["Target"]["Fn::Join"]
    integration = shop.referred(route.stack, target)
    return shop.referred(integration.stack, integration.properties["IntegrationUri"])


def test_every_route_checks_a_token_or_a_signature(
    shop: Assembly,
) -> None:
    for route in shop.of_type("AWS::ApiGatewayV2::Route"):
        if isinstance(handler_of(function_of(shop, route)), Callback):
            assert route.properties["AuthorizationType"] == "NONE", route
            continue
        assert route.properties["AuthorizationType"] == "JWT", route
        authorizer = shop.referred(route.stack, route.properties["AuthorizerId"])
        assert authorizer.properties["AuthorizerType"] == "JWT"


def test_each_context_that_takes_callbacks_has_an_alarm_for_forged_ones(shop: Assembly) -> None:
    takers = {
        function.properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for route in shop.of_type("AWS::ApiGatewayV2::Route")
        if isinstance(handler_of(function := function_of(shop, route)), Callback)
    }
    watched = [
        dimension["Value"]
        for alarm in shop.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == "ForgedCallbacks"
        for dimension in alarm.properties["Dimensions"]
    ]
    assert takers
    assert sorted(watched) == sorted(takers)


def test_these_are_all_routes(shop: Assembly) -> None:
    routes = {
        route.properties["RouteKey"]: function_of(shop, route).properties["Handler"]
        for route in shop.of_type("AWS::ApiGatewayV2::Route")
    }
    assert routes == {
        "DELETE /orders/{order_id}": "lambdas.orders.cancel_order.handler",
        "GET /customers/{customer_id}/erasure": "lambdas.privacy.get_customer_erasure.handler",
        "GET /erasure": "lambdas.privacy.get_erasure.handler",
        "GET /orders": "lambdas.orders.list_orders.handler",
        "GET /orders/{order_id}": "lambdas.orders.get_order.handler",
        "GET /preferences": "lambdas.notifications.get_preferences.handler",
        "GET /prices": "lambdas.inventory.get_price.handler",
        "GET /prices/proposals": "lambdas.inventory.list_proposals.handler",
        "POST /prices/decision": "lambdas.inventory.decide_price.handler",
        "PUT /items/supplier": "lambdas.inventory.assign_item.handler",
        "PUT /prices": "lambdas.inventory.set_prices.handler",
        "GET /returns": "lambdas.returns.list_returns.handler",
        "GET /sales": "lambdas.analytics.get_sales.handler",
        "POST /activity": "lambdas.analytics.record_activity.handler",
        "POST /carrier/events": "lambdas.shipping.take_carrier_event.handler",
        "POST /customers/{customer_id}/erasure": (
            "lambdas.privacy.request_customer_erasure.handler"
        ),
        "POST /erasure": "lambdas.privacy.request_erasure.handler",
        "POST /orders": "lambdas.orders.place_order.handler",
        "POST /orders/{order_id}/returns": "lambdas.returns.request_return.handler",
        "POST /payments/events": "lambdas.payments.take_provider_event.handler",
        "POST /returns/{order_id}/decision": "lambdas.returns.decide_return.handler",
        "POST /returns/{order_id}/review": "lambdas.returns.review_return.handler",
        "PUT /preferences": "lambdas.notifications.set_preferences.handler",
    }
    assert len(routes) == len(shop.of_type("AWS::ApiGatewayV2::Route"))


def pool_of(shop: Assembly, audience: Audience) -> Resource:
    """The user pool whose tokens the authorizer of an audience accepts."""
    (authorizer,) = [
        found
        for found in shop.of_type("AWS::ApiGatewayV2::Authorizer")
        if found.properties["Name"] == audience.capitalize()
    ]
    issuer = authorizer.properties["JwtConfiguration"]["Issuer"]["Fn::Join"][1][-1]
    return shop.referred(authorizer.stack, issuer)


def test_a_route_accepts_tokens_of_the_audience_that_its_handler_declares(shop: Assembly) -> None:
    audiences = set()
    for route in shop.of_type("AWS::ApiGatewayV2::Route"):
        entry = handler_of(function_of(shop, route))
        if isinstance(entry, Endpoint) and not isinstance(entry, Callback):
            authorizer = shop.referred(route.stack, route.properties["AuthorizerId"])
            assert authorizer.properties["Name"] == entry.contract.audience.capitalize(), route
            audiences.add(entry.contract.audience)
    assert audiences == set(Audience)


def test_each_audience_has_its_own_user_pool_and_client(shop: Assembly) -> None:
    pools = [pool_of(shop, audience) for audience in Audience]
    assert {pool.type for pool in pools} == {"AWS::Cognito::UserPool"}
    assert len({pool.path for pool in pools}) == len(shop.of_type("AWS::Cognito::UserPool")) == 2
    for authorizer in shop.of_type("AWS::ApiGatewayV2::Authorizer"):
        token = authorizer.properties["JwtConfiguration"]
        (audience,) = token["Audience"]
        client = shop.referred(authorizer.stack, audience)
        assert client.type == "AWS::Cognito::UserPoolClient"
        pool = shop.referred(authorizer.stack, token["Issuer"]["Fn::Join"][1][-1])
        assert shop.referred(client.stack, client.properties["UserPoolId"]) == pool
        assert authorizer.properties["IdentitySource"] == ["$request.header.Authorization"]


def test_the_user_pools_follow_the_security_best_practices(shop: Assembly) -> None:
    """https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-security-best-practices.html."""
    for pool in shop.of_type("AWS::Cognito::UserPool"):
        assert pool.properties["UserPoolTier"] == "LITE"
        password = dict(pool.properties["Policies"]["PasswordPolicy"])
        assert password.pop("MinimumLength") >= 12
        assert password == {
            f"Require{what}": True for what in ("Lowercase", "Numbers", "Symbols", "Uppercase")
        }
        assert pool.properties["MfaConfiguration"] in {"OPTIONAL", "ON"}
        assert pool.properties["EnabledMfas"] == ["SOFTWARE_TOKEN_MFA"]
        assert pool.properties["UsernameAttributes"] == ["email"]
        assert pool.properties["AutoVerifiedAttributes"] == ["email"]
        (recovery,) = pool.properties["AccountRecoverySetting"]["RecoveryMechanisms"]
        assert recovery["Name"] == "verified_email"


def test_staff_cannot_sign_up_and_need_a_second_factor(shop: Assembly) -> None:
    staff = pool_of(shop, Audience.STAFF).properties
    assert staff["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert staff["MfaConfiguration"] == "ON"
    customers = pool_of(shop, Audience.CUSTOMER).properties
    assert customers["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is False


def test_staff_cannot_change_which_customer_account_is_theirs(shop: Assembly) -> None:
    pool = pool_of(shop, Audience.STAFF)
    attribute = CUSTOMER_CLAIM.removeprefix("custom:")
    assert [each["Name"] for each in pool.properties["Schema"]] == [attribute]
    (client,) = [
        found
        for found in shop.of_type("AWS::Cognito::UserPoolClient")
        if shop.referred(found.stack, found.properties["UserPoolId"]) == pool
    ]
    assert client.properties["WriteAttributes"] == ["name"]
    assert CUSTOMER_CLAIM in client.properties["ReadAttributes"]


def test_a_client_sends_no_password_and_cannot_probe_for_accounts(
    shop: Assembly, stage: str
) -> None:
    """Except with AWS credentials: for a first try of a stage, and for its smoke test."""
    for client in shop.of_type("AWS::Cognito::UserPoolClient"):
        properties = client.properties
        assert set(properties["ExplicitAuthFlows"]) == {
            "ALLOW_USER_SRP_AUTH",
            "ALLOW_REFRESH_TOKEN_AUTH",
            "ALLOW_ADMIN_USER_PASSWORD_AUTH",
        }
        assert properties["PreventUserExistenceErrors"] == "ENABLED"
        assert properties["TokenValidityUnits"]["AccessToken"] == "minutes"
        assert properties["AccessTokenValidity"] <= 60


def test_staff_sign_in_again_every_day(shop: Assembly) -> None:
    for client in shop.of_type("AWS::Cognito::UserPoolClient"):
        if client.path.startswith("Backbone/Api/Staff/"):
            properties = client.properties
            assert set(properties["TokenValidityUnits"].values()) == {"minutes"}
            assert properties["IdTokenValidity"] <= 60
            assert properties["RefreshTokenValidity"] <= 24 * 60


def test_routes_are_deployed_automatically(shop: Assembly) -> None:
    for stage in shop.of_type("AWS::ApiGatewayV2::Stage"):
        assert stage.properties["AutoDeploy"] is True, stage


def stage_of(shop: Assembly) -> Resource:
    """The stage of the API."""
    (stage,) = shop.of_type("AWS::ApiGatewayV2::Stage")
    return stage


def test_each_route_is_throttled_on_its_own_by_the_rate_of_orders(
    shop: Assembly, stage: str
) -> None:
    rate = environment_named(stage).orders_per_second
    limits = stage_of(shop).properties["RouteSettings"]
    routes = shop.of_type("AWS::ApiGatewayV2::Route")
    assert limits.keys() == {route.properties["RouteKey"] for route in routes}
    callbacks = {"POST /carrier/events": 6 * rate, "POST /payments/events": rate / 2}
    for route in routes:
        key = route.properties["RouteKey"]
        signed = isinstance(handler_of(function_of(shop, route)), Callback)
        assert signed == (key in callbacks)
        limit = callbacks.get(key, 2 * rate)
        assert limits[key] == {"ThrottlingRateLimit": limit, "ThrottlingBurstLimit": 2 * limit}


def test_a_flood_of_callbacks_leaves_most_of_the_accounts_requests_to_customers(
    shop: Assembly,
) -> None:
    """It has 10,000 a second, and 5,000 at once: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html."""
    limits = [
        limit
        for key, limit in stage_of(shop).properties["RouteSettings"].items()
        if key in {"POST /carrier/events", "POST /payments/events"}
    ]
    assert len(limits) == 2
    assert sum(limit["ThrottlingRateLimit"] for limit in limits) <= 10_000 / 5
    assert sum(limit["ThrottlingBurstLimit"] for limit in limits) < 5_000


def test_a_route_without_limits_of_its_own_has_the_lowest(shop: Assembly) -> None:
    properties = stage_of(shop).properties
    lowest = min(properties["RouteSettings"].values(), key=lambda limit: tuple(limit.values()))
    assert properties["DefaultRouteSettings"] == lowest


def test_each_request_is_logged_with_its_subject_and_address_and_nothing_else_personal(
    shop: Assembly,
) -> None:
    log = stage_of(shop).properties["AccessLogSettings"]
    assert shop.referred("Operations", log["DestinationArn"]).type == "AWS::Logs::LogGroup"
    assert json.loads(log["Format"]) == {
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


def test_requests_reach_functions_in_the_format_that_handlers_read(shop: Assembly) -> None:
    for integration in shop.of_type("AWS::ApiGatewayV2::Integration"):
        assert integration.properties["PayloadFormatVersion"] == "2.0", integration
        assert integration.properties["IntegrationType"] == "AWS_PROXY", integration


def test_the_api_may_invoke_the_function_of_each_route_for_this_route(shop: Assembly) -> None:
    """Without the permission, the route always responds with 500."""
    admitted = {
        (
            shop.referred(permission.stack, permission.properties["FunctionName"]).path,
            texts(permission.properties["SourceArn"]).rpartition("/*/*")[2],
        )
        for permission in shop.of_type("AWS::Lambda::Permission")
    }
    for route in shop.of_type("AWS::ApiGatewayV2::Route"):
        _, path = route.properties["RouteKey"].split()
        assert (function_of(shop, route).path, path) in admitted, route


def test_the_group_that_marks_orders_as_synthetic_is_in_the_pool_of_customers(
    shop: Assembly,
) -> None:
    [group] = shop.of_type("AWS::Cognito::UserPoolGroup")
    clients = shop.of_type("AWS::Cognito::UserPoolClient")
    [customers] = [each for each in clients if each.path.endswith("/Shop")]
    assert group.properties["GroupName"] == SYNTHETIC
    assert group.properties["UserPoolId"] == customers.properties["UserPoolId"]
