"""An endpoint for AWS clients outside of the process, while a rehearsal runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from cdk_rehearsal.virtual_time.scheduler import Scheduler


class _Quiet(WSGIRequestHandler):
    """Keeps requests out of the terminal: only the rehearsal writes there."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class Server:
    """moto's server in a thread; each request waits for its turn between two steps."""

    def __init__(self, scheduler: Scheduler, port: int) -> None:
        """Listen on 127.0.0.1 at ``port``; 0 takes a free one."""
        application = DomainDispatcherApplication(create_backend_app)

        def between_steps(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            with scheduler.guest():
                return list(application(environ, start))

        self._server = make_server(
            "127.0.0.1", port, between_steps, threaded=True, request_handler=_Quiet
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
