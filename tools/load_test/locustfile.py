"""Places orders at a constant rate. Runs in Locust's own environment, without this project.

The job comes on standard input as JSON, because it contains tokens. Each answer is appended to the
file `answers` as a line of JSON: `sent` (epoch seconds), `seconds`, `status` (0 without an answer)
and `code`.
"""

import json
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import gevent
from locust import HttpUser, constant_throughput, task
from locust.exception import StopUser

JOB: Any = json.load(sys.stdin)
PERIOD_S = 5.0
"""Each user places an order so often, so orders with slower answers come late."""
NUMBERS, USERS = count(), count()
ANSWERS = Path(JOB["answers"]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115


class Customer(HttpUser):  # type: ignore[misc]  # Locust is not installed where types are checked.
    """A source of orders. Each of them is of the next of the synthetic customers."""

    host = JOB["url"]
    wait_time = constant_throughput(1 / PERIOD_S)

    def on_start(self) -> None:
        """Spreads the users that Locust starts at once over the time until it starts the next."""
        at_once = max(1, int(JOB["rate"]))
        gevent.sleep(next(USERS) % at_once / JOB["rate"])

    @task  # type: ignore[untyped-decorator]
    def order(self) -> None:
        """Places an order, unless all have been placed."""
        number = next(NUMBERS)
        if number >= JOB["orders"]:
            # Not in this greenlet, for whose end it would wait.
            gevent.spawn(self.environment.runner.quit)
            raise StopUser
        bodies, tokens = JOB["bodies"], JOB["tokens"]
        sent, begun = time.time(), time.monotonic()
        answer = self.client.post(
            "/orders",
            json=bodies[number % len(bodies)],
            headers={
                **JOB["headers"],
                "authorization": f"Bearer {tokens[number % len(tokens)]}",
                "idempotency-key": f"{JOB['name']}-{number}",
            },
            timeout=JOB["timeout_s"],
        )
        seconds = time.monotonic() - begun
        code = "" if answer.status_code == 202 else _code(answer)
        line = {"sent": sent, "seconds": seconds, "status": answer.status_code, "code": code}
        ANSWERS.write(json.dumps(line) + "\n")


def _code(answer: Any) -> str:
    """Returns the code of a problem, or the beginning of another answer."""
    try:
        return str(answer.json()["code"])
    except (ValueError, TypeError, KeyError):
        return str(answer.text or answer.error or "no answer")[:200]
