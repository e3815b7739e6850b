"""The record of a rehearsal: every invocation, AWS call, published event and delivery."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from cdk_rehearsal.spool import Spool, Spooled

_KEPT = 16_384
"""The records that stay in memory at least: those of about a hundred orders of a shop."""


class Record(Struct, frozen=True):
    """One thing that happened at virtual ``time`` (epoch seconds).

    ``kind`` is one of
    - ``invocation``: ``source`` invoked the function ``target``; detail has ``error``, ``cold``,
      ``duration_s`` (virtual, with the ``init_s`` of a cold start), ``request_id``, ``type``
      (``sync`` or ``async``), ``concurrent`` (the function's invocations at its start), and
      ``execution`` where a state machine invoked it;
    - ``throttle``: ``source`` could not invoke the function ``target``, which had no concurrency;
    - ``request``: ``source`` sent an HTTP request to the API or function URL ``target``; detail has
      ``method``, ``path``, ``route``, ``status``, ``api_id``, ``stage``, ``latency_s``, ``size``
      (of the larger body), and ``context``: the variables of the access log that only the API
      knows. A client of a WebSocket API connects (the status is 101), and each of its messages, and
      its end, is a request, too;
    - ``outbound``: the function ``source`` sent an HTTP request to the host ``target`` outside;
      detail has ``method``, ``path`` and ``status`` (None if it had no answer in time);
    - ``call``: the function ``source`` called an AWS API on ``target``; detail has ``service``,
      ``operation`` and ``error`` (the error code or None);
    - ``published``: ``source`` put an event on the bus ``target``; detail has ``event``;
    - ``execution``: the state machine ``source`` has ``started``, was ``redriven``, has ``entered``
      its state ``target``, or ``ended``, as detail's ``what`` says, with ``execution``, ``status``,
      ``error``, ``cause``, ``redrives``, the ARN of the ``state_machine``, and at the start its
      ``input``;
    - ``delivery``: ``target`` took something from ``source``; detail has ``outcome``; ``queued``,
      the id of the message that it became in a queue; and for a batch from a queue the ids of its
      ``messages``, of those that ``failed``, and the ``request_id`` of the invocation;
    - ``redriven``: a message of the dead-letter queue ``source`` moved to the queue ``target``;
      detail has the id that it had in ``messages``, its new id ``queued``, and its ``event``;
    - ``dead_letter``: something of ``source`` ended in the dead-letter queue ``target``;
    - ``fault``: a fault, detail's ``name``, acts on what goes from ``source`` to ``target``;
    - ``discarded``: something of ``source`` was given up with no dead-letter queue to take it.

    Sources and targets are construct paths, or ``outside``.
    """

    kind: str
    time: float
    source: str
    target: str
    detail: dict[str, Any]


class Records(Spooled[Record]):
    """The records in the order of time; the older ones are in a temporary file."""

    def __init__(self, spool: Spool, kept: int = _KEPT) -> None:
        """At least the last ``kept`` records stay in memory."""
        super().__init__(spool, kept)
        self._by_kind: defaultdict[str, list[Record]] = defaultdict(list)
        self._spooled_kinds: list[frozenset[str]] = []
        """The kinds of the records at each place."""

    def append(self, entry: Record) -> None:
        """Adds a record."""
        self._by_kind[entry.kind].append(entry)
        super().append(entry)

    def _write(self, oldest: list[Record]) -> None:
        super()._write(oldest)
        counts = Counter(record.kind for record in oldest)
        for kind, count in counts.items():
            del self._by_kind[kind][:count]
        self._spooled_kinds.append(frozenset(counts))

    def of(self, kind: str) -> Iterator[Record]:
        """Yields the records of one kind."""
        for place, kinds in zip(self._places, self._spooled_kinds, strict=True):
            if kind in kinds:
                yield from (each for each in self._spool.read(place) if each.kind == kind)
        yield from self._by_kind[kind]


class Meter:
    """Collects the records of a rehearsal, and hands each one on as it is made."""

    def __init__(
        self,
        now: Callable[[], float],
        on_record: Callable[[Record], None] | None = None,
        spool: Spool | None = None,
    ) -> None:
        """``now`` gives the virtual time; ``on_record`` is called with each record."""
        self.records = Records(spool or Spool())
        self._now = now
        self._listeners = [on_record] if on_record else []

    def add(self, kind: str, source: str, target: str, **detail: Any) -> Record:
        """Makes a record of what happened now."""
        record = Record(kind, self._now(), source, target, detail)
        self.records.append(record)
        for listener in self._listeners:
            listener(record)
        return record

    def listen(self, listener: Callable[[Record], None]) -> None:
        """Calls a function with each record from now on."""
        self._listeners.append(listener)

    def of(
        self, kind: str, *, source: str | None = None, target: str | None = None
    ) -> list[Record]:
        """Returns the records of one kind, if given only those with this source or target."""
        return [
            record
            for record in self.records.of(kind)
            if (source is None or record.source == source)
            and (target is None or record.target == target)
        ]
