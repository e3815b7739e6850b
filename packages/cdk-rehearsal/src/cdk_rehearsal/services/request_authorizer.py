"""Lambda authorizers: functions that decide about requests; their answers are cached."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdk_rehearsal.core import Core
from cdk_rehearsal.policies import identity_allows
from cdk_rehearsal.services import http_mappings
from cdk_rehearsal.services.apis import SERVICE, Refused
from cdk_rehearsal.services.http_formats import as_format_1
from cdk_rehearsal.services.invocation import LambdaService

_TTL_S = 300
_DENIED = "User is not authorized to access this resource"
_FUNCTION = re.compile(r"functions/(arn:[^/]+)/invocations$")


def function_of(uri: str) -> str | None:
    """Returns the ARN of the function in the URI of an integration or authorizer."""
    found = _FUNCTION.search(uri)
    return found[1] if found else None


@dataclass(frozen=True)
class Permitted:
    """What an authorizer that permits a request passes on."""

    context: dict[str, Any] = field(default_factory=dict)
    usage_key: str | None = None


class Failed(Exception):
    """An authorizer that may not be invoked, that fails, or whose answer is malformed."""


class Unauthorized(Exception):
    """An authorizer that does not know the caller."""


class _LambdaAuthorizer:
    """A function with a cache; `role` takes the place of the function's policy."""

    def __init__(
        self,
        core: Core,
        lambdas: LambdaService,
        uri: str,
        *,
        arn: str,
        role: str | None,
        ttl_s: int,
    ) -> None:
        self._core = core
        self._lambdas = lambdas
        self._function = lambdas.function(function_of(uri) or uri)
        self._arn = arn
        self._role = role
        self._ttl_s = ttl_s
        self._cache: dict[tuple[str, ...], tuple[float, dict[str, Any]]] = {}

    def _ask(self, identity: tuple[str, ...], event: dict[str, Any]) -> dict[str, Any]:
        """Returns the function's answer, for a known identity from the cache.

        Raises Unauthorized or Failed.
        https://docs.aws.amazon.com/apigateway/latest/developerguide/configure-api-gateway-lambda-authorization.html
        """
        now = self._core.scheduler.now()
        until, answer = self._cache.get(identity, (0.0, {}))
        if until > now:
            return answer
        if not self._lambdas.admits(self._function, SERVICE, self._arn, self._role):
            raise Failed
        source = self._core.path_of(self._arn.split("/", maxsplit=1)[0].rpartition(":")[2])
        result = self._lambdas.invoke(self._function, json.dumps(event), source=source)
        if result.failed:
            message = str(result.payload.get("errorMessage"))
            raise Unauthorized(message) if message == "Unauthorized" else Failed
        answer = result.payload
        if not isinstance(answer, dict):
            raise Failed
        if identity:
            self._cache[identity] = (now + self._ttl_s, answer)
        return answer


class RequestAuthorizer(_LambdaAuthorizer):
    """An authorizer of a REST API, of the type TOKEN or REQUEST.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
    """

    def __init__(
        self, core: Core, lambdas: LambdaService, properties: Mapping[str, Any], *, arn: str
    ) -> None:
        super().__init__(
            *(core, lambdas, str(properties["AuthorizerUri"])),
            arn=arn,
            role=properties.get("AuthorizerCredentials"),
            ttl_s=int(properties.get("AuthorizerResultTtlInSeconds", _TTL_S)),
        )
        self._is_token = properties["Type"] == "TOKEN"
        self._sources = [
            each.strip()
            for each in str(properties.get("IdentitySource", "")).split(",")
            if each.strip()
        ]
        self._expression = properties.get("IdentityValidationExpression")

    def decide(self, method_arn: str, event: dict[str, Any]) -> Permitted:
        """Decides about a request, whose event is that of a proxy integration; raises Refused."""
        identity = tuple(str(self._identity(source, event) or "") for source in self._sources)
        if self._sources and not all(identity):
            raise Refused(401, "Unauthorized")
        if self._expression and not re.fullmatch(self._expression, identity[0]):
            raise Refused(401, "Unauthorized")
        try:
            answer = self._ask(identity, self._event(method_arn, event, identity))
        except Unauthorized as unauthorized:
            raise Refused(401, str(unauthorized)) from None
        except Failed:
            raise Refused(500, None) from None
        if "policyDocument" not in answer:
            raise Refused(500, None)
        if not _allows(answer["policyDocument"], method_arn):
            explicit = _denies(answer["policyDocument"], method_arn)
            message = f"{_DENIED} with an explicit deny" if explicit else _DENIED
            raise Refused(403, message, "Message")
        context = {
            "principalId": answer.get("principalId"),
            **{name: str(value) for name, value in (answer.get("context") or {}).items()},
        }
        return Permitted(context, answer.get("usageIdentifierKey"))

    def _identity(self, source: str, event: Mapping[str, Any]) -> Any:
        first, _, rest = source.partition(".")
        if first == "context":
            return event["requestContext"].get(rest)
        if first == "stageVariables":
            return (event["stageVariables"] or {}).get(rest)
        kind, _, name = rest.removeprefix("request.").partition(".")
        if kind == "header":
            headers = {key.lower(): value for key, value in event["headers"].items()}
            return headers.get(name.lower())
        return (event["queryStringParameters"] or {}).get(name)

    def _event(
        self, method_arn: str, event: dict[str, Any], identity: tuple[str, ...]
    ) -> dict[str, Any]:
        if self._is_token:
            return {
                "type": "TOKEN",
                "methodArn": method_arn,
                "authorizationToken": identity[0],
            }
        return {"type": "REQUEST", "methodArn": method_arn, **_without_body(event)}


class HttpAuthorizer(_LambdaAuthorizer):
    """A Lambda authorizer of an HTTP API.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
    """

    def __init__(
        self, core: Core, lambdas: LambdaService, properties: Mapping[str, Any], *, arn: str
    ) -> None:
        super().__init__(
            *(core, lambdas, str(properties["AuthorizerUri"])),
            arn=arn,
            role=properties.get("AuthorizerCredentialsArn"),
            ttl_s=int(properties.get("AuthorizerResultTtlInSeconds", 0)),
        )
        self._sources = properties.get("IdentitySource", [])
        self._format = str(properties["AuthorizerPayloadFormatVersion"])
        self._is_simple = str(properties.get("EnableSimpleResponses", False)).lower() == "true"

    def decide(self, route_arn: str, event: dict[str, Any]) -> dict[str, Any]:
        """Returns what the event for the integration has of the authorizer; raises Refused.

        ``event`` is that of a proxy integration, in format 2.0.
        """
        identity = tuple(str(http_mappings.value(each, event) or "") for each in self._sources)
        if not all(identity):
            raise Refused(401, "Unauthorized")
        try:
            answer = self._ask(identity, self._event(route_arn, event, identity))
        except Unauthorized:
            raise Refused(401, "Unauthorized") from None
        except Failed:
            raise Refused(500, "Internal Server Error") from None
        if self._is_simple:
            allowed = answer.get("isAuthorized")
            if not isinstance(allowed, bool):
                raise Refused(500, "Internal Server Error")
        elif "policyDocument" not in answer:
            raise Refused(500, "Internal Server Error")
        else:
            allowed = _allows(answer["policyDocument"], route_arn)
        if not allowed:
            raise Refused(403, "Forbidden")
        context = dict(answer.get("context") or {})
        if not self._is_simple:
            context["principalId"] = answer.get("principalId")
        return {"lambda": context}

    def _event(
        self, route_arn: str, event: dict[str, Any], identity: tuple[str, ...]
    ) -> dict[str, Any]:
        if self._format == "1.0":
            token = ",".join(identity)
            return {
                **_without_body(as_format_1(event)),
                "type": "REQUEST",
                "methodArn": route_arn,
                "identitySource": token,
                "authorizationToken": token,
            }
        return {
            **_without_body(event),
            "type": "REQUEST",
            "routeArn": route_arn,
            "identitySource": list(identity) or None,
        }


def _without_body(event: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("body", "isBase64Encoded")}


def _allows(document: Any, arn: str) -> bool:
    return identity_allows([document], action="execute-api:Invoke", resource=arn, context={})


def _denies(document: Any, arn: str) -> bool:
    """Whether a statement of a policy denies a request."""
    statements = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    denials = [{**each, "Effect": "Allow"} for each in listed if each.get("Effect") == "Deny"]
    return _allows({"Statement": denials}, arn)
