"""AWS::ApiGatewayV2: HTTP APIs with their routes, integrations and authorizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates

if TYPE_CHECKING:
    from cdk_rehearsal.rehearsal import Rehearsal


@creates("AWS::ApiGatewayV2::Api")
def create_api(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Create an HTTP API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-api.html
    """
    properties.only("ProtocolType", "HTTP")
    properties.ignore("DisableExecuteApiEndpoint", "IpAddressType", "Tags")
    api = rehearsal.client("apigatewayv2").create_api(
        ProtocolType="HTTP",
        **properties.pick("Name", "Description", "CorsConfiguration"),
    )
    resource.physical_id = api["ApiId"]
    resource.attributes = {"ApiId": api["ApiId"], "ApiEndpoint": api["ApiEndpoint"]}


@creates("AWS::ApiGatewayV2::Stage")
def create_stage(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Create a stage of an API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-stage.html
    """
    properties.ignore("AccessLogSettings", "DeploymentId", "RouteSettings", "Tags")
    _create(
        rehearsal,
        resource,
        "create_stage",
        "StageName",
        ApiId=properties.require("ApiId"),
        **properties.pick(
            "StageName", "AutoDeploy", "DefaultRouteSettings", "Description", "StageVariables"
        ),
    )


@creates("AWS::ApiGatewayV2::Integration")
def create_integration(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Create an integration of an API with a function.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-integration.html
    """
    properties.only("IntegrationType", "AWS_PROXY")
    _create(
        rehearsal,
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
def create_route(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Create a route of an API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-route.html
    """
    _create(
        rehearsal,
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
def create_authorizer(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Create an authorizer of an API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-authorizer.html
    """
    properties.only("AuthorizerType", "JWT")
    _create(
        rehearsal,
        resource,
        "create_authorizer",
        "AuthorizerId",
        ApiId=properties.require("ApiId"),
        AuthorizerType="JWT",
        **properties.pick("IdentitySource", "JwtConfiguration", "Name"),
    )


def _create(
    rehearsal: Rehearsal, resource: Resource, operation: str, identifier: str, **parameters: Any
) -> None:
    answer = getattr(rehearsal.client("apigatewayv2"), operation)(**parameters)
    resource.physical_id = answer[identifier]
    resource.attributes = {identifier: answer[identifier]}
