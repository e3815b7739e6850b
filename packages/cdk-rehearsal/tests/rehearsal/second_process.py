"""The console of a deployed application in a process that shares only the AWS API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cdk_rehearsal import Rehearsal
from rehearsal.test_console import MONOTONIC, client

_LONGEST_S = 60


class Command:
    """The command `rehearse console` in a process of its own."""

    def __init__(
        self, shop: Rehearsal, *options: str, assembly: Path | None = None, **environment: Any
    ) -> None:
        self._shop = shop
        path = os.pathsep.join(filter(None, sys.path))
        arguments = ["console", str(assembly or shop.assembly.directory), "--json", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cdk_rehearsal", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": path,
                "HOME": "/nonexistent",
                "AWS_ENDPOINT_URL": shop.serve(),
                "AWS_REGION": shop.region,
                "AWS_ACCESS_KEY_ID": "operator",
                "AWS_SECRET_ACCESS_KEY": "secret",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = ""

    def start(self) -> Command:
        """Waits until the page is served."""
        assert self.process.stdout is not None
        output = self.process.stdout

        def read() -> None:
            line = output.readline()
            self.url = json.loads(line)["console"] if line else ""

        self.while_running(read)
        assert self.url, self.process.communicate()[1]
        return self

    def while_running(self, run: Callable[[], object]) -> None:
        """Does something in a thread, while the rehearsal goes on."""
        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            self._shop.run_for(0.05)
            thread.join(0.02)

    def get(self, path: str) -> Any:
        """Returns what the page's server answers."""
        return self._request("GET", path)

    def command(self, do: str, **arguments: object) -> Any:
        """Returns the answer to a command."""
        return self._request("POST", "command", {"do": do, **arguments})

    def _request(self, method: str, path: str, body: object = None) -> Any:
        parts = urlsplit(self.url)
        answers: list[Any] = []

        def send() -> None:
            with client(parts.port or 0) as connection:
                headers = {"Origin": f"http://{parts.netloc}", "Host": parts.netloc}
                text = None if body is None else json.dumps(body)
                connection.request(method, parts.path + path, text, headers)
                response = connection.getresponse()
                answer = response.read()
                answers.append(json.loads(answer) if response.status == 200 else None)

        self.while_running(send)
        return answers[0]

    def until(self, path: str, done: Callable[[Any], bool]) -> Any:
        """Asks the page's server again and again, until the answer is as wanted."""
        end = MONOTONIC() + _LONGEST_S
        while not done(answer := self.get(path)):
            assert MONOTONIC() < end, answer
            self.while_running(lambda: threading.Event().wait(0.2))
        return answer

    def close(self) -> None:
        """Interrupts the command."""
        self.process.terminate()
        self.while_running(self.process.communicate)
