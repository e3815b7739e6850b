"""AWS::ApiGatewayV2: HTTP and WebSocket APIs with their routes, integrations and authorizers."""

import re
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.properties import Properties, is_unresolved
from cdk_rehearsal.resources import openapi
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.http_api import function_of
from cdk_rehearsal.services.http_integrations import SUBTYPES, problems
from cdk_rehearsal.services.http_mappings import problem_of, problems_of_changes
from cdk_rehearsal.services.log_groups import AccessLog, log_group_of
from cdk_rehearsal.services.request_authorizer import function_of as authorizer_function
from cdk_rehearsal.services.service_calls import service_of
from cdk_rehearsal.services.velocity import Velocity
from cdk_rehearsal.services.websocket_api import SELECTION, mock_status

_SOCKET_SOURCE = r"(route\.request\.(header|querystring)|stageVariables|context)\.[\w.-]+"


@creates("AWS::ApiGatewayV2::Api")
def create_api(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a WebSocket API, or an HTTP API, with the routes of its OpenAPI document if any.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-api.html
    """
    properties.only("ProtocolType", "HTTP", "WEBSOCKET")
    properties.ignore("DisableExecuteApiEndpoint", "DisableSchemaValidation", "FailOnWarnings")
    properties.ignore("IpAddressType", "Tags")
    properties.only("BasePath", "ignore")
    # The API reads it.
    expression = properties.take("RouteSelectionExpression")
    sockets = properties.take("ProtocolType") == "WEBSOCKET"
    stated = (properties.take("Body"), properties.section("BodyS3Location"))
    document = openapi.document_of(deployment, properties, *stated) or {}
    try:
        if cors := openapi.cors_of(document):
            resource.properties.setdefault("CorsConfiguration", cors)
    except openapi.NotKnown as error:
        raise properties.error(str(error)) from None
    if sockets and not SELECTION.fullmatch(str(expression)):
        raise properties.error(
            f"the rehearsal does not know RouteSelectionExpression = {expression!r}: use one such "
            "as $request.body.action"
        )
    api = deployment.client("apigatewayv2").create_api(
        ProtocolType="WEBSOCKET" if sockets else "HTTP",
        **({"RouteSelectionExpression": expression} if sockets else {}),
        **{
            "Name": document.get("info", {}).get("title", resource.logical_id),
            **properties.pick("Name", "Description", "CorsConfiguration"),
        },
    )
    identifier = resource.physical_id = api["ApiId"]
    scheme = "wss" if sockets else "https"
    resource.attributes = {
        "ApiId": identifier,
        "ApiEndpoint": f"{scheme}://{api['ApiEndpoint'].partition('://')[2]}",
    }
    openapi.create(
        *(deployment, resource, properties),
        lambda: openapi.http_resources(document),
        owner="ApiId",
    )


def _has_sockets(deployment: Deployment, properties: Properties) -> bool:
    """Whether a resource is of a WebSocket API."""
    api_id = properties.require("ApiId")
    api = deployment.client("apigatewayv2").get_api(ApiId=api_id)
    return bool(api["ProtocolType"] == "WEBSOCKET")


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


@creates("AWS::ApiGatewayV2::Deployment")
def create_deployment(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a deployment; it has what the API has in the end.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-deployment.html
    """
    properties.ignore("Description", "StageName")
    properties.require("ApiId")
    resource.physical_id = deployment.core.new_id().replace("-", "")[:10]
    resource.attributes = {"DeploymentId": resource.physical_id}


@creates("AWS::ApiGatewayV2::Integration")
def create_integration(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an integration of an API with a function or a service.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-integration.html
    """
    properties.only("ConnectionType", "INTERNET")
    if _has_sockets(deployment, properties):
        _create_socket_integration(deployment, resource, properties)
        return
    properties.only("IntegrationType", "AWS_PROXY")
    properties.only("PayloadFormatVersion", "1.0", "2.0")
    parameters = properties.take("RequestParameters", {})
    answers = {
        status: {each["Destination"]: each["Source"] for each in part["ResponseParameters"]}
        for status, part in properties.take("ResponseParameters", {}).items()
    }
    name = properties.take("IntegrationSubtype")
    if name is None:
        found = [*problems_of_changes(parameters)]
        _check_function(deployment, properties)
    elif name in SUBTYPES:
        found = [*problems(SUBTYPES[name], parameters, deployment.core.region)]
        properties.require("CredentialsArn")
    else:
        found = [f"the rehearsal does not know IntegrationSubtype = {name!r}"]
    for changes in answers.values():
        found += problems_of_changes(changes, of_answer=True)
    properties.problems += [f"{properties.where}: {problem}" for problem in found]
    _create(
        deployment,
        resource,
        "create_integration",
        "IntegrationId",
        ApiId=properties.require("ApiId"),
        IntegrationType="AWS_PROXY",
        RequestParameters=parameters,
        ResponseParameters=answers,
        **properties.pick(
            *("CredentialsArn", "Description", "IntegrationMethod", "IntegrationSubtype"),
            *("IntegrationUri", "PayloadFormatVersion", "TimeoutInMillis"),
        ),
    )


def _create_socket_integration(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates an integration of a WebSocket API: with a function, a service, or none at all.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html
    """
    properties.only("IntegrationType", "AWS", "AWS_PROXY", "MOCK")
    properties.only("PayloadFormatVersion", "1.0")
    properties.only("ContentHandlingStrategy", "CONVERT_TO_TEXT")
    kind = properties.require("IntegrationType")
    most = LIMITS["apigatewaymanagementapi.timeout_ms"]
    if not 50 <= properties.integer("TimeoutInMillis", most) <= most:
        raise properties.error(f"TimeoutInMillis is from 50 to {most}")
    stated = properties.pick(
        *("CredentialsArn", "Description", "IntegrationMethod", "IntegrationUri"),
        *("PassthroughBehavior", "RequestParameters", "RequestTemplates"),
        "TemplateSelectionExpression",
    )
    uri = str(stated.get("IntegrationUri"))
    if kind == "AWS":
        _check_service(properties, uri)
    elif kind == "MOCK":
        try:
            mock_status(properties.values)
        except ValueError as error:
            raise properties.error(f"RequestTemplates: {error}: state a statusCode") from None
    else:
        for name in ("RequestParameters", "RequestTemplates"):
            properties.only(name, {})
        if (arn := function_of(uri)) is not None:
            deployment.lambdas.function(arn)
        elif not is_unresolved(uri):
            properties.only("IntegrationUri", "the ARN of a function")
    api_id = properties.require("ApiId")
    parameters = {"ApiId": api_id, "IntegrationType": kind, **stated}
    _create(deployment, resource, "create_integration", "IntegrationId", **parameters)


def _check_service(properties: Properties, uri: str) -> None:
    """Refuses what a WebSocket API could not send to a service."""
    if service_of(uri) is None and not is_unresolved(uri):
        raise properties.error(f"the rehearsal does not know integrations such as {uri}")
    properties.require("CredentialsArn")
    for template in properties.take("RequestTemplates", {}).values():
        Velocity(str(template))
    for source in properties.take("RequestParameters", {}).values():
        if not str(source).startswith("'"):
            raise properties.error(f"the rehearsal does not know the parameter {source}")


def _check_function(deployment: Deployment, properties: Properties) -> None:
    """Raises RehearsalError if there is no such function."""
    uri = properties.take("IntegrationUri")
    arn = function_of(str(uri))
    if arn is not None:
        deployment.lambdas.function(arn)
    elif not is_unresolved(uri):
        properties.only("IntegrationUri", "the ARN of a function")
    properties.only("CredentialsArn")


@creates("AWS::ApiGatewayV2::Route")
def create_route(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a route of an API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-route.html
    """
    kind = properties.take("AuthorizationType", "NONE")
    if _has_sockets(deployment, properties):
        properties.only("AuthorizationType", "NONE", "AWS_IAM", "CUSTOM")
        properties.only("RouteResponseSelectionExpression", "$default")
        properties.pick("RouteResponseSelectionExpression")
        if kind != "NONE" and properties.require("RouteKey") != "$connect":
            raise properties.error(
                "a WebSocket API authorizes connections only: the route $connect"
            )
    else:
        properties.only("AuthorizationType", "NONE", "JWT", "AWS_IAM", "CUSTOM")
        properties.require("Target")
    if kind in ("JWT", "CUSTOM"):
        properties.require("AuthorizerId")
    properties.only("ApiKeyRequired", False, "false")
    _create(
        deployment,
        resource,
        "create_route",
        "RouteId",
        ApiId=properties.require("ApiId"),
        **properties.pick(
            *("AuthorizationScopes", "AuthorizationType", "AuthorizerId"),
            *("OperationName", "RouteKey", "Target"),
        ),
    )


@creates("AWS::ApiGatewayV2::RouteResponse")
def create_route_response(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Lets a client of a WebSocket API get what a function answers.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-routeresponse.html
    """
    properties.only("RouteResponseKey", "$default")
    for name in ("ApiId", "RouteId", "RouteResponseKey"):
        properties.require(name)
    resource.physical_id = deployment.core.new_id().replace("-", "")[:10]
    resource.attributes = {"RouteResponseId": resource.physical_id}


@creates("AWS::ApiGatewayV2::Authorizer")
def create_authorizer(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an authorizer of an API: an issuer of tokens or a function.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-authorizer.html
    """
    kind = properties.take("AuthorizerType")
    properties.only("AuthorizerType", "JWT", "REQUEST")
    # moto asks for it, though an authorizer that is a function needs none.
    parameters = {"IdentitySource": properties.take("IdentitySource", [])}
    parameters |= properties.pick("JwtConfiguration", "Name")
    if _has_sockets(deployment, properties):
        parameters |= _check_socket_authorizer(deployment, properties)
    elif kind == "REQUEST":
        parameters |= _check_custom(deployment, properties)
    _create(
        deployment,
        resource,
        "create_authorizer",
        "AuthorizerId",
        ApiId=properties.require("ApiId"),
        AuthorizerType=kind,
        **parameters,
    )


def _check_socket_authorizer(deployment: Deployment, properties: Properties) -> dict[str, Any]:
    """Returns the properties of an authorizer of connections, which is a function.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
    """
    properties.only("AuthorizerType", "REQUEST")
    uri = str(properties.take("AuthorizerUri"))
    deployment.lambdas.function(authorizer_function(uri) or uri)
    for source in properties.take("IdentitySource", []):
        if not re.fullmatch(_SOCKET_SOURCE, source):
            raise properties.error(f"IdentitySource cannot be {source}")
    return properties.pick("AuthorizerCredentialsArn", "AuthorizerUri")


def _check_custom(deployment: Deployment, properties: Properties) -> dict[str, Any]:
    """Returns the properties of an authorizer that is a function.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
    """
    uri = str(properties.take("AuthorizerUri"))
    deployment.lambdas.function(authorizer_function(uri) or uri)
    format_ = properties.require("AuthorizerPayloadFormatVersion")
    properties.only("AuthorizerPayloadFormatVersion", "1.0", "2.0")
    is_simple = properties.boolean("EnableSimpleResponses", False)
    if is_simple and format_ != "2.0":
        raise properties.error("EnableSimpleResponses needs AuthorizerPayloadFormatVersion 2.0")
    ttl_s = properties.integer("AuthorizerResultTtlInSeconds", 0)
    sources = properties.take("IdentitySource", [])
    if ttl_s and not sources:
        raise properties.error(
            "AuthorizerResultTtlInSeconds needs an IdentitySource, by which answers are cached"
        )
    for source in sources:
        problem = problem_of(source)
        if problem or source.startswith(("$request.body", "$request.path")):
            raise properties.error(f"IdentitySource cannot be {source}")
    return {
        "AuthorizerResultTtlInSeconds": ttl_s,
        "EnableSimpleResponses": is_simple,
        **properties.pick(
            "AuthorizerCredentialsArn", "AuthorizerPayloadFormatVersion", "AuthorizerUri"
        ),
    }


def _create(
    deployment: Deployment, resource: Resource, operation: str, identifier: str, **parameters: Any
) -> None:
    answer = getattr(deployment.client("apigatewayv2"), operation)(**parameters)
    resource.physical_id = answer[identifier]
    resource.attributes = {identifier: answer[identifier]}
