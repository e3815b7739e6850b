"""AWS::ApiGateway: REST APIs with their methods, authorizers, models, keys and usage plans."""

import re
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources import openapi
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.request_authorizer import function_of
from cdk_rehearsal.services.service_calls import service_of
from cdk_rehearsal.services.velocity import Velocity


def _identify(deployment: Deployment, resource: Resource, attribute: str) -> None:
    """Gives a resource an id, as API Gateway makes them."""
    resource.physical_id = deployment.core.new_id().replace("-", "")[:10]
    resource.attributes = {attribute: resource.physical_id}


@creates("AWS::ApiGateway::RestApi")
def create_rest_api(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a REST API, with the methods of its OpenAPI document if it has one.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-restapi.html
    """
    properties.ignore(
        *("Description", "DisableExecuteApiEndpoint", "EndpointConfiguration"),
        *("MinimumCompressionSize", "Name", "Tags"),
    )
    properties.pick("BinaryMediaTypes")  # The API reads it.
    properties.only("ApiKeySourceType", "HEADER", "AUTHORIZER")
    _identify(deployment, resource, "RestApiId")
    resource.attributes["RootResourceId"] = f"{resource.physical_id}root"
    properties.only("Mode", "overwrite", "merge")
    properties.ignore("FailOnWarnings")
    stated = (properties.take("Body"), properties.section("BodyS3Location"))
    document = openapi.document_of(deployment, properties, *stated)
    if document is not None:
        root = resource.attributes["RootResourceId"]
        openapi.create(
            *(deployment, resource, properties),
            lambda: openapi.rest_resources(document, root),
            owner="RestApiId",
        )


@creates("AWS::ApiGateway::Resource")
def create_resource(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a part of a path.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-resource.html
    """
    for name in ("RestApiId", "ParentId", "PathPart"):
        properties.require(name)
    _identify(deployment, resource, "ResourceId")


@creates("AWS::ApiGateway::Method")
def create_method(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a method with its integration.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-method.html
    """
    properties.ignore("MethodResponses", "OperationName")
    # The API reads these.
    properties.pick("ApiKeyRequired", "AuthorizationScopes", "AuthorizerId", "RequestModels")
    properties.pick("RequestParameters", "RequestValidatorId")
    for name in ("RestApiId", "ResourceId", "HttpMethod"):
        properties.require(name)
    kind = properties.take("AuthorizationType", "NONE")
    if kind not in {"NONE", "AWS_IAM", "COGNITO_USER_POOLS", "CUSTOM"}:
        raise properties.error(f"there is no AuthorizationType {kind}")
    if kind in {"COGNITO_USER_POOLS", "CUSTOM"}:
        properties.require("AuthorizerId")
    _check_integration(deployment, properties.section("Integration"))
    _identify(deployment, resource, "MethodId")


def _check_integration(deployment: Deployment, integration: Properties) -> None:
    """Refuses what a method could not do with a request."""
    integration.only("Type", "AWS", "AWS_PROXY", "MOCK")
    integration.only("ConnectionType", "INTERNET")
    integration.ignore("CacheKeyParameters", "CacheNamespace", "IntegrationHttpMethod")
    integration.ignore("PassthroughBehavior", "RequestParameters")
    integration.only("ContentHandling", "CONVERT_TO_TEXT")
    most = LIMITS["apigateway.timeout_ms"]
    if not 50 <= integration.integer("TimeoutInMillis", most) <= most:
        raise integration.error(f"TimeoutInMillis is from 50 to {most}")
    templates = [*(integration.take("RequestTemplates") or {}).values()]
    for response in integration.sections("IntegrationResponses"):
        response.ignore("StatusCode", "ContentHandling")
        templates += (response.take("ResponseTemplates") or {}).values()
        re.compile(response.take("SelectionPattern") or "")
        for source in (response.take("ResponseParameters") or {}).values():
            if not str(source).startswith("'"):
                raise response.error(f"the rehearsal does not know the response parameter {source}")
    for template in templates:
        Velocity(str(template))
    kind, uri = integration.take("Type", "MOCK"), str(integration.take("Uri", ""))
    credentials = integration.take("Credentials")
    if kind not in {"AWS", "AWS_PROXY"}:
        return
    arn = function_of(uri)
    if arn is not None:
        deployment.lambdas.function(arn)
    elif kind == "AWS_PROXY" or service_of(uri) is None:
        raise integration.error(f"the rehearsal does not know integrations such as {uri}")
    elif credentials is None:
        raise integration.error(f"an integration with {uri} needs a role: Credentials")


@creates("AWS::ApiGateway::Deployment")
def create_deployment(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a deployment; it has what the API has in the end.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-deployment.html
    """
    properties.ignore("Description")
    properties.require("RestApiId")
    _identify(deployment, resource, "DeploymentId")


@creates("AWS::ApiGateway::Stage")
def create_stage(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates the one stage of an API.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-stage.html
    """
    properties.ignore(
        *("AccessLogSetting", "ClientCertificateId", "DeploymentId", "Description"),
        *("DocumentationVersion", "Tags", "TracingEnabled"),
    )
    properties.pick("MethodSettings", "Variables")  # The API reads them.
    properties.only("CacheClusterEnabled", False, "false")
    api = properties.require("RestApiId")
    if api in deployment.stages:
        raise properties.error("the rehearsal knows APIs with one stage only")
    deployment.stages.add(api)
    resource.physical_id = properties.require("StageName")


@creates("AWS::ApiGateway::RequestValidator")
def create_validator(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates what decides whether bodies and parameters are checked.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-requestvalidator.html
    """
    properties.ignore("Name")
    properties.pick("ValidateRequestBody", "ValidateRequestParameters")  # The API reads them.
    properties.require("RestApiId")
    _identify(deployment, resource, "RequestValidatorId")


@creates("AWS::ApiGateway::Model")
def create_model(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a JSON Schema of bodies.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-model.html
    """
    properties.ignore("ContentType", "Description")
    properties.require("RestApiId")
    try:
        Draft4Validator.check_schema(properties.take("Schema", {}))
    except SchemaError as error:
        raise properties.error(f"Schema is no JSON Schema: {error.message}") from None
    name = properties.take("Name") or re.sub(r"\W", "", resource.generated_name(128))
    resource.physical_id = name


@creates("AWS::ApiGateway::Authorizer")
def create_authorizer(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an authorizer: a user pool or a function.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-authorizer.html
    """
    properties.only("Type", "COGNITO_USER_POOLS", "REQUEST", "TOKEN")
    properties.ignore("AuthType", "Name")
    # The API reads these.
    properties.pick(
        *("AuthorizerCredentials", "AuthorizerResultTtlInSeconds", "IdentitySource", "RestApiId")
    )
    properties.pick("IdentityValidationExpression")
    pools, uri = properties.take("ProviderARNs", []), properties.take("AuthorizerUri")
    if properties.take("Type") == "COGNITO_USER_POOLS":
        if len(pools) != 1:
            raise properties.error("the rehearsal knows authorizers with one user pool only")
    else:
        deployment.lambdas.function(function_of(str(uri)) or str(uri))
    _identify(deployment, resource, "AuthorizerId")


@creates("AWS::ApiGateway::ApiKey")
def create_api_key(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an API key; clients of the rehearsal read its value with GetApiKey.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-apikey.html
    """
    properties.ignore("CustomerId", "GenerateDistinctId", "StageKeys", "Tags")
    value = properties.take("Value")
    options: dict[str, Any] = {} if value is None else {"value": value}
    resource.physical_id = deployment.client("apigateway").create_api_key(
        name=properties.take("Name") or resource.generated_name(128),
        enabled=properties.boolean("Enabled", False),
        description=properties.take("Description", ""),
        **options,
    )["id"]
    resource.attributes = {"APIKeyId": resource.physical_id}


@creates("AWS::ApiGateway::UsagePlan")
def create_usage_plan(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a usage plan with its rate and quota.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-usageplan.html
    """
    properties.ignore("Description", "Tags", "UsagePlanName")
    for stage in properties.sections("ApiStages"):
        stage.ignore("ApiId", "Stage")
        stage.only("Throttle", {})
    properties.section("Throttle").ignore("BurstLimit", "RateLimit")
    quota = properties.section("Quota")
    quota.only("Period", "DAY", "WEEK", "MONTH")
    quota.ignore("Limit", "Offset")
    _identify(deployment, resource, "Id")


@creates("AWS::ApiGateway::UsagePlanKey")
def create_usage_plan_key(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Adds a key to a usage plan.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-usageplankey.html
    """
    properties.only("KeyType", "API_KEY")
    properties.require("KeyId")
    properties.require("UsagePlanId")
    _identify(deployment, resource, "Id")
