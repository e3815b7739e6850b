"""AWS::ApiGatewayV2: HTTP APIs with their routes, integrations and authorizers."""

from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.log_groups import AccessLog, log_group_of


@creates("AWS::ApiGatewayV2::Api")
def create_api(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an HTTP API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-api.html
    """
    properties.only("ProtocolType", "HTTP")
    properties.ignore("DisableExecuteApiEndpoint", "IpAddressType", "Tags")
    api = deployment.client("apigatewayv2").create_api(
        ProtocolType="HTTP",
        **properties.pick("Name", "Description", "CorsConfiguration"),
    )
    resource.physical_id = api["ApiId"]
    resource.attributes = {"ApiId": api["ApiId"], "ApiEndpoint": api["ApiEndpoint"]}


@creates("AWS::ApiGatewayV2::Stage")
def create_stage(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a stage of an API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-stage.html
    """
    properties.ignore("DeploymentId", "Tags")
    access_log = properties.section("AccessLogSettings")
    api_id = properties.require("ApiId")
    _check_routes(deployment, api_id, properties)
    if access_log.values:
        deployment.log_groups.accesses[api_id] = AccessLog(
            log_group_of(access_log.require("DestinationArn")),
            access_log.take("Format", ""),
            api_id,
            properties.require("StageName"),
        )
    _create(
        deployment,
        resource,
        "create_stage",
        "StageName",
        ApiId=api_id,
        **properties.pick(
            "StageName", "AutoDeploy", "DefaultRouteSettings", "Description", "StageVariables"
        ),
    )


def _check_routes(deployment: Deployment, api_id: str, properties: Properties) -> None:
    """Raises UnsupportedTemplateError if a stage has settings for a route that does not exist yet.

    API Gateway refuses such a stage: https://github.com/aws/serverless-application-model/issues/2479
    """
    routes = deployment.client("apigatewayv2").get_routes(ApiId=api_id)["Items"]
    settings = properties.take("RouteSettings", {})
    if missing := sorted(settings.keys() - {route["RouteKey"] for route in routes}):
        raise properties.error(
            f"RouteSettings name {', '.join(missing)}, which is not there when the stage is "
            "created: let the stage depend on these routes"
        )


@creates("AWS::ApiGatewayV2::Integration")
def create_integration(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an integration of an API with a function.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-integration.html
    """
    properties.only("IntegrationType", "AWS_PROXY")
    _create(
        deployment,
        resource,
        "create_integration",
        "IntegrationId",
        ApiId=properties.require("ApiId"),
        IntegrationType="AWS_PROXY",
        **properties.pick(
            "Description",
            "IntegrationMethod",
            "IntegrationUri",
            "PayloadFormatVersion",
            "TimeoutInMillis",
        ),
    )


@creates("AWS::ApiGatewayV2::Route")
def create_route(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a route of an API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-route.html
    """
    _create(
        deployment,
        resource,
        "create_route",
        "RouteId",
        ApiId=properties.require("ApiId"),
        **properties.pick(
            "AuthorizationScopes",
            "AuthorizationType",
            "AuthorizerId",
            "OperationName",
            "RouteKey",
            "Target",
        ),
    )


@creates("AWS::ApiGatewayV2::Authorizer")
def create_authorizer(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an authorizer of an API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-authorizer.html
    """
    properties.only("AuthorizerType", "JWT")
    _create(
        deployment,
        resource,
        "create_authorizer",
        "AuthorizerId",
        ApiId=properties.require("ApiId"),
        AuthorizerType="JWT",
        **properties.pick("IdentitySource", "JwtConfiguration", "Name"),
    )


def _create(
    deployment: Deployment, resource: Resource, operation: str, identifier: str, **parameters: Any
) -> None:
    answer = getattr(deployment.client("apigatewayv2"), operation)(**parameters)
    resource.physical_id = answer[identifier]
    resource.attributes = {identifier: answer[identifier]}
