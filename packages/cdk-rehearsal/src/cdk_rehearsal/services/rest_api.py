"""REST APIs of API Gateway: methods, authorizers, validation, API keys and integrations.

Not rehearsed are caches, access logs and signatures: a method with the authorization AWS_IAM takes
each request that is signed at all. https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-rest-api.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from jsonschema import Draft4Validator

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.services.apis import (
    SERVICE,
    SOURCE_IP,
    Api,
    HttpRequest,
    HttpResponse,
    Refused,
    Route,
)
from cdk_rehearsal.services.functions import Function, InvocationResult, PayloadTooLarge, Throttled
from cdk_rehearsal.services.request_authorizer import RequestAuthorizer, function_of
from cdk_rehearsal.services.service_calls import template_scope
from cdk_rehearsal.services.tokens import Forbidden, JwtAuthorizer, Unauthorized
from cdk_rehearsal.services.usage import Usage
from cdk_rehearsal.services.velocity import Velocity

TYPE = "AWS::ApiGateway::"
_OF_CALLER = "arn:aws:iam::*:user/*"
"""Credentials: those of the caller, whose permissions nobody knows here.
https://docs.aws.amazon.com/apigateway/latest/api/API_Integration.html"""
_TIMED_OUT = "Endpoint request timed out"
_MISSING_TOKEN = "Missing Authentication Token"


@dataclass(frozen=True, kw_only=True)
class Method(Route):
    """A method of a resource."""

    resource_id: str
    properties: Mapping[str, Any]
    custom: RequestAuthorizer | None = None
    """The authorizer that is a function."""
    validates: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schemas of bodies, by content type."""

    @property
    def integration(self) -> Mapping[str, Any]:
        """The definition of the integration."""
        return dict(self.properties.get("Integration") or {"Type": "MOCK"})


class RestApi(Api[Method]):
    """A REST API with its one stage."""

    prefix = TYPE
    owner = "RestApiId"

    def _read(self, resource: Resource) -> list[Method]:
        self._name = str(resource.properties.get("Name", ""))
        self._binary = [
            re.escape(each).replace(r"\*", ".*")
            for each in resource.properties.get("BinaryMediaTypes", [])
        ]
        self._variables = self._stage_properties.get("Variables")
        self._usage = Usage(self._core, self.id, self.stage, self._resources)
        self._custom: dict[str, RequestAuthorizer] = {}
        self._pools: dict[str, JwtAuthorizer] = {}
        methods = map(self._method, self._of_kind("Method"))
        return sorted(methods, key=lambda method: method.rank)

    # -- reading the template -------------------------------------------------------------

    def _method(self, resource: Resource) -> Method:
        properties = resource.properties
        kind, authorizer, custom = properties.get("AuthorizationType"), None, None
        if kind == "COGNITO_USER_POOLS":
            authorizer = self._pool(properties["AuthorizerId"])
        elif kind == "CUSTOM":
            identifier = properties["AuthorizerId"]
            custom = self._custom.setdefault(
                identifier,
                RequestAuthorizer(
                    *(self._core, self._lambdas, self._parts[identifier].properties),
                    arn=f"{self._arn}/authorizers/{identifier}",
                ),
            )
        validator = self._parts.get(properties.get("RequestValidatorId", ""))
        models = {
            each.physical_id: each.properties.get("Schema", {}) for each in self._of_kind("Model")
        }
        integration = properties.get("Integration", {})
        arn = function_of(str(integration.get("Uri", "")))
        return Method(
            verb=properties["HttpMethod"],
            path=self._path(properties["ResourceId"]),
            authorizer=authorizer,
            scopes=properties.get("AuthorizationScopes", []),
            resource_id=properties["ResourceId"],
            properties=properties,
            custom=custom,
            validates=validator.properties if validator else {},
            models={
                kind: models[name]
                for kind, name in properties.get("RequestModels", {}).items()
                if name in models
            },
            function=self._lambdas.function(arn) if arn else None,
            timeout_s=int(integration.get("TimeoutInMillis", LIMITS["apigateway.timeout_ms"]))
            / 1000,
        )

    def _pool(self, identifier: str) -> JwtAuthorizer:
        """The authorizer that takes tokens of all clients of a user pool."""
        if identifier not in self._pools:
            stated = self._parts[identifier].properties
            pool = stated["ProviderARNs"][0].rpartition("/")[2]
            clients = [
                each.physical_id
                for each in self._resources
                if each.type == "AWS::Cognito::UserPoolClient"
                and each.properties.get("UserPoolId") == pool
            ]
            self._pools[identifier] = JwtAuthorizer(
                stated["Name"],
                self._issuer(f"https://cognito-idp.{self._core.region}.amazonaws.com/{pool}"),
                clients,
                ["$request.header.Authorization"],
                self._core.scheduler.now,
            )
        return self._pools[identifier]

    def _path(self, resource_id: str) -> str:
        """The path of a resource, from the parts of its parents."""
        part = self._parts.get(resource_id)
        if part is None or part.type != f"{TYPE}Resource":
            return ""
        return f"{self._path(part.properties['ParentId'])}/{part.properties['PathPart']}"

    # -- answering ------------------------------------------------------------------------

    @property
    def _dimension(self) -> Mapping[str, str]:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html."""
        return {"ApiName": self._name}

    def _throttle(self, method: Method) -> Mapping[str, Any]:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html."""
        settings = {
            (each.get("ResourcePath"), each.get("HttpMethod")): each
            for each in self._stage_properties.get("MethodSettings", [])
        }
        path = "/" + (method.path or "/").replace("/", "~1")
        return settings.get((path, method.verb)) or settings.get(("/*", "*")) or {}

    def _find(self, request: HttpRequest) -> tuple[Method | None, dict[str, str]]:
        return super()._find(replace(request, path=request.path.rstrip("/")))

    def _answer(
        self,
        method: Method | None,
        request: HttpRequest,
        parameters: dict[str, str],
        context: dict[str, str],
    ) -> HttpResponse:
        if method is None:
            raise Refused(403, _MISSING_TOKEN)
        call = _Call(self, method, request, parameters)
        request.check_size("apigateway", "Request Too Long")
        self._admit(method)
        self._authorize(method, call)
        if method.properties.get("ApiKeyRequired"):
            key = call.request.headers.get("x-api-key") or call.usage_key
            if problem := self._usage.take(key):
                raise Refused(*problem)
        _validate(method, call)
        kind = method.integration["Type"]
        if kind == "AWS_PROXY":
            return self._proxied(method, call)
        content_type = call.request.headers.get("content-type", "application/json")
        body = _template(method.integration, content_type, call)
        if kind == "MOCK":
            status = json.loads(body or "{}").get("statusCode", 500)
            return _mapped(method.integration, call, int(status), "", str(status))
        uri = str(method.integration["Uri"])
        if method.function is not None:
            result = self._run(method.function, call, body or "{}")
            text = json.dumps(result.payload, separators=(",", ":"))
            message = str(result.payload.get("errorMessage", "")) if result.failed else None
            return _mapped(method.integration, call, 200, text, message)
        role = str(method.integration.get("Credentials"))
        if not self._core.access.is_assumable(role, service=SERVICE):
            raise Refused(500, "Internal server error")
        try:
            status, text = self._within(
                method,
                lambda: self._calls.call(
                    uri, method.integration, body, lambda source: _source(source, call)
                ),
            )
        except TimeoutError:
            raise Refused(504, _TIMED_OUT) from None
        return _mapped(method.integration, call, status, text, str(status))

    def _authorize(self, method: Method, call: _Call) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-to-api.html."""
        request, kind = call.request, method.properties.get("AuthorizationType", "NONE")
        if kind == "AWS_IAM" and request.signer is not None:
            try:
                self._core.access.authorize(request.signer, "execute-api:Invoke", call.arn)
            except Denied as denied:
                raise Refused(403, str(denied), "Message") from None
        elif kind == "AWS_IAM":
            signed = request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 ")
            if not signed and "X-Amz-Signature" not in request.parameters:
                raise Refused(403, _MISSING_TOKEN)
        elif method.authorizer is not None:
            try:
                identity = method.authorizer.authorize(
                    request.headers, request.parameters, list(method.scopes)
                )
            except (Unauthorized, Forbidden):
                raise Refused(401, "Unauthorized") from None
            call.authorizer = {"claims": identity.context()["jwt"]["claims"]}
        elif method.custom is not None:
            permitted = method.custom.decide(call.arn, call.event())
            call.authorizer, call.usage_key = permitted.context, permitted.usage_key

    def _proxied(self, method: Method, call: _Call) -> HttpResponse:
        if method.function is None:
            raise Refused(500, "Internal server error")
        result = self._run(method.function, call, json.dumps(call.event()))
        answer = None if result.failed else _interpreted(result.payload)
        if answer is None:
            raise Refused(502, "Internal server error")
        return answer

    def _run(self, function: Function, call: _Call, payload: str) -> InvocationResult:
        if not self._may_invoke(function, call):
            raise Refused(500, "Internal server error")
        try:
            return self._invoke(function, payload, call.method)
        except TimeoutError:
            raise Refused(504, _TIMED_OUT) from None
        except Throttled:
            raise Refused(500, "Internal server error") from None
        except PayloadTooLarge:
            raise Refused(413, "Request Too Long") from None

    def _may_invoke(self, function: Function, call: _Call) -> bool:
        """Whether the integration's role, or without one the function's policy, permits a call.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/permissions.html
        """
        role = call.method.integration.get("Credentials")
        return role == _OF_CALLER or self._lambdas.admits(function, SERVICE, call.arn, role)


class _Call:
    """One request on its way through a method."""

    def __init__(
        self, api: RestApi, method: Method, request: HttpRequest, parameters: dict[str, str]
    ) -> None:
        self.method, self.request, self.parameters = method, request, parameters
        self.body = request.as_body()[0] or ""
        self.authorizer: dict[str, Any] | None = None
        self.usage_key: str | None = None
        self._api = api
        self._id = api._core.new_id()
        self.arn = f"{api._arn}/{api.stage}/{request.method}{method.path or '/'}"

    @property
    def query(self) -> dict[str, list[str]]:
        """All values of each parameter of the query."""
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.request.query, keep_blank_values=True):
            found.setdefault(name, []).append(value)
        return found

    def context(self) -> dict[str, Any]:
        """Returns the request's context.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
        """
        core, api = self._api._core, self._api
        now = core.scheduler.now()
        identity = dict.fromkeys(
            (
                *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider"),
                *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId"),
                *("user", "userArn"),
            )
        )
        return {
            "resourceId": self.method.resource_id,
            "resourcePath": self.method.path or "/",
            "httpMethod": self.request.method,
            "extendedRequestId": self._id[:16],
            "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "path": f"/{api.stage}{self.request.path}",
            "accountId": core.account,
            "protocol": "HTTP/1.1",
            "stage": api.stage,
            "domainPrefix": api.id,
            "requestTimeEpoch": int(now * 1000),
            "requestId": self._id,
            "identity": {
                **identity,
                "sourceIp": SOURCE_IP,
                "userAgent": self.request.headers["user-agent"],
            },
            "domainName": api.domain,
            "apiId": api.id,
            **({"authorizer": self.authorizer} if self.authorizer else {}),
        }

    def event(self) -> dict[str, Any]:
        """Returns the event of a proxy integration.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
        """
        request, several = self.request, self.request.sent
        body, is_base64 = request.as_body(self._api._binary)
        return {
            "resource": self.method.path or "/",
            "path": unquote(request.path),
            "httpMethod": request.method,
            "headers": {name: values[-1] for name, values in several.items()},
            "multiValueHeaders": several,
            "queryStringParameters": {k: v[-1] for k, v in self.query.items()} or None,
            "multiValueQueryStringParameters": self.query or None,
            "pathParameters": self.parameters or None,
            "stageVariables": self._api._variables,
            "requestContext": self.context(),
            "body": body,
            "isBase64Encoded": is_base64,
        }

    def scope(self, body: str) -> dict[str, Any]:
        """Returns the variables of a mapping template for a body."""
        params = {
            "path": self.parameters,
            "querystring": {name: values[-1] for name, values in self.query.items()},
            "header": {name: values[-1] for name, values in self.request.sent.items()},
        }
        return template_scope(body, params, self.context(), self._api._variables or {})


def _validate(method: Method, call: _Call) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html."""
    if _is_true(method.validates.get("ValidateRequestParameters")):
        missing = [
            name.rpartition(".")[2]
            for name, required in method.properties.get("RequestParameters", {}).items()
            if _is_true(required) and _source(name, call) in (None, "")
        ]
        if missing:
            listed = ", ".join(sorted(missing))
            raise Refused(400, f"Missing required request parameters: [{listed}]")
    if _is_true(method.validates.get("ValidateRequestBody")):
        kind = call.request.headers.get("content-type", "application/json").partition(";")[0]
        model = method.models.get(kind)
        if model is not None:
            try:
                content = json.loads(call.body)
            except ValueError:
                content = None
            if content is None or not Draft4Validator(model).is_valid(content):
                raise Refused(400, "Invalid request body")


def _source(name: str, call: _Call) -> Any:
    """The value of a mapping expression.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
    """
    if name.startswith("'"):
        return name.strip("'")
    first, _, rest = name.partition(".")
    if first == "context":
        return Velocity(f"${name}").render({"context": call.context()})
    if first == "stageVariables":
        return (call._api._variables or {}).get(rest)
    kind, _, member = rest.removeprefix("request.").partition(".")
    if kind == "body":
        scope = call.scope(call.body)
        return scope["input"]["path"](f"$.{member}") if member else call.body
    found = {
        "path": call.parameters,
        "querystring": {key: values[-1] for key, values in call.query.items()},
        "header": call.request.headers,
    }
    return found[kind].get(member.lower() if kind == "header" else member)


def _template(integration: Mapping[str, Any], content_type: str, call: _Call) -> str:
    """The body for an integration: from its template, or as it is.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html
    """
    templates = integration.get("RequestTemplates") or {}
    source = templates.get(content_type.partition(";")[0].strip())
    body = call.body
    if source is not None:
        return Velocity(str(source)).render(call.scope(body))
    behaviour = integration.get("PassthroughBehavior", "WHEN_NO_MATCH")
    if behaviour == "NEVER" or (behaviour == "WHEN_NO_TEMPLATES" and templates):
        raise Refused(415, "Unsupported Media Type")
    return body


def _mapped(
    integration: Mapping[str, Any], call: _Call, status: int, body: str, outcome: str | None
) -> HttpResponse:
    """The answer that an integration's responses make of its outcome.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html
    """
    responses = integration.get("IntegrationResponses", [])
    default = next((each for each in responses if not each.get("SelectionPattern")), None)
    chosen = next(
        (
            each
            for each in responses
            if outcome is not None
            and each.get("SelectionPattern")
            and re.fullmatch(each["SelectionPattern"], outcome, re.DOTALL)
        ),
        default,
    )
    if chosen is None:
        raise Refused(500, "Internal server error")
    templates = chosen.get("ResponseTemplates") or {}
    kind = "application/json" if "application/json" in templates else next(iter(templates), None)
    text = Velocity(str(templates[kind])).render(call.scope(body)) if kind else body
    headers = {"content-type": kind or "application/json"}
    for name, source in (chosen.get("ResponseParameters") or {}).items():
        headers[name.rpartition(".")[2].lower()] = str(source).strip("'")
    return HttpResponse(int(chosen["StatusCode"]), headers, text)


def _interpreted(answer: Any) -> HttpResponse | None:
    """The response of a proxy integration; None if it is malformed.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """
    known = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
    if not isinstance(answer, dict) or not answer.keys() <= known:
        return None
    status, body = str(answer.get("statusCode", 200)), answer.get("body")
    headers = answer.get("headers") or {}
    several = answer.get("multiValueHeaders") or {}
    if (
        not re.fullmatch("[1-5][0-9]{2}", status)
        or not isinstance(body, str | None)
        or not isinstance(headers, dict)
    ):
        return None
    joined = {
        "content-type": "application/json",
        **{name.lower(): str(value) for name, value in headers.items()},
        **{name.lower(): ",".join(map(str, values)) for name, values in several.items()},
    }
    cookies = [*several.get("Set-Cookie", []), *several.get("set-cookie", [])]
    return HttpResponse(
        int(status), joined, body or "", cookies, bool(answer.get("isBase64Encoded"))
    )


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"
