"""Servers for AWS clients and browsers outside of the process, while a rehearsal runs."""

import base64
import re
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.services.apis import HttpFront
from cdk_rehearsal.virtual_time.scheduler import Scheduler

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application: https://peps.python.org/pep-3333/."""


class _Quiet(WSGIRequestHandler):
    """Keeps requests out of the terminal: only the rehearsal writes there."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Writes nothing."""


_DOMAINS = re.compile(r"\.(execute-api|lambda-url)\.")
"""What the domains of APIs and of functions' URLs have in common.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-publish.html
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html"""
_CBOR = "smithy-rpc-v2-cbor"
_BUSES = "/service/AWSEventsV2/operation/"
"""The path of the API `eventbridgev2`, before the name of an operation.
https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html"""


def aws_endpoint(core: Core, front: Callable[[], HttpFront]) -> Application:
    """Returns the endpoint of all AWS services: moto's server, and Custom Event Buses.

    A request whose header Host is the domain of an API or of a function's URL reaches that one.
    """
    of_moto: Application = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").partition(":")[0].lower()
        if _DOMAINS.search(host) and (path := front().paths_by_domain.get(host)):
            return http_api(front(), path)(environ, start)
        if environ["PATH_INFO"].startswith(_BUSES):
            return _bus_api(core, Request(environ))(environ, start)
        return of_moto(environ, start)

    return answer


def _bus_api(core: Core, request: Request) -> Response:
    """Answers a request to the API `eventbridgev2`, which moto lacks, in its protocol."""
    client = core.client("eventbridgev2")
    model = client.meta.service_model
    operation = request.path.removeprefix(_BUSES)
    writer: Any = create_serializer(_CBOR, include_validation=False)
    try:
        shapes = model.operation_model(operation)
        sent = {"body": request.get_data(), "headers": {}, "status_code": 200}
        parameters = create_parser(_CBOR).parse(sent, shapes.input_shape)
        parameters.pop("ResponseMetadata", None)
        answered = core.apis["eventbridgev2"](client, operation, parameters)
        answered.pop("ResponseMetadata")
        shape = shapes.output_shape
        body = writer._serialize_body_params(answered, shape) if shape else b""
        status = 200
    except ClientError as error:
        said = error.response
        status = said["ResponseMetadata"]["HTTPStatusCode"]
        body = _cbor_error(said["Error"]["Code"], said["Error"]["Message"])
    except (BotoCoreError, RehearsalError) as error:
        status, body = 400, _cbor_error("ValidationException", str(error))
    headers = {"smithy-protocol": "rpc-v2-cbor"}
    return Response(body, status, headers, content_type="application/cbor")


def _cbor_error(code: str, message: str) -> bytes:
    """Returns an error in CBOR: a map of two texts."""
    pairs = [text for pair in (("__type", code), ("message", message)) for text in pair]
    return b"\xa2" + b"".join(
        b"\x7a" + len(encoded).to_bytes(4) + encoded for encoded in map(str.encode, pairs)
    )


def http_api(front: HttpFront, path: str) -> Application:
    """Returns the HTTP API at a construct path."""
    base = front.base_paths[path]

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        target = environ["REQUEST_URI"]
        rest = target.removeprefix(base)
        if not target.startswith(base) or rest[:1] not in {"", "/", "?"}:
            return Response(f"the URLs of this API begin with {base}\n", 404)(environ, start)
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        answered = front.request(
            request.method,
            rest if rest.startswith("/") else f"/{rest}",
            headers=headers,
            body=request.get_data() or None,
            api=path,
        )
        body = answered.body.encode()
        response = Response(
            base64.b64decode(body) if answered.is_base64 else body,
            answered.status,
            answered.headers,
        )
        for cookie in answered.cookies:
            response.headers.add("set-cookie", cookie)
        return response(environ, start)

    return answer


class Server:
    """A server in a thread; each request waits for its turn between two steps."""

    def __init__(self, scheduler: Scheduler, port: int, application: Application) -> None:
        """Listens on 127.0.0.1 at ``port``; 0 takes a free one.

        Raises RehearsalError if the port cannot be used.
        """

        def between_steps(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            with scheduler.guest():
                return list(application(environ, start))

        try:
            listening = socket.create_server(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise RehearsalError(f"port {port} cannot be used: {error}: choose another") from error
        with listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self._server = make_server(
                "127.0.0.1",
                port,
                between_steps,
                threaded=True,
                request_handler=_Quiet,
                fd=listening.fileno(),
            )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
