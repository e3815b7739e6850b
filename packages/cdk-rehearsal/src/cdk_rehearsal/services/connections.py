"""Connections of clients with WebSocket APIs, and the API by which a backend calls back."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn, Protocol, cast

from moto.apigatewaymanagementapi.models import ApiGatewayManagementApiBackend
from moto.core.exceptions import ServiceException

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services import own_apis
from cdk_rehearsal.services.own_apis import ApiError
from cdk_rehearsal.virtual_time.processes import Signal

_SERVICE = "apigatewaymanagementapi"
# https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
_NORMAL, _GOING_AWAY, _NO_TEXT, _UNSTATED, _TOO_BIG = 1000, 1001, 1003, 1005, 1009


class WebSocketServer(Protocol):
    """What a connection needs of its API."""

    def take(self, connection: WebSocket, message: str) -> None:
        """Handles a message of the client; to be called in a process."""

    def left(self, connection: WebSocket) -> None:
        """Handles the end of a connection; to be called in a process."""


@dataclass(eq=False)
class WebSocket:
    """A client's connection with a WebSocket API."""

    id: str
    """The id by which the backend knows it."""
    url: str
    """The URL of the API's stage, without its scheme."""
    opened: float
    """The virtual time at which it was opened."""
    identity: Mapping[str, str]
    """The address and the user agent of the client."""
    subprotocol: str | None = None
    """The subprotocol that the route ``$connect`` has chosen."""
    authorizer: Mapping[str, Any] | None = None
    """What the authorizer of the route ``$connect`` passes on."""
    received: list[str] = field(default_factory=list)
    """All messages that the client has got."""
    code: int | None = None
    """The status code with which it was closed; None while it is open."""
    reason: str = ""
    """The reason with which it was closed."""

    def bind(self, core: Core, server: WebSocketServer, forget: Callable[[str], object]) -> None:
        """Connects both ends."""
        self._core, self._server, self._forget = core, server, forget
        self._unread = deque[str]()
        self._news = Signal(core.scheduler)
        self.active = self.opened
        self._watch()

    # -- the client's end -----------------------------------------------------------------

    def send(self, message: Any, *, frame_bytes: int | None = None) -> None:
        """Sends a message; what is neither text nor bytes is sent as JSON.

        It goes in frames of ``frame_bytes``, by default in a single one. Raises RehearsalError if
        the connection is closed.
        """
        if self.code is not None:
            raise RehearsalError(f"the connection {self.id} is closed ({self.code}): connect again")
        body = message if isinstance(message, str | bytes) else json.dumps(message)
        self._core.scheduler.call(self._sent, body, frame_bytes)

    def receive(self, timeout_s: float = 30.0) -> str | None:
        """Returns the next message; None if there is none in time, or the connection is closed."""
        found = self._core.scheduler.call(self._next, timeout_s)
        return cast("str | None", found)

    def close(self, code: int = _UNSTATED, reason: str = "") -> None:
        """Closes the connection, as a client does."""
        self._core.scheduler.call(self.end, code, reason)

    def _next(self, timeout_s: float) -> str | None:
        if not self._unread and self.code is None:
            self._news.clear()
            self._news.wait(timeout_s)
        return self._unread.popleft() if self._unread else None

    def _sent(self, body: str | bytes, frame_bytes: int | None) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html."""
        if isinstance(body, bytes):
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-types.html
            self.end(_NO_TEXT, "Binary frames are not supported")
            return
        size = len(body.encode())
        frame = min(size, frame_bytes or size)
        if (
            size > LIMITS["apigatewaymanagementapi.message_bytes"]
            or frame > LIMITS["apigatewaymanagementapi.frame_bytes"]
        ):
            self.end(_TOO_BIG, "Message too long")
            return
        self.active = self._core.scheduler.now()
        self._spawn(self._server.take, body)

    # -- the server's end -----------------------------------------------------------------

    def push(self, message: str) -> None:
        """Sends a message to the client."""
        self.active = self._core.scheduler.now()
        self.received.append(message)
        self._unread.append(message)
        self._news.set()

    def end(self, code: int, reason: str) -> None:
        """Closes the connection, whichever end wants it."""
        if self.code is None:
            self.code, self.reason = code, reason
            self._forget(self.id)
            self._news.set()
            self._spawn(self._server.left)

    def _spawn(self, work: Callable[..., None], *args: Any) -> None:
        name = f"{work.__name__} of the connection {self.id}"
        self._core.scheduler.spawn(work, self, *args, name=name, critical=True)

    def _watch(self) -> None:
        """Closes the connection when it is too old, or idle for too long."""
        if self.code is not None:
            return
        idle = self.active + LIMITS["apigatewaymanagementapi.idle_s"]
        due = min(self.opened + LIMITS["apigatewaymanagementapi.connection_s"], idle)
        if due > self._core.scheduler.now():
            self._core.scheduler.call_at(due, self._watch, daemon=True)
        else:
            self.end(_GOING_AWAY, "Going away")


class _Gone(ServiceException):
    """There is no such connection."""

    code = "GoneException"


class Connections:
    """All open connections, and the calls of backends about them.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._open: dict[str, WebSocket] = {}

    def open(self, connection: WebSocket, server: WebSocketServer) -> None:
        """Makes a connection known; only now the backend can send to it."""
        self._open[connection.id] = connection
        connection.bind(self._core, server, self._open.pop)

    def new_id(self) -> str:
        """Returns the id of a new connection."""
        number = self._core.new_id().replace("-", "")[:22]
        return base64.urlsafe_b64encode(bytes.fromhex(number)).decode()

    def install(self, patches: Patches) -> None:
        """Answers clients of this process, and refuses those of others, which have no API here."""
        self._core.apis[_SERVICE] = self._answer

        def gone(*_: Any, **__: Any) -> NoReturn:
            raise _Gone("there is no such connection")

        for operation in ("post_to_connection", "get_connection", "delete_connection"):
            patches.set(ApiGatewayManagementApiBackend, operation, gone)

    def _answer(self, client: Any, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        url = client.meta.endpoint_url.partition("://")[2].rstrip("/")
        operations = {
            "DeleteConnection": partial(self._delete, url),
            "GetConnection": partial(self._get, url),
            "PostToConnection": partial(self._post, url),
        }
        return own_apis.answer(self._core, operations, client, operation, parameters)

    def _find(self, url: str, parameters: Mapping[str, Any]) -> WebSocket:
        if not self._core.rates.take("apigateway.requests_per_second"):
            raise ApiError("LimitExceededException", "Too Many Requests")
        if "/" not in url:
            raise ApiError("ForbiddenException", "Forbidden")
        connection = self._open.get(parameters["ConnectionId"])
        if connection is None or connection.url != url:
            raise ApiError("GoneException", "")
        return connection

    def _post(self, url: str, parameters: dict[str, Any]) -> dict[str, Any]:
        connection, data = self._find(url, parameters), parameters["Data"]
        if hasattr(data, "read"):
            data = data.read()
        text = data if isinstance(data, str) else bytes(data).decode(errors="replace")
        connection.push(text)
        return {}

    def _get(self, url: str, parameters: dict[str, Any]) -> dict[str, Any]:
        connection = self._find(url, parameters)
        times = {"ConnectedAt": connection.opened, "LastActiveAt": connection.active}
        return {
            **{name: datetime.fromtimestamp(moment, UTC) for name, moment in times.items()},
            "Identity": {
                "SourceIp": connection.identity["sourceIp"],
                "UserAgent": connection.identity["userAgent"],
            },
        }

    def _delete(self, url: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._find(url, parameters).end(_NORMAL, "Connection Closed Normally")
        return {}
