"""Traces: the trace of each unit of work, carried on by events, requests and stored aggregates.

A trace context is that of W3C Trace Context. https://www.w3.org/TR/trace-context/
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Protocol, Self

from msgspec import Struct

HEADER = "traceparent"
"""The header of a request. Events have an attribute of the same name.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md"""

_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_ZEROS = re.compile("0+")


class TraceContext(Struct, frozen=True):
    """A span of a trace; without `span_id`, the beginning of the trace."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str = ""
    """16 hexadecimal digits."""

    @classmethod
    def read(cls, text: object) -> Self | None:
        """Returns the context in a `traceparent`, or None if it has another form.

        It may come from outside. Its flags are ignored, because every unit of work is recorded.
        """
        found = _FORM.fullmatch(text) if isinstance(text, str) else None
        if not found or (found[1] == "00" and found[4]):
            return None
        if _ZEROS.fullmatch(found[2]) or _ZEROS.fullmatch(found[3]):
            return None
        return cls(found[2], found[3])

    @classmethod
    def of(cls, correlation_id: str) -> Self:
        """Returns the beginning of the trace that follows from a correlation id.

        All that begins with one request has one trace, even if an earlier release, which knows no
        traces, publishes some of its events.
        """
        digest = sha256(correlation_id.encode(errors="surrogatepass"))
        return cls(digest.hexdigest()[:32])

    def child(self) -> "TraceContext":
        """Returns the context of a new span in this trace."""
        return TraceContext(self.trace_id, os.urandom(8).hex())

    def __str__(self) -> str:
        """Returns the `traceparent` of a recorded span."""
        return f"00-{self.trace_id}-{self.span_id}-01"


class Published(Protocol):
    """The fields of an event that a span names."""

    @property
    def id(self) -> str:
        """The event's id."""

    @property
    def subject(self) -> str:
        """The id of what it is about."""

    @property
    def trace(self) -> TraceContext:
        """The span that published it."""


class Span:
    """A unit of work: a request, a message, a task or a batch.

    It belongs to the trace of its cause. It joins the trace of each aggregate that it changes: it
    has a context of its own there, too. So what customers, partners and schedules do about an order
    later is in the order's trace.
    """

    def __init__(self, parent: TraceContext) -> None:
        self.parent = parent
        self.context = parent.child()
        self.joined: dict[str, tuple[TraceContext, TraceContext]] = {}
        """Parent and own context in other traces, by their ids."""
        self.published: list[Published] = []
        """The committed events."""
        self.outcome = "done"

    def join(self, traceparent: str | None) -> TraceContext:
        """Returns the span's context in the trace of `traceparent`, if it is another one."""
        other = TraceContext.read(traceparent)
        if other is None or other.trace_id == self.context.trace_id:
            return self.context
        _, own = self.joined.setdefault(other.trace_id, (other, other.child()))
        return own

    @property
    def contexts(self) -> Iterable[tuple[TraceContext, TraceContext]]:
        """Parent and own context of each record to write.

        A unit of work that nobody else traces, and that joins one trace, is recorded only there.
        """
        joined = [*self.joined.values()]
        alone = len(joined) == 1 and not self.parent.span_id
        return joined if alone else [(self.parent, self.context), *joined]


_running: ContextVar[Span | None] = ContextVar("span", default=None)


def current() -> str | None:
    """Returns the `traceparent` of the unit of work that runs, if one does."""
    span = _running.get()
    return str(span.context) if span else None


def join(traceparent: str | None) -> str | None:
    """Returns the `traceparent` with which to change what belongs to a trace; see `Span.join`."""
    span = _running.get()
    return str(span.join(traceparent)) if span else traceparent


def note(published: Iterable[Published]) -> None:
    """Notes in the unit of work that runs, if one does, which events it has published."""
    if span := _running.get():
        span.published += published


@contextmanager
def run(span: Span) -> Iterator[None]:
    """Makes a unit of work the one that runs."""
    token = _running.set(span)
    try:
        yield
    finally:
        _running.reset(token)
