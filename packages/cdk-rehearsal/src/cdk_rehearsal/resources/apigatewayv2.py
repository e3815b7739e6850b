"""AWS::ApiGatewayV2: HTTP APIs with their routes, integrations and authorizers."""

from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties, is_unresolved
from cdk_rehearsal.resources import openapi
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.http_api import function_of
from cdk_rehearsal.services.http_integrations import SUBTYPES, problems
from cdk_rehearsal.services.http_mappings import problem_of, problems_of_changes
from cdk_rehearsal.services.log_groups import AccessLog, log_group_of
from cdk_rehearsal.services.request_authorizer import function_of as authorizer_function


@creates("AWS::ApiGatewayV2::Api")
def create_api(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an HTTP API, with the routes of its OpenAPI document if it has one.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-api.html
    """
    if properties.take("ProtocolType") == "WEBSOCKET":
        raise properties.error(
            "ProtocolType = WEBSOCKET: the rehearsal has no WebSocket APIs; rehearse the stacks "
            "without it"
        )
    properties.only("ProtocolType", "HTTP")
    properties.ignore("DisableExecuteApiEndpoint", "DisableSchemaValidation")
    properties.ignore("IpAddressType", "Tags")
    properties.only("BasePath", "ignore")
    properties.ignore("FailOnWarnings")
    stated = (properties.take("Body"), properties.section("BodyS3Location"))
    document = openapi.document_of(deployment, properties, *stated) or {}
    try:
        if cors := openapi.cors_of(document):
            resource.properties.setdefault("CorsConfiguration", cors)
    except openapi.NotKnown as error:
        raise properties.error(str(error)) from None
    api = deployment.client("apigatewayv2").create_api(
        ProtocolType="HTTP",
        **{
            "Name": document.get("info", {}).get("title", resource.logical_id),
            **properties.pick("Name", "Description", "CorsConfiguration"),
        },
    )
    resource.physical_id = api["ApiId"]
    resource.attributes = {"ApiId": api["ApiId"], "ApiEndpoint": api["ApiEndpoint"]}
    openapi.create(
        *(deployment, resource, properties),
        lambda: openapi.http_resources(document),
        owner="ApiId",
    )


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
    """Creates an integration of an API with a function or a service.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-integration.html
    """
    properties.only("IntegrationType", "AWS_PROXY")
    properties.only("ConnectionType", "INTERNET")
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
    properties.only("AuthorizationType", "NONE", "JWT", "AWS_IAM", "CUSTOM")
    if properties.take("AuthorizationType") in ("JWT", "CUSTOM"):
        properties.require("AuthorizerId")
    properties.require("Target")
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
    if kind == "REQUEST":
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
