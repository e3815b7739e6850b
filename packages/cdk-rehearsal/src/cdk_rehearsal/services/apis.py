"""What HTTP and REST APIs have in common: requests, routes, throttling, and the clients' view."""

from __future__ import annotations

import base64
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any, Generic, TypeVar, cast
from urllib.parse import parse_qsl, unquote

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.faults import Arrival
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.policies import Principal
from cdk_rehearsal.rates import Bucket
from cdk_rehearsal.services.functions import Function, InvocationResult
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.service_calls import ServiceCalls
from cdk_rehearsal.services.texts import trace_header
from cdk_rehearsal.services.tokens import Issuer, JwtAuthorizer

SERVICE = "apigateway.amazonaws.com"
"""The principal that invokes functions and assumes roles for an API."""
SOURCE_IP = "198.51.100.7"
_VARIABLE = re.compile(r"\{([\w.:-]+)(\+?)\}", re.ASCII)
# What the documentation calls binary was measured: even forms are, and what has no type at all.
# https://github.com/ministackorg/ministack/pull/766
_TEXT_TYPES = re.compile(r"text/|application/(json|javascript|xml)\s*(;|$)")

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
class HttpRequest:
    """A request as API Gateway sees it: header names are lower-case, values of one are joined."""

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
    signer: Principal | None = None
    """The session of a role that is to be taken for the signer."""

    def check_size(self, service: str, too_large: str) -> None:
        """Raises Refused if the headers or the body exceed the limits of this kind of API."""
        line = len(self.method) + len(self.path) + len(self.query) + len("  HTTP/1.1")
        values = sum(map(len, self.headers.values())) + sum(map(len, self.cookies))
        if line + values > LIMITS[f"{service}.header_bytes"]:
            raise Refused(431, "Request Header Fields Too Large")
        if self.size > LIMITS[f"{service}.payload_bytes"]:
            raise Refused(413, too_large)

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

    def with_changes(self, headers: Mapping[str, str] | None, body: bytes | None) -> HttpRequest:
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


@dataclass(frozen=True, kw_only=True)
class Route:
    """What takes some of an API's requests: a route of an HTTP API, or a method of a REST API."""

    verb: str
    """The method, or ``ANY``."""
    path: str
    """The template, such as ``/items/{id}``."""
    authorizer: JwtAuthorizer | None = None
    """The authorizer that checks tokens."""
    scopes: Sequence[str] = ()
    """The scopes of which a token needs one."""
    function: Function | None = None
    """The function that answers, if one does."""
    timeout_s: float
    """The time within which the integration has to answer."""

    @property
    def key(self) -> str:
        """The name in records."""
        return f"{self.verb} {self.path or '/'}"

    @cached_property
    def segments(self) -> list[str]:
        """The parts of the template."""
        return self.path.split("/")[1:]

    @cached_property
    def rank(self) -> tuple[list[int], bool]:
        """A key that sorts the most specific route first."""
        kinds = []
        for part in self.segments:
            variable = _VARIABLE.fullmatch(part)
            kinds.append(0 if variable is None else 2 if variable[2] else 1)
        return kinds, self.verb == "ANY"


R = TypeVar("R", bound=Route)
T = TypeVar("T")


class Refused(Exception):
    """A request that API Gateway answers itself."""

    def __init__(self, status: int, message: str | None, key: str = "message") -> None:
        super().__init__(message)
        # API Gateway writes its own messages without spaces.
        body = json.dumps({key: message}, separators=(",", ":"))
        self.answer = HttpResponse(status, {"content-type": "application/json"}, body)


class Endpoint(ABC, Generic[R]):
    """What answers requests at a domain of its own, as clients see it."""

    stage = "$default"
    """The stage, which all paths begin with if it has a name of its own."""
    routes: Sequence[R] = ()
    """All routes, the most specific first."""

    def __init__(
        self, core: Core, lambdas: LambdaService, resource: Resource, identifier: str, domain: str
    ) -> None:
        """``domain`` is the service's, which follows the identifier."""
        self._core = core
        self._lambdas = lambdas
        self.path = resource.path
        self.id = identifier
        self.domain = f"{identifier}.{domain}"

    @abstractmethod
    def _answer(
        self,
        route: R | None,
        request: HttpRequest,
        parameters: dict[str, str],
        context: dict[str, str],
    ) -> HttpResponse:
        """Answers a request; adds to ``context`` what only its log entry has. May raise Refused."""

    @property
    @abstractmethod
    def _dimension(self) -> Mapping[str, str]:
        """The dimension of the metrics."""

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Answers a request; to be called in a process."""
        route, parameters = self._find(request)
        core = self._core
        fault = None
        if route is not None:
            target = route.function.path if route.function else self.path
            fault = core.faults.strike("request", self.path, target)
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
        self, route: R | None, request: HttpRequest, parameters: dict[str, str], **more: str
    ) -> HttpResponse:
        started = self._core.scheduler.now()
        context: dict[str, str] = {}
        try:
            answer = self._answer(route, request, parameters, context)
        except Refused as refused:
            answer = refused.answer
        self._core.meter.add(
            "request",
            self._core.caller(),
            self.path,
            method=request.method,
            path=request.path,
            route=route.key if route else None,
            status=answer.status,
            api_id=self.id,
            api=self._dimension,
            stage=self.stage,
            latency_s=self._core.scheduler.now() - started,
            size=max(request.size, len(answer.body)),
            context=context,
            **more,
        )
        return answer

    def _find(self, request: HttpRequest) -> tuple[R | None, dict[str, str]]:
        """Returns the route that takes a request, and the parameters in its path."""
        segments = request.path.split("/")[1:]
        for route in self.routes:
            if route.verb in (request.method, "ANY"):
                parameters = template_match(route.segments, segments)
                if parameters is not None:
                    return route, parameters
        return None, {}


class Api(Endpoint[R]):
    """An API with its one stage."""

    prefix: str
    """The beginning of the types of its resources."""
    owner: str
    """The property with which its resources name it."""

    def __init__(
        self,
        core: Core,
        lambdas: LambdaService,
        resources: Sequence[Resource],
        resource: Resource,
        issuer: Callable[[str], Issuer],
    ) -> None:
        """Reads the API from the loaded resources; creators have checked them."""
        domain = f"execute-api.{core.region}.amazonaws.com"
        super().__init__(core, lambdas, resource, resource.physical_id, domain)
        self._issuer = issuer
        self._resources = resources
        self._arn = f"arn:aws:execute-api:{core.region}:{core.account}:{self.id}"
        self._parts = {
            each.physical_id: each
            for each in resources
            if each.type.startswith(self.prefix) and each.properties.get(self.owner) == self.id
        }
        (stage,) = self._of_kind("Stage")
        self._stage_properties = stage.properties
        self.stage = str(stage.properties["StageName"])
        self._buckets: dict[str, Bucket] = {}
        self._calls = ServiceCalls(core, self.path)
        self.routes = self._read(resource)

    @abstractmethod
    def _read(self, resource: Resource) -> Sequence[R]:
        """Reads what only this kind of API has; returns its routes, the most specific first."""

    def _of_kind(self, kind: str) -> list[Resource]:
        """Returns the API's resources of a kind."""
        return [each for each in self._parts.values() if each.type == f"{self.prefix}{kind}"]

    @abstractmethod
    def _throttle(self, route: R) -> Mapping[str, Any]:
        """Returns a route's ``ThrottlingRateLimit`` and ``ThrottlingBurstLimit``, if it has any."""

    @property
    def _dimension(self) -> Mapping[str, str]:
        return {"ApiId": self.id}

    def _admit(self, route: R) -> None:
        """Raises Refused if a route, or the account, has too many requests.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
        """
        if route.key not in self._buckets:
            limits = self._throttle(route)
            rate, burst = (limits.get(f"Throttling{each}Limit") for each in ("Rate", "Burst"))
            self._buckets[route.key] = Bucket(rate, burst, self._core.scheduler.now)
        of_account = self._core.rates.take("apigateway.requests_per_second")
        if not of_account or not self._buckets[route.key].take():
            raise Refused(429, "Too Many Requests")

    def _invoke(self, function: Function, payload: str, route: R) -> InvocationResult:
        """Raises TimeoutError, Throttled or PayloadTooLarge."""
        return self._within(
            route, lambda: self._lambdas.invoke(function, payload, source=self.path)
        )

    def _within(self, route: R, work: Callable[[], T]) -> T:
        """Works within the timeout of a route, after which the work goes on alone.

        Raises TimeoutError.
        """
        process = self._core.scheduler.spawn(work, name=f"{route.key} of {self.path}")
        if not process.join(route.timeout_s):
            raise TimeoutError
        return cast(T, process.result())


class HttpFront:
    """The HTTP and REST APIs and function URLs of a rehearsal, as clients see them.

    A request is signed with the key that handlers have. That of a handler may do what the role of
    its function may; that of a program outside may do everything.
    """

    def __init__(
        self, core: Core, apis: Iterable[Endpoint[Any]], issuer: Callable[[str], Issuer]
    ) -> None:
        self.issuer = issuer
        """Returns the issuer of tokens at a URL."""
        self._core = core
        self._numbers = count(1)
        self._apis = {api.path: api for api in apis}

    @property
    def base_paths(self) -> dict[str, str]:
        """The prefix of all paths of an API, which is its stage, by the API's construct path."""
        return {
            path: "" if api.stage == "$default" else f"/{api.stage}"
            for path, api in self._apis.items()
        }

    @property
    def paths_by_domain(self) -> dict[str, str]:
        """The construct path of each API and function URL, by the domain of its URL."""
        return {api.domain.lower(): path for path, api in self._apis.items()}

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Headers | None = None,
        body: Any = None,
        api: str | None = None,
        role: str | None = None,
    ) -> HttpResponse:
        """Sends a request and waits for the answer, in a process or from outside.

        ``path`` may have a query. A ``body`` that is neither text nor bytes is sent as JSON.
        ``api`` is the construct path of the API or the function's URL, if there is more than one.
        ``role`` is the ARN of a role that signs the request.
        """
        front = self._api(api)
        trace = trace_header(self._core.scheduler.now(), f"{next(self._numbers):x}")
        request = _prepared(method, path, headers or {}, body, front.domain, trace)
        if role is not None:
            request = replace(request, signer=self._core.access.session(role, "rehearsal"))
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

    def _api(self, path: str | None) -> Endpoint[Any]:
        if path is None and len(self._apis) == 1:
            return next(iter(self._apis.values()))
        if path not in self._apis:
            raise RehearsalError(
                f"which API? There are {', '.join(self._apis) or 'none'}; name one as api="
            )
        return self._apis[path]


def _prepared(
    method: str, path: str, headers: Headers, body: Any, domain: str, trace: str
) -> HttpRequest:
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
        "x-forwarded-for": SOURCE_IP,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    all_headers = {**usual, **joined}
    sent = {
        name: [value] if isinstance(value, str) else [*value] for name, value in headers.items()
    }
    known = {name.lower() for name in sent}
    sent |= {name.title(): [value] for name, value in all_headers.items() if name not in known}
    return HttpRequest(
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
