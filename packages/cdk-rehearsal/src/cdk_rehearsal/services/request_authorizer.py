"""Lambda authorizers of REST APIs: functions that answer with a policy, which is cached."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdk_rehearsal.core import Core
from cdk_rehearsal.policies import identity_allows
from cdk_rehearsal.services.apis import SERVICE
from cdk_rehearsal.services.invocation import LambdaService

_TTL_S = 300
_DENIED = "User is not authorized to access this resource"
_FUNCTION = re.compile(r"functions/(arn:[^/]+)/invocations$")


@dataclass(frozen=True)
class Decision:
    """The outcome for one request: the status 200, or the refusal."""

    status: int
    message: str | None = None
    key: str = "message"
    context: dict[str, Any] = field(default_factory=dict)
    usage_key: str | None = None


class RequestAuthorizer:
    """An authorizer of the type TOKEN or REQUEST.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
    """

    def __init__(
        self, core: Core, lambdas: LambdaService, properties: Mapping[str, Any], *, arn: str
    ) -> None:
        found = _FUNCTION.search(str(properties["AuthorizerUri"]))
        self._function = lambdas.function(found[1] if found else "")
        self._core = core
        self._lambdas = lambdas
        self._arn = arn
        self._role = properties.get("AuthorizerCredentials")
        self._is_token = properties["Type"] == "TOKEN"
        self._sources = [
            each.strip()
            for each in str(properties.get("IdentitySource", "")).split(",")
            if each.strip()
        ]
        self._expression = properties.get("IdentityValidationExpression")
        self._ttl_s = int(properties.get("AuthorizerResultTtlInSeconds", _TTL_S))
        self._cache: dict[tuple[str, ...], tuple[float, dict[str, Any]]] = {}

    def decide(self, method_arn: str, event: dict[str, Any]) -> Decision:
        """Returns the decision about a request, whose event is that of a proxy integration."""
        identity = tuple(str(self._identity(source, event) or "") for source in self._sources)
        if self._sources and not all(identity):
            return Decision(401, "Unauthorized")
        if self._expression and not re.fullmatch(self._expression, identity[0]):
            return Decision(401, "Unauthorized")
        now = self._core.scheduler.now()
        until, answer = self._cache.get(identity, (0.0, {}))
        if until <= now:
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/configure-api-gateway-lambda-authorization.html
            if not self._lambdas.admits(self._function, SERVICE, self._arn, self._role):
                return Decision(500, None)
            result = self._lambdas.invoke(
                self._function,
                json.dumps(self._event(method_arn, event, identity)),
                source=self._core.path_of(method_arn.split("/", maxsplit=1)[0].rpartition(":")[2]),
            )
            if result.failed:
                message = str(result.payload.get("errorMessage"))
                unauthorized = message == "Unauthorized"
                return Decision(401, message) if unauthorized else Decision(500, None)
            answer = result.payload
            if not isinstance(answer, dict) or "policyDocument" not in answer:
                return Decision(500, None)
            if identity:
                self._cache[identity] = (now + self._ttl_s, answer)
        return _decision(answer, method_arn)

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
        kept = {key: value for key, value in event.items() if key not in _NOT_FOR_AUTHORIZERS}
        return {"type": "REQUEST", "methodArn": method_arn, **kept}


_NOT_FOR_AUTHORIZERS = {"body", "isBase64Encoded"}


def _decision(answer: dict[str, Any], method_arn: str) -> Decision:
    def allows(document: Any) -> bool:
        return identity_allows(
            [document], action="execute-api:Invoke", resource=method_arn, context={}
        )

    document = answer["policyDocument"]
    if allows(document):
        context = {
            "principalId": answer.get("principalId"),
            **{name: str(value) for name, value in (answer.get("context") or {}).items()},
        }
        return Decision(200, context=context, usage_key=answer.get("usageIdentifierKey"))
    statements = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    denials = [{**each, "Effect": "Allow"} for each in listed if each.get("Effect") == "Deny"]
    explicit = allows({"Statement": denials})
    return Decision(403, f"{_DENIED} with an explicit deny" if explicit else _DENIED, "Message")
