"""The link to the server of the page, which is a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cdk_rehearsal.errors import RehearsalError

_READY_S = 30.0
_END_S = 3.0
_CHUNK = 1 << 18
_ROOT = str(Path(__file__).parents[2])


class Link:
    """The server of a page, and both directions of the socket that leads to it."""

    def __init__(self, port: int) -> None:
        """Prepares a server at a port of 127.0.0.1; 0 takes a free one."""
        self._port = port
        self._socket, self._far_end = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._encoder = msgspec.json.Encoder(enc_hook=str)
        self._unsent = bytearray()
        self._received = bytearray()
        self.is_open = True
        """Whether the server still runs, as far as is known."""

    def start(self, about: Mapping[str, Any], site: Path | None = None) -> str:
        """Starts the server with the map and what else the page begins with; returns the URL.

        The server also serves the files of `site`. Raises RehearsalError if it cannot be served.
        """
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "cdk_rehearsal.console.web", str(self._far_end.fileno())),
                str(site or ""),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([_ROOT, *filter(None, sys.path)])},
            pass_fds=[self._far_end.fileno()],
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for this process, which then ends the server.
            start_new_session=True,
        )
        self._far_end.close()
        self._socket.sendall(b"%d\n" % self._port)
        self._socket.sendall(b"M%s\n" % self._encoder.encode(about))
        line = self._read_line()
        if not line:
            self.close()
            raise RehearsalError(
                "the console cannot be served: install its libraries with "
                'pip install "cdk-rehearsal[console]", and choose a free port'
            )
        self._socket.setblocking(False)
        return line.decode()

    def _read_line(self) -> bytes:
        self._socket.settimeout(_READY_S)
        line = bytearray()
        while not line.endswith(b"\n"):
            part = self._socket.recv(1)
            if not part:
                return b""
            line += part
        return bytes(line[:-1])

    def close(self) -> None:
        """Sends the rest, and ends the server."""
        self.flush()
        if self._process is not None:
            # Open pages get the last records. A wait for the process with a timeout would pass
            # virtual time.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
                while select.select([self._socket], [], [], _END_S)[0]:
                    if not self._socket.recv(_CHUNK):
                        break
            self._process.kill()
            self._process.wait()
        self._socket.close()

    def leave_to_parent(self) -> None:
        """Cuts this process, a fork, off from the page."""
        self._socket.close()
        self._unsent.clear()

    def encode(self, value: Any) -> bytes:
        """Returns a value as JSON."""
        return self._encoder.encode(value)

    def put(self, tag: bytes, body: bytes) -> None:
        """Adds a line to what is to be sent. `tag` is the letter that says what it is."""
        self._unsent += tag
        self._unsent += body
        self._unsent += b"\n"

    def answer(self, id_: int, answer: Mapping[str, Any]) -> None:
        """Adds the answer to a command."""
        self.put(b"A", b"%d %s" % (id_, self.encode(answer)))

    def flush(self) -> None:
        """Sends as much as the server takes now, without waiting for it."""
        while self._unsent:
            try:
                sent = self._socket.send(memoryview(self._unsent)[:_CHUNK])
            except BlockingIOError:
                return
            except OSError:
                # The server has ended. What uses it goes on without a page.
                self._unsent.clear()
                self.is_open = False
                return
            del self._unsent[:sent]

    def wait(self, seconds: float) -> None:
        """Waits, in real time, until there is a command, or the server takes more."""
        writing = [self._socket] if self._unsent else []
        select.select([self._socket], writing, [], seconds)

    def commands(self) -> list[dict[str, Any]]:
        """Returns the commands of the page that have come."""
        while True:
            try:
                part = self._socket.recv(_CHUNK)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            if not part:
                self.is_open = False
                break
            self._received += part
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        return [json.loads(line) for line in lines]
