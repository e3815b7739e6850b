"""A run of the smoke test: requests in one trace, steps with their times, and bounded waits."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import urandom
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from lambdas.eventing.trace import HEADER, TraceContext
from tools.smoke.accounts import Accounts, SignInFailed
from tools.smoke.hops import Diagnosis, Hop
from tools.smoke.report import SmokeReport, StepResult, latencies
from tools.smoke.stage import ApiReply, NotDeployed, Stage

T = TypeVar("T")

GUIDE = "docs/how-to/check-a-deployed-stage.md"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
_ID_LENGTH = 16
_CLOCKS_S = 300.0
"""How much the clocks of this machine and of the stage may differ: AWS refuses older requests.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html"""
_REFUSED = ("AccessDenied", "NotAuthorized", "UnauthorizedOperation")


class StepFailed(Exception):
    """A step failed; the message names the hop that is missing, and what to look at."""


@dataclass
class Run:
    """One run against a stage."""

    stage: Stage
    patience_s: float
    """How long each hop may take, in seconds."""
    on_step: Callable[[StepResult], None] = lambda _: None

    def __post_init__(self) -> None:
        """Begins a trace, in which all hops can be found."""
        trace = TraceContext(urandom(16).hex(), urandom(8).hex())
        self.trace = {HEADER: str(trace)}
        self.id = trace.trace_id[:_ID_LENGTH]
        """The id of the run. Names contain it, so that logs can be searched for both at once."""
        self.accounts = Accounts(self.stage)
        self.diagnosis = Diagnosis(self.stage, self.id, time.time() - _CLOCKS_S)
        self.report = SmokeReport(self.stage.name, trace.trace_id)
        self._passed: list[Hop] = []

    @contextmanager
    def step(self, name: str, *passed: Hop) -> Iterator[None]:
        """Reports a step, in which an order passes some hops. Raises StepFailed."""
        begun = time.monotonic()

        def ended(note: str = "") -> None:
            result = StepResult(name, not note, time.monotonic() - begun, note)
            self.report.steps.append(result)
            self.on_step(result)

        self._passed += passed
        try:
            yield
        except (StepFailed, NotDeployed, SignInFailed) as failure:
            ended(str(failure))
            raise StepFailed(str(failure)) from failure
        except (BotoCoreError, ClientError, HTTPError) as error:
            ended(_explained(error))
            raise StepFailed(_explained(error)) from error
        ended()

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiReply:
        """Sends a request to the API, in the trace of the run."""
        sent = {**self.trace, **(headers or {})}
        return self.stage.ask(method, path, token=token, body=body, headers=sent)

    def wait(self, check: Callable[[], T | None], *expected: Hop) -> T:
        """Returns what `check` finds, once it does.

        Raises StepFailed if that takes too long: it names the first of the hops without a trace.
        """
        deadline, pause = time.monotonic() + self.patience_s, _FIRST_PAUSE_S
        while not (found := check()):
            if time.monotonic() > deadline:
                raise StepFailed(self._missing(expected))
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        return found

    def leave_out(self, reason: str, *untried: Hop) -> None:
        """Reports which hops the order does not pass, and why."""
        named = dict.fromkeys(str(hop) for hop in untried if hop not in self._passed)
        self.report.not_tried[reason] = [*named]

    def finish(self) -> SmokeReport:
        """Measures the hops that were passed. Returns the report."""
        spans = self.diagnosis.spans(self._passed)
        self.report.hops = latencies(spans)
        silent = {*map(str, self._passed)} - {each.hop for each in self.report.hops}
        if silent and self.report.hops:
            self.report.problems.append(f"not in the trace: {', '.join(sorted(silent))}")
        self.report.problems += self.diagnosis.problems.values()
        self.report.calls = sorted(self.stage.calls)
        return self.report

    def _missing(self, expected: tuple[Hop, ...]) -> str:
        hop = self.diagnosis.first_without_span(expected) or expected[-1]
        before = expected[: expected.index(hop)]
        after = f" after {before[-1]}" if before else ""
        return (
            f"{hop} has not done its part within {self.patience_s:g} s{after}: "
            f"{self.diagnosis.about(hop)}"
        )


def require(answer: ApiReply, status: int) -> Any:
    """Returns the JSON of an answer. Raises StepFailed if it has another status."""
    if answer.status != status:
        raise StepFailed(f"the API answers {answer.status} {answer.code}, not {status}")
    return answer.json()


def _explained(error: Exception) -> str:
    if isinstance(error, ClientError) and any(
        each in error.response["Error"]["Code"] for each in _REFUSED
    ):
        return f"{error}: permit it, see {GUIDE}"
    if isinstance(error, HTTPError):
        return f"the API cannot be reached: {error}"
    return str(error)
