"""HTTP APIs of API Gateway: routes, authorizers, and integrations with functions and services."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.errors import Unsupported
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.properties import is_unresolved
from cdk_rehearsal.services import http_mappings
from cdk_rehearsal.services.apis import (
    SERVICE,
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
    as_format_2,
    iam_context,
    interpreted,
    signer_of,
)
from cdk_rehearsal.services.http_integrations import SUBTYPES, ServiceIntegration
from cdk_rehearsal.services.request_authorizer import HttpAuthorizer
from cdk_rehearsal.services.tokens import Forbidden, JwtAuthorizer, Unauthorized

TYPE = "AWS::ApiGatewayV2::"


_FUNCTION = re.compile(r"arn:aws[\w-]*:lambda:[^/]+")


def function_of(uri: str) -> str | None:
    """Returns the ARN of the function that is, or is a part of, the URI of an integration."""
    found = _FUNCTION.search(uri)
    return found[0].removesuffix(":$LATEST") if found else None


@dataclass(frozen=True, kw_only=True)
class HttpRoute(Route):
    """A route of an HTTP API; it has a function or a service."""

    name: str
    """The route key."""
    service: ServiceIntegration | None
    custom: HttpAuthorizer | None
    """The authorizer that is a function."""
    is_signed: bool
    """Whether requests have to be signed: AWS_IAM."""
    format: str
    """The version of the payload format."""
    requests: Mapping[str, str]
    """Changes of requests."""
    answers: Mapping[str, Mapping[str, str]]
    """Changes of answers by their status."""

    @property
    def key(self) -> str:
        """The route key."""
        return self.name


class HttpApi(Api[HttpRoute]):
    """An HTTP API with its one stage."""

    prefix = TYPE
    owner = "ApiId"

    def _read(self, resource: Resource) -> list[HttpRoute]:
        self._variables = self._stage_properties.get("StageVariables")
        cors = resource.properties.get("CorsConfiguration")
        self._cors = Cors(cors) if cors else None
        self._authorizers = {
            each.physical_id: self._authorizer(each) for each in self._of_kind("Authorizer")
        }
        routes = [self._route(each) for each in self._of_kind("Route")]
        self._default = next((route for route in routes if route.key == "$default"), None)
        known = sorted((r for r in routes if r is not self._default), key=lambda r: r.rank)
        return [*known, *([self._default] if self._default else [])]

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
        request.check_size("apigatewayv2", "Request Entity Too Large")
        if route is None:
            raise Refused(404, "Not Found")
        self._admit(route)
        event = as_format_2(
            *(self._core, self, request),
            key=route.key,
            parameters=parameters,
            variables=self._variables,
        )
        context["requestId"] = event["requestContext"]["requestId"]
        identity = self._authorized(route, request, event, context)
        if identity is not None:
            event["requestContext"]["authorizer"] = identity
        answer, problem = self._integrated(route, event)
        if problem:
            context["integrationErrorMessage"] = problem
        elif changes := route.answers.get(str(answer.status)):
            answer = http_mappings.changed_answer(answer, changes, event)
        if self._cors is None:
            return answer
        added = self._cors.headers(request.headers.get("origin"), preflight=False)
        return replace(answer, headers={**Cors.without(answer.headers), **added})

    def _authorized(
        self,
        route: HttpRoute,
        request: HttpRequest,
        event: dict[str, Any],
        context: dict[str, str],
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
        if route.custom is not None:
            arn = f"{self._arn}/{self.stage}/{request.method}{request.path}"
            return route.custom.decide(arn, event)
        if route.is_signed:
            try:
                return self._signed(request)
            except (Denied, Forbidden):
                raise Refused(403, "Forbidden") from None
        return None

    def _signed(self, request: HttpRequest) -> dict[str, Any]:
        """Returns what a signature passes on. Raises Forbidden or Denied.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html
        """
        signer = signer_of(self._core, self, request, "execute-api")
        if signer is not None:
            arn = f"{self._arn}/{self.stage}/{request.method}{request.path}"
            self._core.access.authorize(signer, "execute-api:Invoke", arn)
        return iam_context(signer, self._core.account)

    def _integrated(
        self, route: HttpRoute, event: dict[str, Any]
    ) -> tuple[HttpResponse, str | None]:
        """Returns the answer, and what went wrong if it is not that of function or service."""
        try:
            if route.service is not None:
                return self._called(route, route.service, event)
            return self._invoked(route, http_mappings.changed_event(event, route.requests))
        except TimeoutError:
            return Refused(503, "Service Unavailable").answer, "the integration takes too long"

    def _called(
        self, route: HttpRoute, service: ServiceIntegration, event: dict[str, Any]
    ) -> tuple[HttpResponse, str | None]:
        if not self._core.access.is_assumable(service.role, service=SERVICE):
            problem = "API Gateway may not assume the role of the integration"
            return Refused(500, "Internal Server Error").answer, problem
        return self._within(route, lambda: service.respond(self._calls, event)), None

    def _invoked(self, route: HttpRoute, event: dict[str, Any]) -> tuple[HttpResponse, str | None]:
        if route.function is None or not self._may_invoke(route, route.function):
            problem = "API Gateway may not invoke the function"
            return Refused(500, "Internal Server Error").answer, problem
        payload = json.dumps(as_format_1(event) if route.format == "1.0" else event)
        try:
            result = self._invoke(route.function, payload, route)
        except Throttled:
            return Refused(503, "Service Unavailable").answer, "the function is throttled"
        except PayloadTooLarge:
            return Refused(413, "Request Entity Too Large").answer, "the request is too large"
        if result.failed:
            problem = f"the function failed: {result.payload.get('errorType')}"
            return Refused(500, "Internal Server Error").answer, problem
        answer = interpreted(result.payload, route.format)
        if answer is None:
            problem = "the function's answer is malformed"
            return Refused(500, "Internal Server Error").answer, problem
        return answer, None

    def _may_invoke(self, route: HttpRoute, function: Function) -> bool:
        """Whether a function's policy lets this API call it for a route.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
        """
        source = f"{self._arn}/{self.stage}/{route.key.replace(' ', '', 1)}"
        return self._lambdas.admits(function, SERVICE, source)

    # -- reading the template -------------------------------------------------------------

    def _authorizer(self, resource: Resource) -> JwtAuthorizer | HttpAuthorizer:
        properties = resource.properties
        if properties["AuthorizerType"] == "REQUEST":
            arn = f"{self._arn}/authorizers/{resource.physical_id}"
            return HttpAuthorizer(self._core, self._lambdas, properties, arn=arn)
        configuration = properties["JwtConfiguration"]
        return JwtAuthorizer(
            properties["Name"],
            self._issuer(configuration["Issuer"]),
            configuration.get("Audience", []),
            properties.get("IdentitySource", ["$request.header.Authorization"]),
            self._core.scheduler.now,
        )

    def _route(self, resource: Resource) -> HttpRoute:
        properties = resource.properties
        integration = self._parts[properties["Target"].removeprefix("integrations/")].properties
        subtype = SUBTYPES.get(integration.get("IntegrationSubtype", ""))
        parameters = integration.get("RequestParameters", {})
        service = None
        if subtype is not None:
            service = ServiceIntegration(subtype, parameters, integration["CredentialsArn"])
        arn = function_of(str(integration.get("IntegrationUri")))
        authorizer = self._authorizers.get(properties.get("AuthorizerId", ""))
        verb, _, path = properties["RouteKey"].partition(" ")
        return HttpRoute(
            name=properties["RouteKey"],
            verb=verb,
            path=path,
            authorizer=authorizer if isinstance(authorizer, JwtAuthorizer) else None,
            custom=authorizer if isinstance(authorizer, HttpAuthorizer) else None,
            scopes=properties.get("AuthorizationScopes", []),
            function=self._lambdas.function(arn) if arn and service is None else None,
            service=service,
            timeout_s=int(integration.get("TimeoutInMillis", LIMITS["apigatewayv2.timeout_ms"]))
            / 1000,
            is_signed=properties.get("AuthorizationType") == "AWS_IAM",
            format=integration.get("PayloadFormatVersion", "1.0"),
            requests=parameters if service is None else {},
            answers={
                status: {each["Destination"]: each["Source"] for each in part["ResponseParameters"]}
                for status, part in integration.get("ResponseParameters", {}).items()
            },
        )


def unsupported(resources: Sequence[Resource]) -> Iterator[Unsupported]:
    """Yields what HTTP APIs lack: their one stage, and what their routes name.

    ``resources`` are those of the assembly, including those that could not be created.
    """
    for resource in resources:
        properties = resource.properties
        if resource.type == f"{TYPE}Api":
            stages = sum(
                each.type == f"{TYPE}Stage" and each.properties.get("ApiId") == resource.physical_id
                for each in resources
            )
            if stages != 1:
                problem = f"{resource.path} has {stages} stages; the rehearsal supports exactly one"
                yield Unsupported(resource.path, resource.where, problem)
        elif resource.type == f"{TYPE}Route":
            for name, kind in (("Target", "Integration"), ("AuthorizerId", "Authorizer")):
                stated = properties.get(name)
                if stated is None or is_unresolved(stated):
                    continue
                identifier = str(stated).removeprefix("integrations/")
                if not any(
                    each.type == f"{TYPE}{kind}" and each.physical_id == identifier
                    for each in resources
                ):
                    problem = f"{name} = {stated}: there is none; create it in the same API"
                    yield Unsupported(resource.path, resource.where, problem)


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
