"""Places: where something can go wrong, read from the templates and from what a run has passed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cdk_rehearsal import Record
from cdk_rehearsal.topology import Edge

EDGES = ("rule", "topic", "bucket", "schedule", "scheduled", "queue", "stream")
"""Kinds of edges on which nobody waits for an answer."""

SYNC = ("route", "task", "call")
"""Kinds of places where somebody does: requests, steps of workflows, calls of AWS APIs."""


@dataclass(frozen=True, order=True)
class Place:
    """An edge from `source` to `target`, paths of constructs; for calls, one `operation`."""

    kind: str
    source: str
    target: str
    operation: str = ""

    def __str__(self) -> str:
        """What selects the place on the command line."""
        operation = f" {self.operation}" if self.operation else ""
        return f"{self.kind} {self.source} -> {self.target}{operation}"


def of_edges(edges: Iterable[Edge]) -> list[Place]:
    """The places of asynchronous edges."""
    return [Place(edge.kind, edge.source, edge.target) for edge in edges]


def passed(records: Iterable[Record], edges: Iterable[Place]) -> set[Place]:
    """The places that a run has passed: those among `edges`, and where somebody waited."""
    between = {(place.source, place.target): place for place in edges}
    found: set[Place] = set()
    for record in records:
        found.update(_passed(record, between))
    return found


def _passed(record: Record, edges: dict[tuple[str, str], Place]) -> Iterator[Place]:
    source, target, detail = record.source, record.target, record.detail
    edge = edges.get((source, target))
    if record.kind == "delivery":
        if edge is not None:
            yield edge
    elif record.kind == "call":
        operation = f"{detail['service']}.{detail['operation']}"
        yield Place("call", source, target, operation)
    elif record.kind == "invocation" and detail["type"] == "sync" and edge is None:
        yield Place("task" if "execution" in detail else "route", source, target)
