"""APIs from OpenAPI documents: their paths become the resources that a template states.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import yaml

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties, is_unresolved
from cdk_rehearsal.resources.registry import CREATORS, Resource

_X = "x-amazon-apigateway-"
_VERBS = frozenset(("delete", "get", "head", "options", "patch", "post", "put"))
_ANY = f"{_X}any-method"
_INTEGRATIONS = f"{_X}integrations"

_DESCRIBES = frozenset(
    (
        *("basePath", "definitions", "externalDocs", "host", "info", "openapi", "schemes"),
        *("servers", "swagger", "tags", f"{_X}importexport-version"),
    )
)
"""Members of a document without effect on an API."""
_DESCRIBES_OPERATION = frozenset(
    (
        *("callbacks", "consumes", "deprecated", "description", "externalDocs", "operationId"),
        *("parameters", "produces", "requestBody", "responses", "servers", "summary", "tags"),
    )
)
"""Members of an operation without effect: parameters and bodies are checked by validators only."""

_INTEGRATION = {
    "cacheKeyParameters": "CacheKeyParameters",
    "cacheNamespace": "CacheNamespace",
    "connectionId": "ConnectionId",
    "connectionType": "ConnectionType",
    "contentHandling": "ContentHandling",
    "credentials": "Credentials",
    "httpMethod": "IntegrationHttpMethod",
    "passthroughBehavior": "PassthroughBehavior",
    "requestParameters": "RequestParameters",
    "requestTemplates": "RequestTemplates",
    "timeoutInMillis": "TimeoutInMillis",
    "type": "Type",
    "uri": "Uri",
}
_RESPONSE = {
    "contentHandling": "ContentHandling",
    "responseParameters": "ResponseParameters",
    "responseTemplates": "ResponseTemplates",
    "statusCode": "StatusCode",
}
_AUTHORIZER = {
    "authorizerCredentials": "AuthorizerCredentials",
    "authorizerResultTtlInSeconds": "AuthorizerResultTtlInSeconds",
    "authorizerUri": "AuthorizerUri",
    "identitySource": "IdentitySource",
    "identityValidationExpression": "IdentityValidationExpression",
    "providerARNs": "ProviderARNs",
    "type": "Type",
}
_HTTP_INTEGRATION = {
    "connectionId": "ConnectionId",
    "connectionType": "ConnectionType",
    "credentials": "CredentialsArn",
    "description": "Description",
    "httpMethod": "IntegrationMethod",
    "integrationSubtype": "IntegrationSubtype",
    "payloadFormatVersion": "PayloadFormatVersion",
    "requestParameters": "RequestParameters",
    "responseParameters": "ResponseParameters",
    "timeoutInMillis": "TimeoutInMillis",
    "type": "IntegrationType",
    "uri": "IntegrationUri",
}
_HTTP_AUTHORIZER = {
    "authorizerCredentials": "AuthorizerCredentialsArn",
    "authorizerPayloadFormatVersion": "AuthorizerPayloadFormatVersion",
    "authorizerResultTtlInSeconds": "AuthorizerResultTtlInSeconds",
    "authorizerUri": "AuthorizerUri",
    "enableSimpleResponses": "EnableSimpleResponses",
    "identitySource": "IdentitySource",
    "jwtConfiguration": "JwtConfiguration",
    "type": "AuthorizerType",
}
_CORS = {
    "allowCredentials": "AllowCredentials",
    "allowHeaders": "AllowHeaders",
    "allowMethods": "AllowMethods",
    "allowOrigins": "AllowOrigins",
    "exposeHeaders": "ExposeHeaders",
    "maxAge": "MaxAge",
}
_JWT = {"issuer": "Issuer", "audience": "Audience"}
_UPPER = frozenset(("AuthorizerType", "IntegrationType", "PassthroughBehavior", "Type"))
_TEXTS = frozenset(("AuthorizerPayloadFormatVersion", "PayloadFormatVersion"))
"""Versions, which are numbers in YAML."""
_AUTHORIZATIONS = {"cognito_user_pools": "COGNITO_USER_POOLS", "jwt": "JWT"}
"""Types of authorization by types of authorizers; all others are functions."""


class NotKnown(Exception):
    """Something in a document that the rehearsal does not know; the text names its place."""


class Reference(str):
    """The name of another resource of the document, in place of its id."""

    __slots__ = ()


class Stated(NamedTuple):
    """One resource: its type, such as ``Method``, a name that is unique, and its properties."""

    kind: str
    name: str
    properties: dict[str, Any]


def document_of(
    deployment: Deployment, properties: Properties, document: Any, location: Properties
) -> dict[str, Any] | None:
    """Returns the document of an API: from the template, from an asset, or a value for its place.

    Raises UnsupportedTemplateError if it is elsewhere, or no JSON or YAML.
    """
    if location.values:
        location.ignore("ETag", "Etag", "Version")
        key = location.require("Key")
        name = f"s3://{location.require('Bucket')}/{key}"
        document, file = deployment.stand_ins.value(name), deployment.assembly.asset(key)
        if document is None and file is not None:
            document = file.read_text(encoding="utf-8")
        if document is None and deployment.stand_ins.invents:
            deployment.stand_ins.note(name, "a document without paths")
            document = {}
        if document is None:
            raise properties.error(
                f"the assembly has no document {name}: give it as values[{name!r}], or as an "
                "asset of the CDK"
            )
    if document is None or is_unresolved(document):
        return None
    if isinstance(document, str):
        try:
            document = yaml.safe_load(document)
        except yaml.YAMLError as error:
            raise properties.error(f"the OpenAPI document is no JSON or YAML: {error}") from None
    if not isinstance(document, dict):
        raise properties.error("the OpenAPI document is no object")
    # In YAML, the names of members may be numbers.
    named: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return named


def create(
    deployment: Deployment,
    api: Resource,
    properties: Properties,
    stated: Callable[[], Iterable[Stated]],
    *,
    owner: str,
) -> None:
    """Creates what a document states, as if the template stated it.

    ``owner`` is the property that names the API.
    """
    prefix = api.type.removesuffix(api.type.rpartition("::")[2])
    identifiers: dict[str, str] = {}
    try:
        found = [*stated()]
    except NotKnown as error:
        raise properties.error(str(error)) from None
    for kind, name, values in found:
        values[owner] = api.physical_id
        for key, value in values.items():
            if isinstance(value, Reference):
                values[key] = identifiers[value]
        type_ = f"{prefix}{kind}"
        path = f"{api.path}/{name}"
        part = replace(api, path=path, type=type_, properties=values, attributes={})
        inner = Properties(values, properties.where, properties.problems)
        CREATORS[type_](deployment, part, inner)
        properties.problems += inner.unknown()
        target = f"integrations/{part.physical_id}"
        identifiers[name] = target if kind == "Integration" else part.physical_id
        deployment.resources.append(part)


def rest_resources(document: Mapping[str, Any], root: str) -> Iterator[Stated]:
    """Yields the resources of a REST API whose root has an id. Raises NotKnown.

    An authorizer has the name of its scheme, a resource its path.
    """
    _only(document, _DOCUMENT, "Body")
    for name, scheme, properties in _authorizers(document, _AUTHORIZER):
        if properties.get("Type") in {"TOKEN", "COGNITO_USER_POOLS"}:
            properties.setdefault("IdentitySource", f"method.request.header.{scheme['name']}")
        yield Stated("Authorizer", name, {"Name": name, **properties})
    for path, operations in _paths(document):
        if path != "/":
            yield Stated("Resource", path, {"ParentId": root, "PathPart": path.strip("/")})
        for verb, operation, place in operations:
            method = {
                "HttpMethod": verb,
                "ResourceId": root if path == "/" else Reference(path),
                "Integration": _integration(_integrated(operation, document, place), place),
                **_secured(operation, document, place),
            }
            yield Stated("Method", f"{verb} {path}", method)


def http_resources(document: Mapping[str, Any]) -> Iterator[Stated]:
    """Yields the resources of an HTTP API. Raises NotKnown.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html
    """
    _only(document, _DOCUMENT | {f"{_X}cors"}, "Body")
    for name, _, properties in _authorizers(document, _HTTP_AUTHORIZER):
        if "JwtConfiguration" in properties:
            place = f"Body: the authorizer of {name}"
            properties["JwtConfiguration"] = _renamed(properties["JwtConfiguration"], _JWT, place)
        if isinstance(sources := properties.get("IdentitySource"), str):
            properties["IdentitySource"] = [each.strip() for each in sources.split(",")]
        yield Stated("Authorizer", name, {"Name": name, **properties})
    for path, operations in _paths(document):
        for verb, operation, place in operations:
            key = "$default" if path == "/$default" else f"{verb} {path}"
            integration = _integrated(operation, document, place)
            properties = _renamed(integration, _HTTP_INTEGRATION, place)
            for status, changes in properties.get("ResponseParameters", {}).items():
                pairs = [{"Destination": to, "Source": of} for to, of in changes.items()]
                properties["ResponseParameters"][status] = {"ResponseParameters": pairs}
            yield Stated("Integration", f"{key} integration", properties)
            target = {"RouteKey": key, "Target": Reference(f"{key} integration")}
            yield Stated("Route", key, {**target, **_secured(operation, document, place)})


def cors_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ``CorsConfiguration`` that the document of an HTTP API states, if it does.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-cors-configuration.html
    """
    return _renamed(document.get(f"{_X}cors", {}), _CORS, f"Body: {_X}cors")


_DOCUMENT = _DESCRIBES | {"components", "paths", "security", "securityDefinitions"}


def _schemes(document: Mapping[str, Any]) -> Mapping[str, Any]:
    schemes = document.get("components", {}).get("securitySchemes")
    found: Mapping[str, Any] = schemes or document.get("securityDefinitions", {})
    return found


def _authorizers(
    document: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any], dict[str, Any]]]:
    for name, scheme in _schemes(document).items():
        if stated := scheme.get(f"{_X}authorizer"):
            yield name, scheme, _renamed(stated, names, f"Body: the authorizer of {name}")


_Operation = tuple[str, dict[str, Any], str]
"""The verb of an operation, the operation, and its place."""


def _paths(document: Mapping[str, Any]) -> Iterator[tuple[str, list[_Operation]]]:
    known = {"security", f"{_X}auth", f"{_X}integration", "isDefaultRoute"}
    for path, item in document.get("paths", {}).items():
        _only(item, _VERBS | {_ANY, "parameters", "summary", "description"}, f"Body: {path}")
        found: list[_Operation] = []
        for name in sorted(item.keys() & (_VERBS | {_ANY})):
            place = f"Body: {name} {path}"
            _only(item[name], known | _DESCRIBES_OPERATION, place)
            found.append(("ANY" if name == _ANY else name.upper(), item[name], place))
        yield path, found


def _only(value: Mapping[str, Any], known: frozenset[str] | set[str], place: str) -> None:
    if unknown := sorted(value.keys() - known):
        raise NotKnown(f"{place}: the rehearsal does not know {', '.join(unknown)}")


def _renamed(value: Mapping[str, Any], names: Mapping[str, str], place: str) -> dict[str, Any]:
    _only(value, names.keys() | {"responses"}, place)
    found = {names[name]: part for name, part in value.items() if name in names}
    return {name: _converted(name, part) for name, part in found.items()}


def _converted(name: str, value: Any) -> Any:
    return value.upper() if name in _UPPER else str(value) if name in _TEXTS else value


def _integrated(
    operation: Mapping[str, Any], document: Mapping[str, Any], place: str
) -> Mapping[str, Any]:
    """Returns the integration of an operation, which may be one of the document's components.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-extensions-integrations.html
    """
    if f"{_X}integration" not in operation:
        raise NotKnown(f"{place} has no {_X}integration")
    stated: Mapping[str, Any] = operation[f"{_X}integration"]
    if "$ref" not in stated:
        return stated
    shared = document.get("components", {}).get(_INTEGRATIONS, {})
    name = str(stated["$ref"]).removeprefix(f"#/components/{_INTEGRATIONS}/")
    if name not in shared:
        raise NotKnown(f"{place}: there is no {stated['$ref']}")
    found: Mapping[str, Any] = shared[name]
    return found


def _integration(stated: Mapping[str, Any], place: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration.html."""
    responses = [
        {
            **_renamed(response, _RESPONSE, place),
            **({} if pattern == "default" else {"SelectionPattern": pattern}),
        }
        for pattern, response in stated.get("responses", {}).items()
    ]
    found = _renamed(stated, _INTEGRATION, place)
    return {**found, **({"IntegrationResponses": responses} if responses else {})}


def _secured(
    operation: Mapping[str, Any], document: Mapping[str, Any], place: str
) -> dict[str, Any]:
    """Returns who may call a method: an authorizer, a key or a signature.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authorizer.html
    """
    found: dict[str, Any] = {}
    if auth := operation.get(f"{_X}auth"):
        found["AuthorizationType"] = auth["type"].upper()
    needed = operation.get("security", document.get("security", []))
    if len(needed) > 1:
        raise NotKnown(f"{place}: the rehearsal knows one alternative of security only")
    for name, scopes in (needed[0] if needed else {}).items():
        scheme = _schemes(document).get(name, {})
        authorizer = scheme.get(f"{_X}authorizer")
        if authorizer:
            kind = authorizer.get("type", "").lower()
            found["AuthorizationType"] = _AUTHORIZATIONS.get(kind, "CUSTOM")
            found["AuthorizerId"] = Reference(name)
            found["AuthorizationScopes"] = scopes
        elif scheme.get(f"{_X}authtype", "").lower() == "awssigv4":
            found["AuthorizationType"] = "AWS_IAM"
        elif scheme.get("type") == "apiKey" and scheme.get("name", "").lower() == "x-api-key":
            found["ApiKeyRequired"] = True
        else:
            raise NotKnown(f"{place}: the rehearsal does not know the security scheme {name}")
    return found
