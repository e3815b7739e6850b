"""A REST API from an OpenAPI document: its paths become the resources that a template states.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

_X = "x-amazon-apigateway-"
_VERBS = frozenset(("delete", "get", "head", "options", "patch", "post", "put"))
_ANY = f"{_X}any-method"

_DESCRIBES = frozenset(
    (
        *("basePath", "definitions", "externalDocs", "host", "info", "openapi", "schemes"),
        *("servers", "swagger", "tags"),
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
_UPPER = frozenset(("PassthroughBehavior", "Type"))


class NotKnown(Exception):
    """Something in a document that the rehearsal does not know; the text names its place."""


Stated = tuple[str, dict[str, Any]]
"""A type of API Gateway, such as ``Method``, and the properties of one resource."""


def resources_of(document: Mapping[str, Any], root: str) -> Iterator[Stated]:
    """Yields the resources of an API; those of one refer to others by the names that they have.

    ``root`` is the id of the API's root. An authorizer has the name of its scheme, a resource its
    path. Raises NotKnown.
    """
    schemes = document.get("components", {}).get("securitySchemes")
    schemes = schemes or document.get("securityDefinitions", {})
    known = {"components", "paths", "security", "securityDefinitions"}
    _only(document, known | _DESCRIBES, "Body")
    for name, scheme in schemes.items():
        if stated := scheme.get(f"{_X}authorizer"):
            place = f"Body: the authorizer of {name}"
            properties = _renamed(stated, _AUTHORIZER, place)
            if properties.get("Type") in {"TOKEN", "COGNITO_USER_POOLS"}:
                source = f"method.request.header.{scheme['name']}"
                properties.setdefault("IdentitySource", source)
            yield "Authorizer", {"Name": name, **properties}
    for path, item in document.get("paths", {}).items():
        _only(item, _VERBS | {_ANY, "parameters", "summary", "description"}, f"Body: {path}")
        if path != "/":
            part = {"ParentId": root, "PathPart": path.strip("/")}
            yield "Resource", {"Name": path, **part}
        for verb in sorted(item.keys() & (_VERBS | {_ANY})):
            operation, place = item[verb], f"Body: {verb} {path}"
            known = {"security", f"{_X}auth", f"{_X}integration"}
            _only(operation, known | _DESCRIBES_OPERATION, place)
            if f"{_X}integration" not in operation:
                raise NotKnown(f"{place} has no {_X}integration")
            yield (
                "Method",
                {
                    "HttpMethod": "ANY" if verb == _ANY else verb.upper(),
                    "ResourceId": root if path == "/" else path,
                    "Integration": _integration(operation[f"{_X}integration"], place),
                    **_secured(operation, document, schemes, place),
                },
            )


def _only(value: Mapping[str, Any], known: frozenset[str] | set[str], place: str) -> None:
    if unknown := sorted(value.keys() - known):
        raise NotKnown(f"{place}: the rehearsal does not know {', '.join(unknown)}")


def _renamed(value: Mapping[str, Any], names: Mapping[str, str], place: str) -> dict[str, Any]:
    _only(value, names.keys() | {"responses"}, place)
    found = {names[name]: part for name, part in value.items() if name in names}
    return {name: part.upper() if name in _UPPER else part for name, part in found.items()}


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
    operation: Mapping[str, Any],
    document: Mapping[str, Any],
    schemes: Mapping[str, Any],
    place: str,
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
        scheme = schemes.get(name, {})
        authorizer = scheme.get(f"{_X}authorizer")
        if authorizer:
            is_pool = authorizer.get("type", "").lower() == "cognito_user_pools"
            found["AuthorizationType"] = "COGNITO_USER_POOLS" if is_pool else "CUSTOM"
            found["AuthorizerId"] = name
            found["AuthorizationScopes"] = scopes
        elif scheme.get(f"{_X}authtype", "").lower() == "awssigv4":
            found["AuthorizationType"] = "AWS_IAM"
        elif scheme.get("type") == "apiKey" and scheme.get("name", "").lower() == "x-api-key":
            found["ApiKeyRequired"] = True
        else:
            raise NotKnown(f"{place}: the rehearsal does not know the security scheme {name}")
    return found
