"""Locust in an environment of its own: gevent replaces sockets, which boto3 must not see.

https://docs.locust.io/en/stable/running-without-web-ui.html
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import msgspec

from stacks.constructs.packaging import Target, digest_of, install, put_in_place
from tools.load_test.bounds import Bounds
from tools.smoke.stage import TIMEOUT_S
from workspace.isolation import PROJECT, allowed

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
"""The lock file of Locust's environment."""

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_PERIOD_S = 5
"""PERIOD_S of the locustfile: so many users place one order per second."""
_LATE_S = 30
"""How much later than planned the last order may be sent."""
_ENDING_S = 60.0
"""How long Locust may take to start, and to end after the last order."""
_LOOK_S = 0.2


class LocustFailed(Exception):
    """Locust could not place the orders."""


class Answer(msgspec.Struct, frozen=True):
    """The answer to an order: when it was sent (epoch seconds), how long it took, and its status.

    The status is 0 if there was no answer. `code` is that of a problem.
    """

    sent: float
    seconds: float
    status: int
    code: str


@dataclass(frozen=True, kw_only=True)
class Orders:
    """The orders to place: a request takes the next of the bodies, and of the customers' tokens."""

    name: str
    """The beginning of their idempotency keys."""
    url: str
    headers: Mapping[str, str]
    bodies: Sequence[Mapping[str, Any]]
    tokens: Sequence[str]


def site() -> Path:
    """Returns the folder of Locust's environment, which need not exist."""
    version = "{}.{}".format(*sys.version_info).encode()
    digest = digest_of(("requirements", REQUIREMENTS.read_bytes()), ("python", version))
    return PROJECT / ".build" / f"locust-{digest}"


def installed() -> Path:
    """Returns the folder of Locust's environment. The first call installs it.

    Raises PackagingError if that fails.
    """
    folder = site()
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder.parent) as scratch:
            made = Path(scratch, "site")
            install(REQUIREMENTS, made, Target.HOST)
            put_in_place(made, folder)
    return folder


def place(orders: Orders, bounds: Bounds, meanwhile: Callable[[], object]) -> list[Answer]:
    """Places orders at a constant rate, and calls `meanwhile` again and again until they end.

    Returns the answers in the order in which they came. Raises LocustFailed.
    """
    with tempfile.TemporaryDirectory(prefix="load-") as scratch:
        answers, log = Path(scratch, "answers.jsonl"), Path(scratch, "log.txt")
        answers.touch()
        job = {
            **asdict(orders),
            "orders": bounds.orders,
            "rate": bounds.rate,
            "answers": str(answers),
            "timeout_s": TIMEOUT_S,
        }
        with log.open("w") as output:
            process = subprocess.Popen(
                _command(bounds),
                cwd=scratch,
                # No settings of Locust, no proxies, and no AWS credentials.
                env={**allowed(os.environ), "HOME": scratch, "PYTHONPATH": str(installed())},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                _feed(process, json.dumps(job))
                _await(process, bounds.seconds + _LATE_S + _ENDING_S, meanwhile)
            finally:
                process.kill()
                process.wait()
        lines = answers.read_bytes().splitlines()
        if process.returncode or not lines:
            raise LocustFailed(
                f"Locust ended with {process.returncode} after {len(lines)} orders:\n"
                f"{log.read_text().strip()}"
            )
        return [msgspec.json.decode(line, type=Answer) for line in lines]


def _command(bounds: Bounds) -> list[str]:
    users = ceil(bounds.rate * _PERIOD_S)
    # -s, -S and -P: neither site-packages nor the folder that is current.
    return [
        *(sys.executable, "-s", "-S", "-P", "-m", "locust", "--locustfile", str(_LOCUSTFILE)),
        *("--headless", "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"),
        *("--users", str(users), "--spawn-rate", f"{bounds.rate:g}"),
        # It ends itself with the last order. If answers are slow, that is later.
        *("--run-time", f"{bounds.seconds + _LATE_S}s", "--stop-timeout", f"{TIMEOUT_S:.0f}"),
    ]


def _feed(process: "subprocess.Popen[str]", job: str) -> None:
    assert process.stdin is not None  # noqa: S101
    try:
        with process.stdin:
            process.stdin.write(job)
    except BrokenPipeError:
        # It has ended; its output says why.
        return


def _await(
    process: "subprocess.Popen[str]", longest_s: float, meanwhile: Callable[[], object]
) -> None:
    deadline = time.monotonic() + longest_s
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise LocustFailed(f"Locust has not ended after {longest_s:.0f} s")
        meanwhile()
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    installed()
