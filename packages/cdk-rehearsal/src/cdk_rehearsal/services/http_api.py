"""HTTP APIs of API Gateway: routes, authorizers and Lambda proxy integrations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import Unsupported
from cdk_rehearsal.properties import is_unresolved
from cdk_rehearsal.services.apis import (
    SERVICE,
    SOURCE_IP,
    Api,
    HttpRequest,
    HttpResponse,
    Refused,
    Route,
)
from cdk_rehearsal.services.functions import Function, PayloadTooLarge, Throttled
from cdk_rehearsal.services.http_formats import (
    Cors,
    as_format_1,
    caller_of,
    from_format_1,
    iam_context,
)
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.tokens import Forbidden, Issuer, JwtAuthorizer, Unauthorized

# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
_MAX_TIMEOUT_MS = 30_000
_MAX_BODY_BYTES = 10 * 1024 * 1024
TYPE = "AWS::ApiGatewayV2::"


@dataclass(frozen=True, kw_only=True)
class HttpRoute(Route):
    """A route of an HTTP API."""

    name: str
    """The route key."""
    function: Function
    timeout_s: float
    is_signed: bool
    """Whether requests have to be signed: AWS_IAM."""
    format: str
    """The version of the payload format."""

    @property
    def key(self) -> str:
        """The route key."""
        return self.name

    @property
    def function_path(self) -> str:
        """The construct path of the function that answers."""
        return self.function.path


class HttpApi(Api[HttpRoute]):
    """An HTTP API with its one stage."""

    prefix = TYPE
    owner = "ApiId"

    def __init__(
        self,
        core: Core,
        lambdas: LambdaService,
        resources: Sequence[Resource],
        resource: Resource,
        issuer: Callable[[str], Issuer],
    ) -> None:
        """Reads the API from the loaded resources; `unsupported` has checked them."""
        super().__init__(core, lambdas, resources, resource, issuer)
        self._variables = self._stage_properties.get("StageVariables")
        cors = resource.properties.get("CorsConfiguration")
        self._cors = Cors(cors) if cors else None
        self._authorizers = {
            each.physical_id: self._authorizer(each) for each in self._of_kind("Authorizer")
        }
        routes = [self._route(each, resources) for each in self._of_kind("Route")]
        self._default = next((route for route in routes if route.key == "$default"), None)
        known = sorted((r for r in routes if r is not self._default), key=lambda r: r.rank)
        self.routes = [*known, *([self._default] if self._default else [])]

    def _throttle(self, route: HttpRoute) -> Mapping[str, Any]:
        """The settings of a stage apply to each of its routes, not to all of them together.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
        """
        by_default = self._stage_properties.get("DefaultRouteSettings", {})
        found: Mapping[str, Any] = self._stage_properties.get("RouteSettings", {}).get(
            route.key, by_default
        )
        return found

    def _find(self, request: HttpRequest) -> tuple[HttpRoute | None, dict[str, str]]:
        """Returns the route that takes a request: the first match, the most specific first.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
        """
        route, parameters = super()._find(request)
        return route or self._default, parameters

    def _answer(
        self,
        route: HttpRoute | None,
        request: HttpRequest,
        parameters: dict[str, str],
        context: dict[str, str],
    ) -> HttpResponse:
        if self._cors and Cors.is_preflight(request.method, request.headers):
            headers = self._cors.headers(request.headers["origin"], preflight=True)
            return HttpResponse(204, headers, "")
        if request.size > _MAX_BODY_BYTES:
            raise Refused(413, "Request Entity Too Large")
        if route is None:
            raise Refused(404, "Not Found")
        self._admit(route)
        identity = self._authorized(route, request, context)
        if not self._may_invoke(route):
            context["integrationErrorMessage"] = "API Gateway may not invoke the function"
            raise Refused(500, "Internal Server Error")
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

    def _authorized(
        self, route: HttpRoute, request: HttpRequest, context: dict[str, str]
    ) -> dict[str, Any] | None:
        """Returns what the authorizer passes on; raises Refused."""
        if route.authorizer is not None:
            try:
                return route.authorizer.authorize(
                    request.headers, request.parameters, list(route.scopes)
                ).context()
            except Unauthorized as error:
                context["authorizer.error"] = str(error)
                raise _refusal(401, "Unauthorized", "invalid_token", error, ()) from None
            except Forbidden as error:
                context["authorizer.error"] = str(error)
                raise _refusal(
                    403, "Forbidden", "insufficient_scope", error, route.scopes
                ) from None
        if route.is_signed:
            try:
                return iam_context(self._signer(request), self._core.account)
            except Forbidden:
                raise Refused(403, "Forbidden") from None
        return None

    def _signer(self, request: HttpRequest) -> str:
        prefix = "" if self.stage == "$default" else f"/{self.stage}"
        query = f"?{request.query}" if request.query else ""
        return caller_of(
            request.method,
            f"https://{self.domain}{prefix}{request.path}{query}",
            request.headers,
            request.content,
            self._core.region,
            self._core.scheduler.now(),
        )

    def _invoked(self, route: HttpRoute, payload: str) -> tuple[HttpResponse, str | None]:
        """Returns the answer, and what went wrong if it is not the function's."""
        try:
            result = self._invoke(route.function, payload, route, route.timeout_s)
        except TimeoutError:
            return Refused(503, "Service Unavailable").answer, "the function takes too long"
        except Throttled:
            return Refused(503, "Service Unavailable").answer, "the function is throttled"
        except PayloadTooLarge:
            return Refused(413, "Request Entity Too Large").answer, "the request is too large"
        if result.failed:
            problem = f"the function failed: {result.payload.get('errorType')}"
            return Refused(500, "Internal Server Error").answer, problem
        answer = _interpreted(result.payload, route.format)
        if answer is None:
            return Refused(
                500, "Internal Server Error"
            ).answer, "the function's answer is malformed"
        return answer, None

    def _may_invoke(self, route: HttpRoute) -> bool:
        """Whether the function's policy lets this API call it for a route.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
        """
        source = f"{self._arn}/{self.stage}/{route.key.replace(' ', '', 1)}"
        return self._lambdas.admits(route.function, SERVICE, source)

    def _event(
        self,
        route: HttpRoute,
        request: HttpRequest,
        parameters: dict[str, str],
        identity: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Returns the event for the function, in format 2.0.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
        """
        now = self._core.scheduler.now()
        path = unquote(request.path)
        if self.stage != "$default":
            path = f"/{self.stage}{path}"
        context = {
            "accountId": self._core.account,
            "apiId": self.id,
            "authorizer": identity,
            "domainName": self.domain,
            "domainPrefix": self.id,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": SOURCE_IP,
                "userAgent": request.headers["user-agent"],
            },
            "requestId": self._core.new_id(),
            "routeKey": route.key,
            "stage": self.stage,
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

    def _route(self, resource: Resource, resources: Sequence[Resource]) -> HttpRoute:
        properties = resource.properties
        integration = _named(properties, "Target", "Integration", resources)
        function = _function(integration, resources)
        authorizer = None
        if properties.get("AuthorizationType") == "JWT":
            authorizer = self._authorizers[properties["AuthorizerId"]]
        timeout_ms = int(integration.properties.get("TimeoutInMillis", _MAX_TIMEOUT_MS))
        verb, _, path = properties["RouteKey"].partition(" ")
        return HttpRoute(
            name=properties["RouteKey"],
            verb=verb,
            path=path,
            authorizer=authorizer,
            scopes=properties.get("AuthorizationScopes", []),
            function=self._lambdas.functions[function.attributes["Arn"]],
            timeout_s=timeout_ms / 1000,
            is_signed=properties.get("AuthorizationType") == "AWS_IAM",
            format=integration.properties.get("PayloadFormatVersion", "1.0"),
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
    for api in (each for each in resources if each.type == f"{TYPE}Api"):
        stages = len(_parts(api, "Stage", resources))
        if stages != 1:
            problem = f"{api.path} has {stages} stages; the rehearsal supports exactly one"
            problems.append(Unsupported(api.path, api.where, problem))
    return problems


def _unknown(resource: Resource, resources: Sequence[Resource]) -> Iterator[str]:
    """The properties whose values the front does not know."""
    properties = resource.properties
    if resource.type == f"{TYPE}Integration":
        if properties.get("PayloadFormatVersion", "1.0") not in {"1.0", "2.0"}:
            yield "PayloadFormatVersion"
        if _function(resource, resources) is None:
            yield "IntegrationUri"
    elif resource.type == f"{TYPE}Route":
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
        if each.type == f"{TYPE}{kind}" and each.properties.get("ApiId") == api.physical_id
    ]


def _named(properties: dict[str, Any], name: str, kind: str, resources: Sequence[Resource]) -> Any:
    """The resource of a kind whose id is the value of a property; None if there is none."""
    identifier = str(properties.get(name)).removeprefix("integrations/")
    return next(
        (r for r in resources if r.type == f"{TYPE}{kind}" and r.physical_id == identifier), None
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


def _refusal(
    status: int, message: str, kind: str, error: Exception, scopes: Sequence[str]
) -> Refused:
    challenge = "Bearer"
    if str(error):
        scope = " ".join(scopes)
        challenge += f' scope="{scope}" error="{kind}" error_description="{error}"'
    refused = Refused(status, message)
    refused.answer.headers["www-authenticate"] = challenge
    return refused
