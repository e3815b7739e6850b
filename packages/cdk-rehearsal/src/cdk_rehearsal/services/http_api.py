"""HTTP APIs of API Gateway: routes, authorizers and Lambda proxy integrations."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from math import inf
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, unquote

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import LoadingError, RehearsalError, Unsupported
from cdk_rehearsal.faults import Arrival
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.properties import is_unresolved
from cdk_rehearsal.services.functions import Function, InvocationResult, PayloadTooLarge, Throttled
from cdk_rehearsal.services.http_formats import (
    Cors,
    as_format_1,
    caller_of,
    from_format_1,
    iam_context,
)
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.texts import trace_header
from cdk_rehearsal.services.tokens import Forbidden, Issuer, JwtAuthorizer, Unauthorized

_VARIABLE = re.compile(r"\{([\w.:-]+)(\+?)\}", re.ASCII)
# What the documentation calls binary was measured: even forms are, and what has no type at all.
# https://github.com/ministackorg/ministack/pull/766
_TEXT_TYPES = re.compile(r"text/|application/(json|javascript|xml)\s*(;|$)")
_TYPE = "AWS::ApiGatewayV2::"
SOURCE_IP = _SOURCE_IP = "198.51.100.7"

Headers = Mapping[str, str | Iterable[str]]


@dataclass(frozen=True)
class HttpResponse:
    """An answer; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: str
    cookies: list[str] = field(default_factory=list)
    is_base64: bool = False

    def json(self) -> Any:
        """Returns the decoded body; None if there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    cookies: list[str]
    body: str | None
    is_base64: bool
    size: int
    sent: dict[str, list[str]] = field(default_factory=dict)
    """All values of each header, under its name as it was sent."""

    @property
    def header_size(self) -> int:
        """The length of the request line and the values of all headers."""
        line = len(self.method) + len(self.path) + len(self.query) + len("  HTTP/1.1")
        return line + sum(map(len, self.headers.values())) + sum(map(len, self.cookies))

    def as_body(self, binary: Iterable[str] = ()) -> tuple[str | None, bool]:
        """Returns the body as text, or in Base64 if its type matches one of these patterns."""
        if self.body is None:
            return None, False
        data = base64.b64decode(self.body) if self.is_base64 else self.body.encode()
        kind = self.headers.get("content-type", "").partition(";")[0].strip()
        if any(re.fullmatch(pattern, kind) for pattern in binary):
            return base64.b64encode(data).decode(), True
        return data.decode("utf-8", "replace"), False

    @property
    def content(self) -> bytes:
        """The body, byte for byte as it was sent."""
        sent = self.body or ""
        return base64.b64decode(sent) if self.is_base64 else sent.encode()

    def with_changes(self, headers: Mapping[str, str] | None, body: bytes | None) -> _Request:
        """Returns this request with other headers or another body, if given."""
        content = self.content if body is None else body
        changed = {**(self.headers if headers is None else headers)}
        changed["content-length"] = str(len(content))
        text, is_base64 = _encoded(content, changed.get("content-type", ""))
        return replace(self, headers=changed, body=text, is_base64=is_base64, size=len(content))

    @property
    def parameters(self) -> dict[str, str]:
        """The query's parameters; those of one name are joined with commas."""
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            found.setdefault(name, []).append(value)
        return {name: ",".join(values) for name, values in found.items()}


@dataclass(frozen=True)
class _Route:
    key: str
    function: Function
    timeout_s: float
    authorizer: JwtAuthorizer | None
    scopes: list[str]
    is_signed: bool
    """Whether requests have to be signed: AWS_IAM."""
    format: str
    """The version of the payload format."""

    @property
    def method(self) -> str:
        return self.key.partition(" ")[0]

    @property
    def segments(self) -> list[str]:
        return self.key.partition(" ")[2].split("/")[1:]

    def match(self, method: str, segments: list[str]) -> dict[str, str] | None:
        """Returns the path parameters of a request that this route takes, else None."""
        return template_match(self.segments, segments) if self.method in (method, "ANY") else None

    def rank(self) -> tuple[list[int], bool]:
        """Returns what sorts the most specific route first."""
        kinds = []
        for part in self.segments:
            variable = _VARIABLE.fullmatch(part)
            kinds.append(0 if variable is None else 2 if variable[2] else 1)
        return kinds, self.method == "ANY"


HttpRequest = _Request


def template_match(template: list[str], segments: list[str]) -> dict[str, str] | None:
    """Returns the parameters of a path that a template such as `items/{id}` matches, else None."""
    parameters: dict[str, str] = {}
    for position, part in enumerate(template):
        variable = _VARIABLE.fullmatch(part)
        if position >= len(segments):
            return None
        if variable is None:
            if part != segments[position]:
                return None
        elif variable[2]:
            parameters[variable[1]] = unquote("/".join(segments[position:]))
            return parameters if parameters[variable[1]] else None
        elif segments[position]:
            parameters[variable[1]] = unquote(segments[position])
        else:
            return None
    return parameters if len(segments) == len(template) else None


class Api(Protocol):
    """An API that clients can call."""

    path: str
    domain: str
    _stage: str

    @property
    def routes(self) -> Sequence[Any]:
        """Its routes, each with an ``authorizer`` or None, and ``scopes``."""

    def respond(self, request: _Request) -> HttpResponse:
        """Answers a request; to be called in a process."""


class _Bucket:
    """The token bucket of one route: each request takes a token.

    The settings of a stage apply to each of its routes, not to all of them together:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
    The limits of an account are not rehearsed.
    """

    def __init__(self, settings: Mapping[str, Any], now: Callable[[], float]) -> None:
        rate = settings.get("ThrottlingRateLimit")
        burst = settings.get("ThrottlingBurstLimit", rate)
        self._rate = inf if rate is None else float(rate)
        self._burst = inf if burst is None else float(burst)
        self._tokens, self._now, self._at = self._burst, now, now()

    def take(self) -> bool:
        """Takes a token, if there is one."""
        if self._rate == inf:
            return True
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class HttpFront:
    """The HTTP and REST APIs of a rehearsal, as clients see them.

    Signed requests are those of the key that handlers have; what the caller's role permits is not
    evaluated.
    """

    def __init__(self, core: Core, lambdas: LambdaService, resources: Sequence[Resource]) -> None:
        """Reads the APIs of the loaded resources.

        Raises LoadingError with everything in them that is not supported.
        """
        if problems := unsupported(resources):
            raise LoadingError(problems)
        self._core = core
        self._issuers: dict[str, Issuer] = {}
        self._numbers = count(1)
        self._apis: dict[str, Api] = {
            resource.path: _Api(core, lambdas, resources, resource, self.issuer)
            for resource in resources
            if resource.type == f"{_TYPE}Api"
        }

    def add(self, api: Api) -> None:
        """Adds an API of another kind."""
        self._apis[api.path] = api

    @property
    def base_paths(self) -> dict[str, str]:
        """The prefix of all paths of an API, which is its stage, by the API's construct path."""
        return {
            path: "" if api._stage == "$default" else f"/{api._stage}"
            for path, api in self._apis.items()
        }

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Headers | None = None,
        body: Any = None,
        api: str | None = None,
    ) -> HttpResponse:
        """Sends a request and waits for the answer, in a process or from outside.

        ``path`` may have a query. A ``body`` that is neither text nor bytes is sent as JSON.
        ``api`` is the construct path of the API, if there is more than one.
        """
        front = self._api(api)
        trace = trace_header(self._core.scheduler.now(), f"{next(self._numbers):x}")
        request = _prepared(method, path, headers or {}, body, front.domain, trace)
        return cast(HttpResponse, self._core.scheduler.call(front.respond, request))

    def token(
        self, subject: str, *, api: str | None = None, authorizer: str | None = None, **claims: Any
    ) -> str:
        """Returns a token for ``subject`` that an authorizer accepts for all its routes.

        ``authorizer`` is its name, if the API's routes have more than one. ``claims`` replace those
        of such a token; one that is None is left out.
        """
        front = self._api(api)
        named = {
            route.authorizer.name: route.authorizer for route in front.routes if route.authorizer
        }
        if not named:
            raise RehearsalError(
                f"no route of {front.path} has an authorizer, so none takes tokens"
            )
        if authorizer is None and len(named) == 1:
            (authorizer,) = named
        if authorizer not in named:
            raise RehearsalError(
                f"which authorizer? {front.path} has {', '.join(sorted(named))}; "
                "name one as authorizer="
            )
        accepts: JwtAuthorizer = named[authorizer]
        routes = [route for route in front.routes if route.authorizer is accepts]
        scopes = sorted({scope for route in routes for scope in route.scopes})
        usual = {"scope": " ".join(scopes) or None, "jti": self._core.new_id()}
        return accepts.token(subject, self._core.scheduler.now(), {**usual, **claims})

    def issuer(self, url: str) -> Issuer:
        """Returns the issuer of tokens at a URL."""
        if url not in self._issuers:
            self._issuers[url] = Issuer(url, self._core.account)
        return self._issuers[url]

    def _api(self, path: str | None) -> Api:
        if path is None and len(self._apis) == 1:
            return next(iter(self._apis.values()))
        if path not in self._apis:
            raise RehearsalError(
                f"which API? There are {', '.join(self._apis) or 'none'}; name one as api="
            )
        return self._apis[path]


class _Api:
    def __init__(
        self,
        core: Core,
        lambdas: LambdaService,
        resources: Sequence[Resource],
        resource: Resource,
        issuer: Callable[[str], Issuer],
    ) -> None:
        self._core = core
        self._lambdas = lambdas
        self._issuer = issuer
        self.path = resource.path
        self._id = resource.physical_id
        self.domain = f"{self._id}.execute-api.{core.region}.amazonaws.com"
        (stage,) = _parts(resource, "Stage", resources)
        self._stage: str = stage.properties["StageName"]
        self._variables = stage.properties.get("StageVariables")
        by_default = stage.properties.get("DefaultRouteSettings", {})
        by_route = stage.properties.get("RouteSettings", {})
        cors = resource.properties.get("CorsConfiguration")
        self._cors = Cors(cors) if cors else None
        self._authorizers = {
            each.physical_id: self._authorizer(each)
            for each in _parts(resource, "Authorizer", resources)
        }
        routes = {
            each.properties["RouteKey"]: self._route(each, resources)
            for each in _parts(resource, "Route", resources)
        }
        self._default = routes.pop("$default", None)
        self._routes = sorted(routes.values(), key=_Route.rank)
        self._buckets = {
            route.key: _Bucket(by_route.get(route.key, by_default), core.scheduler.now)
            for route in self.routes
        }

    @property
    def routes(self) -> list[_Route]:
        """All routes, the most specific first."""
        return self._routes + ([self._default] if self._default else [])

    def respond(self, request: _Request) -> HttpResponse:
        """Answers a request; to be called in a process."""
        route, parameters = self._find(request)
        core = self._core
        fault = core.faults.strike("request", self.path, route.function.path) if route else None
        if fault is None:
            return self._respond(route, request, parameters)

        def deliver(
            *, headers: Mapping[str, str] | None = None, body: bytes | None = None
        ) -> HttpResponse:
            sent = request.with_changes(headers, body)
            return self._respond(route, sent, parameters, fault=fault.name)

        arrival = Arrival(
            request.method,
            request.path,
            request.headers,
            request.content,
            deliver,
            core.scheduler.sleep,
        )
        return cast(HttpResponse, fault.effect(arrival))

    def _respond(
        self,
        route: _Route | None,
        request: _Request,
        parameters: dict[str, str],
        **more: str,
    ) -> HttpResponse:
        started = self._core.scheduler.now()
        context: dict[str, str] = {}
        if self._cors and Cors.is_preflight(request.method, request.headers):
            headers = self._cors.headers(request.headers["origin"], preflight=True)
            answer = HttpResponse(204, headers, "")
        elif request.header_size > LIMITS["apigatewayv2.header_bytes"]:
            answer = _message(431, "Request Header Fields Too Large")
        elif request.size > LIMITS["apigatewayv2.payload_bytes"]:
            answer = _message(413, "Request Entity Too Large")
        elif route is None:
            answer = _message(404, "Not Found")
        elif not self._buckets[route.key].take():
            answer = _message(429, "Too Many Requests")
        else:
            answer = self._answer(route, request, parameters, context)
        self._core.meter.add(
            "request",
            self._core.caller(),
            self.path,
            method=request.method,
            path=request.path,
            route=route.key if route else None,
            status=answer.status,
            api_id=self._id,
            stage=self._stage,
            latency_s=self._core.scheduler.now() - started,
            context=context,
            **more,
        )
        return answer

    def _answer(
        self,
        route: _Route,
        request: _Request,
        parameters: dict[str, str],
        context: dict[str, str],
    ) -> HttpResponse:
        """Answers for a route; adds to ``context`` what only this request's log entry has."""
        identity: dict[str, Any] | None = None
        if route.authorizer is not None:
            try:
                identity = route.authorizer.authorize(
                    request.headers, request.parameters, route.scopes
                ).context()
            except Unauthorized as error:
                context["authorizer.error"] = str(error)
                return _refusal(401, "Unauthorized", "invalid_token", error, [])
            except Forbidden as error:
                context["authorizer.error"] = str(error)
                return _refusal(403, "Forbidden", "insufficient_scope", error, route.scopes)
        if route.is_signed:
            try:
                identity = iam_context(self._signer(request), self._core.account)
            except Forbidden:
                return _message(403, "Forbidden")
        if not self._may_invoke(route):
            context["integrationErrorMessage"] = "API Gateway may not invoke the function"
            return _message(500, "Internal Server Error")
        event = self._event(route, request, parameters, identity)
        if route.format == "1.0":
            event = as_format_1(event)
        context["requestId"] = event["requestContext"]["requestId"]
        answer, problem = self._invoked(route, json.dumps(event))
        if problem:
            context["integrationErrorMessage"] = problem
        if self._cors is None:
            return answer
        added = self._cors.headers(request.headers.get("origin"), preflight=False)
        return replace(answer, headers={**Cors.without(answer.headers), **added})

    def _signer(self, request: _Request) -> str:
        body = request.body or ""
        prefix = "" if self._stage == "$default" else f"/{self._stage}"
        query = f"?{request.query}" if request.query else ""
        return caller_of(
            request.method,
            f"https://{self.domain}{prefix}{request.path}{query}",
            request.headers,
            base64.b64decode(body) if request.is_base64 else body.encode(),
            self._core.region,
            self._core.scheduler.now(),
        )

    def _invoked(self, route: _Route, payload: str) -> tuple[HttpResponse, str | None]:
        """Invokes the function within the integration's timeout, after which it goes on alone."""
        scheduler = self._core.scheduler
        process = scheduler.spawn(
            lambda: self._lambdas.invoke(route.function, payload, source=self.path),
            name=f"{route.key} of {self.path}",
        )
        if not process.join(route.timeout_s):
            return _message(503, "Service Unavailable"), "the function takes too long"
        try:
            result: InvocationResult = process.result()
        except Throttled:
            return _message(503, "Service Unavailable"), "the function is throttled"
        except PayloadTooLarge:
            return _message(413, "Request Entity Too Large"), "the request is too large"
        if result.failed:
            problem = f"the function failed: {result.payload.get('errorType')}"
            return _message(500, "Internal Server Error"), problem
        answer = _interpreted(result.payload, route.format)
        if answer is None:
            return _message(500, "Internal Server Error"), "the function's answer is malformed"
        return answer, None

    def _find(self, request: _Request) -> tuple[_Route | None, dict[str, str]]:
        """Returns the route that takes a request: the first match, the most specific first.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
        """
        segments = request.path.split("/")[1:]
        for route in self._routes:
            parameters = route.match(request.method, segments)
            if parameters is not None:
                return route, parameters
        return self._default, {}

    def _may_invoke(self, route: _Route) -> bool:
        """Whether the function's policy lets this API call it for a route.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
        """
        core, key = self._core, route.key.replace(" ", "", 1)
        api = f"arn:aws:execute-api:{core.region}:{core.account}:{self._id}"
        source = f"{api}/{self._stage}/{key}"
        return self._lambdas.admits(route.function, "apigateway.amazonaws.com", source)

    def _event(
        self,
        route: _Route,
        request: _Request,
        parameters: dict[str, str],
        identity: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Returns the event for the function, in format 2.0.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
        """
        now = self._core.scheduler.now()
        path = unquote(request.path)
        if self._stage != "$default":
            path = f"/{self._stage}{path}"
        context = {
            "accountId": self._core.account,
            "apiId": self._id,
            "authorizer": identity,
            "domainName": self.domain,
            "domainPrefix": self._id,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": _SOURCE_IP,
                "userAgent": request.headers["user-agent"],
            },
            "requestId": self._core.new_id(),
            "routeKey": route.key,
            "stage": self._stage,
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        }
        event = {
            "version": "2.0",
            "routeKey": route.key,
            "rawPath": path,
            "rawQueryString": request.query,
            "cookies": request.cookies or None,
            "headers": request.headers,
            "queryStringParameters": request.parameters or None,
            "requestContext": {k: v for k, v in context.items() if v is not None},
            "body": request.body,
            "pathParameters": parameters or None,
            "isBase64Encoded": request.is_base64,
            "stageVariables": self._variables or None,
        }
        return {name: value for name, value in event.items() if value is not None}

    # -- reading the template -------------------------------------------------------------

    def _authorizer(self, resource: Resource) -> JwtAuthorizer:
        properties = resource.properties
        configuration = properties["JwtConfiguration"]
        return JwtAuthorizer(
            properties["Name"],
            self._issuer(configuration["Issuer"]),
            configuration.get("Audience", []),
            properties.get("IdentitySource", ["$request.header.Authorization"]),
            self._core.scheduler.now,
        )

    def _route(self, resource: Resource, resources: Sequence[Resource]) -> _Route:
        properties = resource.properties
        integration = _named(properties, "Target", "Integration", resources)
        function = _function(integration, resources)
        authorizer = None
        if properties.get("AuthorizationType") == "JWT":
            authorizer = self._authorizers[properties["AuthorizerId"]]
        timeout_ms = int(
            integration.properties.get("TimeoutInMillis", LIMITS["apigatewayv2.timeout_ms"])
        )
        return _Route(
            properties["RouteKey"],
            self._lambdas.functions[function.attributes["Arn"]],
            timeout_ms / 1000,
            authorizer,
            properties.get("AuthorizationScopes", []),
            properties.get("AuthorizationType") == "AWS_IAM",
            integration.properties.get("PayloadFormatVersion", "1.0"),
        )


def unsupported(resources: Sequence[Resource]) -> list[Unsupported]:
    """Returns everything in HTTP APIs that the front does not support.

    ``resources`` are those of the assembly, including those that could not be created.
    """
    problems = [
        Unsupported(
            resource.path,
            resource.where,
            f"the HTTP front does not know {name} = {resource.properties.get(name)!r}",
        )
        for resource in resources
        for name in _unknown(resource, resources)
        if not is_unresolved(resource.properties.get(name))
    ]
    for api in (each for each in resources if each.type == f"{_TYPE}Api"):
        stages = len(_parts(api, "Stage", resources))
        if stages != 1:
            problem = f"{api.path} has {stages} stages; the rehearsal supports exactly one"
            problems.append(Unsupported(api.path, api.where, problem))
    return problems


def _unknown(resource: Resource, resources: Sequence[Resource]) -> Iterator[str]:
    """The properties whose values the front does not know."""
    properties = resource.properties
    if resource.type == f"{_TYPE}Integration":
        if properties.get("PayloadFormatVersion", "1.0") not in {"1.0", "2.0"}:
            yield "PayloadFormatVersion"
        if _function(resource, resources) is None:
            yield "IntegrationUri"
    elif resource.type == f"{_TYPE}Route":
        if _named(properties, "Target", "Integration", resources) is None:
            yield "Target"
        kind = properties.get("AuthorizationType", "NONE")
        if kind not in {"NONE", "JWT", "AWS_IAM"}:
            yield "AuthorizationType"
        elif kind == "JWT" and not _named(properties, "AuthorizerId", "Authorizer", resources):
            yield "AuthorizerId"


def _parts(api: Resource, kind: str, resources: Sequence[Resource]) -> list[Resource]:
    """The resources of a kind that belong to an API."""
    return [
        each
        for each in resources
        if each.type == f"{_TYPE}{kind}" and each.properties.get("ApiId") == api.physical_id
    ]


def _named(properties: dict[str, Any], name: str, kind: str, resources: Sequence[Resource]) -> Any:
    """The resource of a kind whose id is the value of a property; None if there is none."""
    identifier = str(properties.get(name)).removeprefix("integrations/")
    return next(
        (r for r in resources if r.type == f"{_TYPE}{kind}" and r.physical_id == identifier), None
    )


def _function(integration: Resource, resources: Sequence[Resource]) -> Any:
    """The function whose ARN is, or is a part of, an integration's URI; None if there is none."""
    uri = str(integration.properties.get("IntegrationUri"))
    for resource in resources:
        if resource.type == "AWS::Lambda::Function":
            # A function that could not be created has no ARN: its name stands for it.
            identifier = re.escape(resource.attributes.get("Arn", resource.physical_id))
            if re.search(rf"{identifier}(:\$LATEST)?(/|$)", uri):
                return resource
    return None


def _prepared(
    method: str, path: str, headers: Headers, body: Any, domain: str, trace: str
) -> _Request:
    """Returns a request as API Gateway sees it: header names lower-case, values of one joined."""
    if not path.startswith("/"):
        raise RehearsalError(f"the path {path!r} does not begin with a slash")
    path, _, query = path.partition("?")
    joined = {
        name.lower(): value if isinstance(value, str) else ",".join(value)
        for name, value in headers.items()
    }
    if body is not None and not isinstance(body, str | bytes):
        body = json.dumps(body)
        joined.setdefault("content-type", "application/json")
    text, is_base64 = _encoded(body, joined.get("content-type", ""))
    length = 0 if body is None else len(body.encode() if isinstance(body, str) else body)
    cookies = [part for part in re.split(r";\s*", joined.pop("cookie", "")) if part]
    usual = {
        "content-length": str(length),
        "host": domain,
        "user-agent": "rehearsal",
        "x-amzn-trace-id": trace,
        "x-forwarded-for": _SOURCE_IP,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    all_headers = {**usual, **joined}
    sent = {
        name: [value] if isinstance(value, str) else [*value] for name, value in headers.items()
    }
    known = {name.lower() for name in sent}
    sent |= {name.title(): [value] for name, value in all_headers.items() if name not in known}
    return _Request(
        method.upper(), path, query, all_headers, cookies, text, is_base64, length, sent
    )


def _encoded(body: str | bytes | None, content_type: str) -> tuple[str | None, bool]:
    """Returns a body as it stands in the event: text as it is, anything else in Base64.

    Either way it is byte for byte what was sent, so that signatures hold.
    """
    if not body:
        return None, False
    if _TEXT_TYPES.match(content_type.lower()):
        try:
            return body if isinstance(body, str) else body.decode(), False
        except UnicodeDecodeError:
            pass
    data = body.encode() if isinstance(body, str) else body
    return base64.b64encode(data).decode(), True


def _interpreted(answer: Any, version: str) -> HttpResponse | None:
    """Returns the response that a function's answer stands for; None if it is malformed.

    Format 1.0 needs a status code; format 2.0 takes anything without a status code for a JSON body:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    if version == "1.0":
        answer = from_format_1(answer)
        if answer is None:
            return None
    if not isinstance(answer, dict) or "statusCode" not in answer:
        text = answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":"))
        return HttpResponse(200, {"content-type": "application/json"}, text)
    status = str(answer["statusCode"])
    headers = answer.get("headers") or {}
    body = answer.get("body")
    cookies = answer.get("cookies") or []
    well_formed = (
        re.fullmatch("[1-5][0-9]{2}", status)
        and isinstance(headers, dict)
        and isinstance(cookies, list)
        and (body is None or isinstance(body, str))
        and not any(isinstance(value, dict | list) for value in headers.values())
    )
    if not well_formed:
        return None
    texts = {name.lower(): _header(value) for name, value in headers.items()}
    return HttpResponse(
        int(status),
        {"content-type": "text/plain;charset=UTF-8", **texts},
        body or "",
        cookies,
        bool(answer.get("isBase64Encoded")),
    )


def _header(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _message(status: int, message: str) -> HttpResponse:
    # API Gateway writes its own messages without spaces.
    body = json.dumps({"message": message}, separators=(",", ":"))
    return HttpResponse(status, {"content-type": "application/json"}, body)


def _refusal(
    status: int, message: str, kind: str, error: Exception, scopes: list[str]
) -> HttpResponse:
    challenge = "Bearer"
    if str(error):
        scope = " ".join(scopes)
        challenge += f' scope="{scope}" error="{kind}" error_description="{error}"'
    answer = _message(status, message)
    answer.headers["www-authenticate"] = challenge
    return answer
