"""The report of a smoke test: each step with its time, and each hop with its latency."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeGuard

from rich.console import Console
from rich.text import Text

from tools.demo.console import grid, show_table
from tools.smoke.hops import SpanLine


@dataclass(frozen=True)
class StepResult:
    """A step of the scenario: how long it took in seconds, and what is wrong if it failed."""

    name: str
    good: bool
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class HopLatency:
    """How a hop worked: the longest times of its spans, in seconds."""

    hop: str
    times: int
    after_s: float | None
    """How long after its cause it began. None if no span caused it, as with a request."""
    took_s: float
    outcomes: dict[str, int]


@dataclass
class SmokeReport:
    """The results of a run."""

    stage: str
    trace_id: str
    order_id: str = ""
    steps: list[StepResult] = field(default_factory=list)
    hops: list[HopLatency] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What could not be measured or cleaned up."""
    not_tried: dict[str, list[str]] = field(default_factory=dict)
    """The hops that the order does not pass in such a stage, by the reason."""
    calls: list[str] = field(default_factory=list)
    """The operations of AWS that were called, such as `sqs.GetQueueAttributes`."""
    parity: list[StepResult] = field(default_factory=list)
    """The compared rules of AWS, and their sum; none if none was to be compared."""

    @property
    def passes(self) -> bool:
        """Whether each step was good, and none is missing."""
        return bool(self.steps) and all(each.good for each in (*self.steps, *self.parity))

    def to_json(self) -> str:
        """Returns the report as JSON."""
        document: dict[str, Any] = {**asdict(self), "passes": self.passes}
        return json.dumps(document, indent=2) + "\n"


def latencies(spans: Sequence[SpanLine]) -> list[HopLatency]:
    """Returns the latency of each hop, measured from the end of the last span that caused it."""
    ends = {span.span_id: span.ended for span in spans}
    of_hop: dict[str, list[SpanLine]] = {}
    for span in spans:
        of_hop.setdefault(str(span.hop), []).append(span)
    return [
        HopLatency(
            hop,
            len(found),
            max(filter(_is_known, (_after(span, ends) for span in found)), default=None),
            max(span.duration_s for span in found),
            dict(Counter(span.outcome for span in found)),
        )
        for hop, found in of_hop.items()
    ]


def _after(span: SpanLine, ends: Mapping[str, float]) -> float | None:
    latest = max((ends[each] for each in span.parents if each in ends), default=None)
    # A task begins within the span of the function that runs its workflow.
    return None if latest is None else max(0.0, span.began - latest)


def _is_known(seconds: float | None) -> TypeGuard[float]:
    return seconds is not None


def show(console: Console, report: SmokeReport) -> None:
    """Prints the hops; the steps are printed as they end."""
    if report.hops:
        heads = ("hop", "times", "began after (ms)", "took (ms)", "results")
        table = grid("Hops of the order, with their longest times", *heads)
        for each in report.hops:
            after = "" if each.after_s is None else f"{each.after_s * 1000:.0f}"
            results = ", ".join(f"{what}: {times}" for what, times in each.outcomes.items())
            table.add_row(each.hop, str(each.times), after, f"{each.took_s * 1000:.0f}", results)
        console.print()
        show_table(console, table)
        console.print()
    for problem in report.problems:
        console.print(Text(f"note: {problem}", "yellow"), soft_wrap=True)
    for reason, untried in report.not_tried.items():
        console.print(f"not tried, because {reason}: {', '.join(untried)}", soft_wrap=True)
    if report.passes:
        limit = ", as far as it was tried" if report.not_tried else ""
        console.print(Text(f"{report.stage} works{limit}: trace {report.trace_id}", "green"))


def show_step(console: Console, step: StepResult) -> None:
    """Prints a step when it has ended."""
    mark, style = ("✓", "green") if step.good else ("✗", "bold red")
    note = f"  {step.note}" if step.note else ""
    console.print(
        Text.assemble((mark, style), f" {step.name:<34} {step.seconds * 1000:7.0f} ms", note),
        soft_wrap=True,
    )
