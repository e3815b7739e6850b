"""The server of the page: a process of its own, which knows no rehearsal, only its records.

Run with the number of a file descriptor, a socket that leads to the rehearsal, and perhaps with a
folder of pages to serve. Each line of the socket begins with a letter that says what follows: the
map, a record, samples, a status or an answer.
"""

import asyncio
import contextlib
import hmac
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from cdk_rehearsal.console.map import ApplicationMap
from cdk_rehearsal.console.recording import ROWS, Recording

_STATIC = Path(__file__).with_name("static")
_FILES = {
    "": ("index.html", "text/html"),
    "console.js": ("console.js", "text/javascript"),
    "console.css": ("console.css", "text/css"),
}
_LONGEST_LINE = 1 << 28
_ROWS_AT_ONCE = 20_000
_BATCH_S = 0.1
_ALIVE_S = 2.0
_ANSWER_S = 600.0
_LARGEST_COMMAND = 65_536
_GRACE_S = 2

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The headers of every response.

https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
"""


SITE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The policy of the application's own pages: they send nothing, so no command either."""


class Guard:
    """Answers only requests of this page: to its host, from its origin, with its token.

    The token is the first part of each path, so that no cookie can be used by another site, and
    neither scripts nor event streams need a header for it.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on without its token, or refuses it."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = dict(HEADERS)
                if path.startswith("/site/"):
                    headers["Content-Security-Policy"] = SITE_POLICY
                added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        app: ASGIApp = self._app
        path = ""
        if refusal := self._refusal(scope):
            app = PlainTextResponse(f"{refusal}\n", 403)
        else:
            path = "/" + scope["path"].split("/", 2)[2]
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> str | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if host not in self._hosts:
            return "this host is not the console's: use the URL that the command printed"
        origin = headers.get(b"origin")
        if origin != f"http://{host}" and (origin is not None or scope["method"] != "GET"):
            return "this origin is not the console's: use the URL that the command printed"
        parts = scope["path"].split("/", 2)
        if len(parts) < 3 or not hmac.compare_digest(parts[1].encode(), self._token):
            return "the token is missing or wrong: use the whole URL that the command printed"
        return None


class Page:
    """The page and its data."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, site: Path | None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._recording: Recording
        self._about: bytes = b"{}"
        self._status: bytes = b"{}"
        self._version = 0
        """The number of changes so far."""
        self._changed = asyncio.Event()
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._asked = 0
        self._viewers = 0
        self._ended = False
        self.routes = [
            Route("/map", self._map),
            Route("/rows", self._rows),
            Route("/stream", self._stream),
            Route("/record/{number:int}", self._record),
            Route("/row/{number:int}", self._row),
            Route("/find", self._find),
            Route("/trace", self._trace),
            Route("/command", self._command, methods=["POST"]),
            *(Route(f"/{name}", _file(*file)) for name, file in _FILES.items()),
            *([Mount("/site", StaticFiles(directory=site, check_dir=False))] if site else []),
        ]

    async def listen(self, ready: Callable[[], Awaitable[object]]) -> None:
        """Takes what the rehearsal sends, until it ends."""
        # Who ends early leaves a part of a line.
        while (line := await self._reader.readline()).endswith(b"\n"):
            tag, body = line[:1], line[1:-1]
            if tag == b"R":
                self._recording.add(body)
            elif tag == b"S":
                for sample in msgspec.json.decode(body):
                    self._recording.sample(*sample)
            elif tag == b"T":
                self._status = body
                self._version += 1
            elif tag == b"A":
                id_, _, answer = body.partition(b" ")
                if (future := self._answers.pop(int(id_), None)) and not future.done():
                    future.set_result(answer)
            elif tag == b"M":
                self._about = body
                about = msgspec.json.decode(body)
                map_ = msgspec.convert(about["map"], ApplicationMap)
                self._recording = Recording(map_, about["start"])
                await ready()
            self._changed.set()
        self._ended = True
        self._changed.set()

    async def _map(self, _: Request) -> Response:
        """Returns the map, and what is recorded already, except its rows."""
        batch, _row, event = self._recording.after(0, 0, 0)
        row = self._recording.length
        recorded = {**batch, "row": row, "place": f"{row}.{event}"}
        return _json(
            b'{"about":%s,"kinds":%s,"recorded":%s}'
            % (self._about, msgspec.json.encode(ROWS), msgspec.json.encode(recorded))
        )

    async def _rows(self, request: Request) -> Response:
        """Returns the first rows as numbers: a long recording is too much text."""
        number = request.query_params.get("to", "")
        if not number.isdecimal():
            return PlainTextResponse("`to` is the number of rows\n", 400)
        rows = self._recording.first(int(number))
        return Response(rows, media_type="application/octet-stream")

    async def _stream(self, request: Request) -> Response:
        place = request.headers.get("last-event-id") or request.query_params.get("after", "0.0")
        row, _, event = place.partition(".")
        try:
            places = max(int(row), 0), max(int(event or 0), 0)
        except ValueError:
            return PlainTextResponse("this place is not the console's: reload the page\n", 400)
        return StreamingResponse(self._updates(*places), media_type="text/event-stream")

    async def _updates(self, row: int, event: int) -> AsyncIterator[bytes]:
        version = -1
        with self._viewer():
            yield b"retry: 500\n\n"
            while True:
                self._changed.clear()
                if row < self._recording.length:
                    batch, row, event = self._recording.after(row, event, _ROWS_AT_ONCE)
                    yield b"id: %d.%d\nevent: rows\ndata: %s\n\n" % (
                        row,
                        event,
                        msgspec.json.encode(batch),
                    )
                if version != self._version:
                    version = self._version
                    yield b"event: status\ndata: %s\n\n" % self._status
                await asyncio.sleep(_BATCH_S)
                if row < self._recording.length:
                    continue
                if self._ended:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _ALIVE_S)
                    continue
                yield b": alive\n\n"

    @contextlib.contextmanager
    def _viewer(self) -> Iterator[None]:
        """Lets the rehearsal know that the page is open."""
        self._viewers += 1
        self._send({"do": "viewers", "number": self._viewers})
        try:
            yield
        finally:
            self._viewers -= 1
            self._send({"do": "viewers", "number": self._viewers})

    def _send(self, command: dict[str, Any]) -> None:
        self._writer.write(msgspec.json.encode(command) + b"\n")

    async def _record(self, request: Request) -> Response:
        return _found(self._recording.raw(request.path_params["number"]))

    async def _row(self, request: Request) -> Response:
        return _found(self._recording.record(request.path_params["number"]))

    async def _find(self, request: Request) -> Response:
        text = request.query_params.get("text", "")
        found = self._recording.find(text) if text else self._recording.latest()
        return _json(msgspec.json.encode(found))

    async def _trace(self, request: Request) -> Response:
        trace = self._recording.trace(request.query_params.get("of", ""))
        return _json(msgspec.json.encode(trace))

    async def _command(self, request: Request) -> Response:
        """Lets the rehearsal carry out a command, and waits for its answer."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_COMMAND:
                return PlainTextResponse("the command is too large\n", 413)
        try:
            command = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            return PlainTextResponse(f"the command is no JSON object: {error}\n", 400)
        self._asked += 1
        id_ = self._asked
        answer = self._answers[id_] = asyncio.get_running_loop().create_future()
        self._send({**command, "id": id_})
        try:
            return _json(await asyncio.wait_for(answer, _ANSWER_S))
        except TimeoutError:
            self._answers.pop(id_, None)
            text = f"the rehearsal has not answered for {_ANSWER_S:.0f} s: it may be busy"
            return _json(msgspec.json.encode({"error": text}))


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return FileResponse(_STATIC / name, media_type=media_type)

    return answer


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _found(body: bytes | None) -> Response:
    return PlainTextResponse("there is no such thing\n", 404) if body is None else _json(body)


class _Server(uvicorn.Server):
    """Leaves signals to the rehearsal: this process ends with it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


async def serve(link: socket.socket, site: Path | None) -> None:
    """Serves the page until the rehearsal closes the link. `site` is a folder of more pages."""
    reader, writer = await asyncio.open_connection(sock=link, limit=_LONGEST_LINE)
    page = Page(reader, writer, site)
    listening = socket.create_server(("127.0.0.1", int(await reader.readline())))
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    app = Starlette(routes=page.routes, middleware=[Middleware(Guard, port=port, token=token)])
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config)
    serving: list[asyncio.Task[None]] = []

    async def ready() -> None:
        serving.append(asyncio.create_task(server.serve([listening])))
        writer.write(f"http://127.0.0.1:{port}/{token}/\n".encode())

    await page.listen(ready)
    server.should_exit = True
    await asyncio.gather(*serving, return_exceptions=True)


def main() -> None:
    """Entry point of the process."""
    with contextlib.suppress(ConnectionError):
        number, site = sys.argv[1:]
        asyncio.run(serve(socket.socket(fileno=int(number)), Path(site) if site else None))


if __name__ == "__main__":
    main()
