"""Fault sites: the edges, requests, workflow steps and AWS calls at which a fault can act."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cdk_rehearsal.assembly import Assembly
from cdk_rehearsal.faults import PARTIAL, Fault, Faults, Planned
from cdk_rehearsal.meter import Record
from cdk_rehearsal.topology import edges

_POLLED = ("queue", "stream")
_SYNCHRONOUS = ("route", "task", "call", "web")
_OPERATIONS = {
    "partial": PARTIAL,
    "conflict": frozenset({"DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"}),
}
"""The operations that can fail in the way of a fault, for faults that not all operations know."""


@dataclass(frozen=True, order=True)
class FaultSite:
    """A site between `source` and `target`, which are construct paths.

    `kind` is the kind of an asynchronous edge, or `route`, `task` (of a workflow), `call` or `web`.
    A call has an `operation` such as `dynamodb.PutItem`, and a request to a host outside AWS one
    such as `POST api.example.com/v1/orders`.
    """

    kind: str
    source: str
    target: str
    operation: str = ""

    @property
    def synchronous(self) -> bool:
        """Whether the caller waits for an answer."""
        return self.kind in _SYNCHRONOUS

    @property
    def polled(self) -> bool:
        """Whether a poller fetches what passes the site."""
        return self.kind in _POLLED

    @property
    def pushed(self) -> bool:
        """Whether a service delivers what passes the site."""
        return not self.synchronous and not self.polled

    @property
    def invokes(self) -> bool:
        """Whether a function runs at the site."""
        return self.polled or self.kind in ("route", "task")

    def __str__(self) -> str:
        """The site as one line."""
        operation = f" {self.operation}" if self.operation else ""
        return f"{self.kind} {self.source} -> {self.target}{operation}"


def edge_sites(assembly: Assembly) -> list[FaultSite]:
    """Returns the site of each asynchronous edge."""
    return [FaultSite(edge.kind, edge.source, edge.target) for edge in edges(assembly)]


def sites_passed(records: Iterable[Record], edges: Iterable[FaultSite]) -> set[FaultSite]:
    """Returns the sites that a run has passed: some of `edges`, requests, steps and calls."""
    between = {(site.source, site.target): site for site in edges}
    return {site for record in records for site in _passed(record, between)}


def _passed(record: Record, edges: dict[tuple[str, str], FaultSite]) -> Iterator[FaultSite]:
    source, target, detail = record.source, record.target, record.detail
    edge = edges.get((source, target))
    if record.kind == "delivery":
        if edge is not None:
            yield edge
    elif record.kind == "call":
        operation = f"{detail['service']}.{detail['operation']}"
        yield FaultSite("call", source, target, operation)
    elif record.kind == "outbound":
        yield FaultSite("web", source, "", detail["operation"])
    elif record.kind == "invocation" and detail["type"] == "sync" and edge is None:
        yield FaultSite("task" if "execution" in detail else "route", source, target)


def misfit(fault: Fault, site: FaultSite) -> str | None:
    """Returns why a fault cannot act at a site, or None if it can."""
    operation = site.operation.partition(".")[2]
    match fault.moment:
        case "request":
            return None if site.kind == "route" else "no client sends a request here"
        case "way" | "delivery":
            return None if site.pushed else "no service delivers here: a poller or a caller fetches"
        case "receive" | "hide" | "delete":
            return None if site.kind == "queue" else "nothing is received from a queue here"
        case "call":
            if site.kind != "call":
                return "no AWS API is called here"
            if operation not in _OPERATIONS.get(fault.name, {operation}):
                return "this operation cannot fail in this way"
            return None
        case "handshake" | "web":
            return None if site.kind == "web" else "no host outside AWS is called here"
        case "before" | "after" if site.kind == "route" and fault.times is None:
            return "no client repeats a request forever"
    return None if site.invokes else "no function runs here"


def inject(
    faults: Faults, fault: Fault, site: FaultSite, *, times: int | None = None, passes: int = 0
) -> Planned:
    """Lets a fault act at a site: see `Faults.plan`.

    A fault of calls acts at a `call`, or at all calls of the function that runs at another site.
    """
    where: dict[str, str] = {}
    if site.kind == "call":
        where = {"source": site.source, "operation": site.operation.partition(".")[2]}
        where |= {"target": site.target} if site.target else {}
    elif fault.moment == "handshake":
        where = {"source": site.source}
    elif fault.moment == "web":
        where = {"source": site.source, "operation": site.operation}
    elif fault.moment == "call":
        where = {"source": site.target}
    else:
        if fault.moment not in ("before", "after", "clock"):
            where["source"] = site.source
        if fault.moment not in ("receive", "hide"):
            where["target"] = site.target
    return faults.plan(fault, **where, times=times, passes=passes)
