"""WebSocket APIs of API Gateway: connections, routes of messages, and functions that answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-overview.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.faults import Arrival
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.services.apis import (
    SERVICE,
    SOURCE_IP,
    Api,
    Headers,
    HttpFront,
    HttpRequest,
    HttpResponse,
    Refused,
    Route,
)
from cdk_rehearsal.services.connections import Connections, WebSocket
from cdk_rehearsal.services.functions import PayloadTooLarge, Throttled
from cdk_rehearsal.services.http_api import function_of
from cdk_rehearsal.services.http_formats import signer_of
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.request_authorizer import RequestAuthorizer
from cdk_rehearsal.services.service_calls import template_scope
from cdk_rehearsal.services.tokens import Forbidden, Issuer
from cdk_rehearsal.services.velocity import Velocity

TYPE = "AWS::ApiGatewayV2::"
SELECTION = re.compile(r"\$(?:\{request\.body\.([\w.-]+)\}|request\.body\.([\w.-]+))")
"""An expression that selects the route of a message: a member of its body."""
_INTERNAL = "Internal server error"


class WebSocketRefused(RehearsalError):
    """A WebSocket API did not accept a connection."""

    def __init__(self, answer: HttpResponse) -> None:
        super().__init__(f"the connection was refused with status {answer.status}: {answer.body}")
        self.status = answer.status
        """The status of the answer to the client's request."""


@dataclass(frozen=True)
class _Opened(HttpResponse):
    """The answer to a client whose connection is accepted."""

    connection: WebSocket | None = None


@dataclass(frozen=True, kw_only=True)
class SocketRoute(Route):
    """A route of a WebSocket API."""

    name: str
    """The route key."""
    role: str | None
    """The role with which the function is invoked, in place of the function's policy."""
    mock: int | None
    """The status with which the API itself answers in place of an integration."""
    service: Mapping[str, Any] | None
    """The integration, if it is a call of a service."""
    answers: bool
    """Whether the client gets the function's answer."""
    is_signed: bool
    custom: RequestAuthorizer | None

    @property
    def key(self) -> str:
        """The route key."""
        return self.name


class _Failed(Exception):
    """A route whose integration fails, with the status for a client that connects."""

    def __init__(self, status: int, message: str = _INTERNAL) -> None:
        super().__init__(message)
        self.status = status


class WebSocketApi(Api[SocketRoute]):
    """A WebSocket API with its one stage."""

    prefix = TYPE
    owner = "ApiId"

    def __init__(
        self,
        core: Core,
        lambdas: LambdaService,
        resources: Sequence[Resource],
        resource: Resource,
        issuer: Callable[[str], Issuer],
        connections: Connections,
    ) -> None:
        """Reads the API from the loaded resources; creators have checked them."""
        self._connections = connections
        super().__init__(core, lambdas, resources, resource, issuer)

    def _read(self, resource: Resource) -> list[SocketRoute]:
        self._variables = self._stage_properties.get("StageVariables") or {}
        found = SELECTION.fullmatch(resource.properties["RouteSelectionExpression"])
        self._selection = (found[1] or found[2]).split(".") if found else []
        routes = [self._route(each) for each in self._of_kind("Route")]
        self._by_key = {route.key: route for route in routes}
        return routes

    def _throttle(self, route: SocketRoute) -> Mapping[str, Any]:
        by_default = self._stage_properties.get("DefaultRouteSettings", {})
        settings = self._stage_properties.get("RouteSettings", {})
        found: Mapping[str, Any] = settings.get(route.key, by_default)
        return found

    # -- connections ----------------------------------------------------------------------

    def _find(self, request: HttpRequest) -> tuple[SocketRoute | None, dict[str, str]]:
        return self._by_key.get("$connect"), {}

    def _answer(
        self,
        route: SocketRoute | None,
        request: HttpRequest,
        parameters: dict[str, str],
        context: dict[str, str],
    ) -> HttpResponse:
        """Accepts a connection, which the route ``$connect`` may refuse.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
        """
        core = self._core
        if not core.rates.take("apigatewaymanagementapi.connections_per_second"):
            raise Refused(429, "Too Many Requests")
        connection = WebSocket(
            self._connections.new_id(),
            f"{self.domain}/{self.stage}",
            core.scheduler.now(),
            {"sourceIp": SOURCE_IP, "userAgent": request.headers["user-agent"]},
        )
        context |= {"eventType": "CONNECT", "connectionId": connection.id}
        if route is not None:
            self._admit(route)
            event = self._connect_event(connection, request)
            connection.authorizer = self._authorized(route, request, event)
            if connection.authorizer is not None:
                event["requestContext"]["authorizer"] = connection.authorizer
            try:
                answer = self._integrated(route, event)
            except _Failed as failed:
                raise Refused(failed.status, str(failed)) from None
            status = answer.get("statusCode") if isinstance(answer, dict) else None
            if not re.fullmatch("[1-5][0-9]{2}", str(status)):
                raise Refused(502, _INTERNAL)
            if not 200 <= int(str(status)) < 300:
                raise Refused(int(str(status)), str(answer.get("body") or "Forbidden"))
            headers = {k.lower(): v for k, v in (answer.get("headers") or {}).items()}
            connection.subprotocol = headers.get("sec-websocket-protocol")
        self._connections.open(connection, self)
        return _Opened(101, {}, "", connection=connection)

    def _authorized(
        self, route: SocketRoute, request: HttpRequest, event: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Returns what an authorizer passes on; raises Refused.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html
        """
        arn = f"{self._arn}/{self.stage}/{route.key}"
        if route.is_signed:
            try:
                signer = signer_of(self._core, self, request, "execute-api")
                if signer is not None:
                    self._core.access.authorize(signer, "execute-api:Invoke", arn)
            except (Denied, Forbidden):
                raise Refused(403, "Forbidden") from None
        if route.custom is None:
            return None
        usual = {"stageVariables": self._variables, "queryStringParameters": {}}
        found = route.custom.decide(arn, {**usual, **event}).context
        if len(json.dumps(found)) > LIMITS["apigatewaymanagementapi.authorizer_bytes"]:
            raise Refused(500, _INTERNAL)
        return found

    # -- messages -------------------------------------------------------------------------

    def take(self, connection: WebSocket, message: str) -> None:
        """Handles a message of a client."""
        route = self._by_key.get(self._selected(message)) or self._by_key.get("$default")
        target = route.function.path if route and route.function else self.path
        fault = self._core.faults.strike("request", self.path, target) if route else None
        if fault is None:
            self._handle(connection, route, message)
            return

        def deliver(
            *, headers: Mapping[str, str] | None = None, body: bytes | None = None
        ) -> HttpResponse:
            text = message if body is None else body.decode(errors="replace")
            status = self._handle(connection, route, text, fault=fault.name)
            return HttpResponse(status, {}, "")

        sleep = self._core.scheduler.sleep
        key = route.key if route else ""
        fault.effect(Arrival("MESSAGE", key, {}, message.encode(), deliver, sleep))

    def _selected(self, message: str) -> str:
        """Returns the key of a message's route; that of another than a JSON object is ``$default``.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html
        """
        value = _member(message, self._selection)
        return "$default" if value.startswith("$") else value

    def _handle(
        self, connection: WebSocket, route: SocketRoute | None, message: str, **more: str
    ) -> int:
        """Invokes the route; the client gets the error, or the answer if the route has one."""
        started = self._core.scheduler.now()
        key = route.key if route else "$default"
        event: dict[str, Any] = {
            "requestContext": self._context(connection, key, "MESSAGE"),
            "body": message,
            "isBase64Encoded": False,
        }
        status = 200
        try:
            if route is None:
                raise Refused(403, "Forbidden")
            self._admit(route)
            answer = self._integrated(route, event)
        except (_Failed, Refused) as error:
            status = error.status if isinstance(error, _Failed) else error.answer.status
            said = {
                "message": str(error),
                "connectionId": connection.id,
                "requestId": event["requestContext"]["requestId"],
            }
            self._reply(connection, json.dumps(said))
        else:
            body = answer.get("body") if isinstance(answer, dict) else None
            if route.answers and isinstance(body, str):
                self._reply(connection, body)
        self._meter(connection, route, "MESSAGE", status, started, **more)
        return status

    @staticmethod
    def _reply(connection: WebSocket, text: str) -> None:
        if connection.code is None:
            connection.push(text)

    def left(self, connection: WebSocket) -> None:
        """Invokes the route ``$disconnect``; nobody gets its answer."""
        route = self._by_key.get("$disconnect")
        if route is None:
            return
        started, status = self._core.scheduler.now(), 200
        event = {
            "headers": {"Host": self.domain},
            "multiValueHeaders": {"Host": [self.domain]},
            "requestContext": {
                **self._context(connection, "$disconnect", "DISCONNECT"),
                "disconnectStatusCode": connection.code,
                "disconnectReason": connection.reason,
            },
            "isBase64Encoded": False,
        }
        try:
            self._integrated(route, event)
        except _Failed as failed:
            status = failed.status
        self._meter(connection, route, "DISCONNECT", status, started)

    # -- integrations ---------------------------------------------------------------------

    def _integrated(self, route: SocketRoute, event: dict[str, Any]) -> Any:
        """Returns the answer of a route's integration; raises _Failed."""
        function = route.function
        if route.service is not None:
            return self._called(route, route.service, event)
        if function is None:
            return {"statusCode": 200 if route.mock is None else route.mock}
        source = f"{self._arn}/{self.stage}/{route.key}"
        if not self._lambdas.admits(function, SERVICE, source, route.role):
            raise _Failed(500)
        if self._variables:
            event["stageVariables"] = self._variables
        try:
            result = self._invoke(function, json.dumps(event), route)
        except TimeoutError:
            raise _Failed(504, "Endpoint request timed out") from None
        except Throttled:
            raise _Failed(500) from None
        except PayloadTooLarge:
            raise _Failed(413, "Payload too large") from None
        if result.failed:
            raise _Failed(502)
        return result.payload

    def _called(
        self, route: SocketRoute, integration: Mapping[str, Any], event: dict[str, Any]
    ) -> dict[str, Any]:
        """Calls a service with what a template makes of a message; raises _Failed.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html
        """
        body = event.get("body", "")
        templates = integration.get("RequestTemplates") or {}
        name = str(integration.get("TemplateSelectionExpression") or "").removeprefix("\\")
        selected = SELECTION.fullmatch(name)
        if selected:
            name = _member(body, (selected[1] or selected[2]).split("."))
        template = templates.get(name, templates.get("$default"))
        if template is None and integration.get("PassthroughBehavior") == "NEVER":
            raise _Failed(415, "Unsupported Media Type")
        role = str(integration["CredentialsArn"])
        if not self._core.access.is_assumable(role, service=SERVICE):
            raise _Failed(500)
        if template is not None:
            scope = template_scope(body, {}, event["requestContext"], self._variables)
            body = Velocity(str(template)).render(scope)
        stated = {
            "Credentials": role,
            "RequestParameters": integration.get("RequestParameters"),
        }
        uri = str(integration["IntegrationUri"])
        try:
            status, text = self._within(
                route, lambda: self._calls.call(uri, stated, body, lambda each: each.strip("'"))
            )
        except TimeoutError:
            raise _Failed(504, "Endpoint request timed out") from None
        if status >= 400:
            raise _Failed(status)
        return {"statusCode": status, "body": text}

    def _context(self, connection: WebSocket, key: str, kind: str) -> dict[str, Any]:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html."""
        now = self._core.scheduler.now()
        request_id = self._core.new_id()
        return {
            "routeKey": key,
            **({"messageId": self._connections.new_id()} if kind == "MESSAGE" else {}),
            "eventType": kind,
            "extendedRequestId": request_id[:16],
            "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "messageDirection": "IN",
            "stage": self.stage,
            "connectedAt": int(connection.opened * 1000),
            "requestTimeEpoch": int(now * 1000),
            "identity": dict(connection.identity),
            "requestId": request_id,
            "domainName": self.domain,
            "connectionId": connection.id,
            "apiId": self.id,
            **({"authorizer": connection.authorizer} if connection.authorizer else {}),
        }

    def _connect_event(self, connection: WebSocket, request: HttpRequest) -> dict[str, Any]:
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.query, keep_blank_values=True):
            query.setdefault(name, []).append(value)
        event: dict[str, Any] = {
            "headers": {name: values[-1] for name, values in request.sent.items()},
            "multiValueHeaders": request.sent,
            "queryStringParameters": {name: values[-1] for name, values in query.items()},
            "multiValueQueryStringParameters": query,
            "requestContext": self._context(connection, "$connect", "CONNECT"),
            "isBase64Encoded": False,
        }
        return {name: value for name, value in event.items() if value != {}}

    def _meter(
        self,
        connection: WebSocket,
        route: SocketRoute | None,
        kind: str,
        status: int,
        started: float,
        **more: str,
    ) -> None:
        self._core.meter.add(
            "request",
            self._core.caller(),
            self.path,
            method=kind,
            path=route.key if route else "",
            route=route.key if route else None,
            status=status,
            api_id=self.id,
            api=self._dimension,
            stage=self.stage,
            latency_s=self._core.scheduler.now() - started,
            context={"eventType": kind, "connectionId": connection.id},
            **more,
        )

    # -- reading the template -------------------------------------------------------------

    def _route(self, resource: Resource) -> SocketRoute:
        properties = resource.properties
        target = str(properties.get("Target", "")).removeprefix("integrations/")
        integration = self._parts[target].properties if target else {}
        arn = function_of(str(integration.get("IntegrationUri")))
        most = LIMITS["apigatewaymanagementapi.timeout_ms"]
        kind, custom = integration.get("IntegrationType"), None
        if identifier := properties.get("AuthorizerId"):
            custom = self._authorizer(identifier)
        return SocketRoute(
            verb="",
            path="",
            name=properties["RouteKey"],
            function=self._lambdas.function(arn) if arn and kind == "AWS_PROXY" else None,
            role=integration.get("CredentialsArn"),
            mock=mock_status(integration) if kind == "MOCK" else None,
            service=integration if kind == "AWS" else None,
            answers=properties.get("RouteResponseSelectionExpression") == "$default",
            is_signed=properties.get("AuthorizationType") == "AWS_IAM",
            custom=custom,
            timeout_s=int(integration.get("TimeoutInMillis", most)) / 1000,
        )

    def _authorizer(self, identifier: str) -> RequestAuthorizer:
        """The authorizer asks its function for each connection."""
        stated = self._parts[identifier].properties
        properties = {
            "Type": "REQUEST",
            "AuthorizerUri": stated["AuthorizerUri"],
            "AuthorizerCredentials": stated.get("AuthorizerCredentialsArn"),
            "AuthorizerResultTtlInSeconds": 0,
            "IdentitySource": ",".join(stated.get("IdentitySource", [])),
        }
        arn = f"{self._arn}/authorizers/{identifier}"
        return RequestAuthorizer(self._core, self._lambdas, properties, arn=arn)


def _member(message: str, path: Sequence[str]) -> str:
    """Returns a text in a message that is a JSON object, or else an empty one."""
    try:
        value = json.loads(message)
    except ValueError:
        return ""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def mock_status(integration: Mapping[str, Any]) -> int:
    """Returns the status that the request template of a mock integration states.

    Raises ValueError for a template that is no JSON object with a number.
    """
    templates = integration.get("RequestTemplates") or {}
    name = str(integration.get("TemplateSelectionExpression") or "").removeprefix("\\")
    template = templates.get(name, next(iter(templates.values()), "{}"))
    try:
        return int(json.loads(template).get("statusCode", 200))
    except (AttributeError, TypeError) as error:
        raise ValueError(str(error)) from None


def connect(
    front: HttpFront,
    path: str,
    *,
    headers: Headers,
    subprotocols: Sequence[str],
    api: str | None,
    role: str | None,
) -> WebSocket:
    """Connects with an API of a front; raises WebSocketRefused."""
    usual = {
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(b"rehearsal-client").decode(),
        "Sec-WebSocket-Version": "13",
        "Upgrade": "websocket",
        **({"Sec-WebSocket-Protocol": ", ".join(subprotocols)} if subprotocols else {}),
    }
    answer = front.request("GET", path, headers={**usual, **headers}, api=api, role=role)
    if not isinstance(answer, _Opened) or answer.connection is None:
        raise WebSocketRefused(answer)
    return answer.connection
