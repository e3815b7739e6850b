"""The events of a migration: where each was published, and what has delivered it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from cdk_rehearsal import Record
from tools.migrate.movers import BRIDGES, BUSES, BusRoute, MovingConsumer, Side

Fact = tuple[str, str]
"""The CloudEvents id and the type: a fact in two versions has one id."""
Publication = tuple[Fact, tuple[str, ...]]
"""A fact and the bus on which it was published. A relay that moves may publish it on both."""


class CrossedTwice(Exception):
    """An event has crossed both bridges."""


class Traffic:
    """Follows all events by the records of a rehearsal."""

    def __init__(self, consumers: list[MovingConsumer]) -> None:
        self._consumers = consumers
        self._by_path = {
            consumer.route(side).path: consumer for consumer in consumers for side in BUSES
        }
        self._targets: dict[str, MovingConsumer] = {}
        self._sides = {path: side for side, path in BUSES.items()}
        self._bridges = {path: side for side, path in BRIDGES.items()}
        self._arrived: dict[Side, list[tuple[float, dict[str, Any]]]] = {s: [] for s in BUSES}
        self._done: dict[str, set[str]] = defaultdict(set)
        """The bus event ids that each route has delivered, or given up and parked."""
        self._reached: dict[str, set[Fact]] = defaultdict(set)
        self._by_route: dict[str, set[Fact]] = defaultdict(set)
        self.crossed: dict[Side, set[Publication]] = {side: set() for side in BUSES}
        """The events that have crossed the bridge to each side."""

    def on_record(self, record: Record) -> None:
        """Takes a record. Raises CrossedTwice."""
        event = record.detail.get("event")
        if event is None:
            return
        if record.kind == "published" and record.target in self._sides:
            self._arrived[self._sides[record.target]].append((record.time, event))
        elif record.kind == "delivery" and record.detail["outcome"] == "delivered":
            self._delivered(record, event)
        elif record.kind in ("dead_letter", "discarded"):
            self._done[record.source].add(event["id"])
            consumer = self._by_path.get(record.source)
            if consumer and record.kind == "dead_letter" and record.source.endswith("/Rule"):
                # A rule parks the event itself, and a redrive brings it to the queue.
                self._reached[consumer.name].add(_fact(event))

    def _delivered(self, record: Record, event: Mapping[str, Any]) -> None:
        self._done[record.source].add(event["id"])
        fact = _fact(event)
        if side := self._bridges.get(record.source):
            self.crossed[side].add(_publication(event))
            if all(_publication(event) in crossed for crossed in self.crossed.values()):
                raise CrossedTwice(
                    f"{fact[1]} of {event['detail']['subject']} (event {fact[0]}) has crossed both "
                    "bridges: let each bridge forward only events that were published on its side"
                )
        consumer = self._by_path.get(record.source)
        if consumer:
            self._targets[record.target] = consumer
            self._by_route[record.source].add(fact)
        # A redrive has a temporary subscriber, but the same target.
        consumer = consumer or self._targets.get(record.target)
        if consumer:
            self._reached[consumer.name].add(fact)

    def undelivered(self, route: BusRoute, *, until: float) -> int:
        """Counts what reached the bus of a route until then, and is still to be delivered."""
        return sum(
            event["id"] not in self._done[route.path] and route.pattern.matches(event)
            for time, event in self._arrived[route.side]
            if time < until
        )

    def doubled(self, consumer: MovingConsumer) -> int:
        """Counts the events that both buses have delivered to a consumer."""
        first, second = (self._by_route[consumer.route(side).path] for side in BUSES)
        return len(first & second)

    def count(self, side: Side) -> int:
        """Counts the events that were published on the bus of a side, without forwarded ones."""
        arrived = {_publication(event) for _, event in self._arrived[side]}
        return len(arrived - self.crossed[side])

    def delivered_by(self, side: Side) -> int:
        """Counts what the bus of a side has delivered to consumers."""
        return sum(len(self._done[each.route(side).path]) for each in self._consumers)

    def lost(self) -> Iterator[str]:
        """Yields the events that a consumer never got."""
        events = {_fact(event): event for side in BUSES for _, event in self._arrived[side]}
        for consumer in self._consumers:
            pattern = consumer.route("classic").pattern
            for fact, event in events.items():
                if fact not in self._reached[consumer.name] and pattern.matches(event):
                    yield f"{consumer.name} never got {fact[1]} of {event['detail']['subject']}"


def _publication(event: Mapping[str, Any]) -> Publication:
    return _fact(event), tuple(event["resources"])


def _fact(event: Mapping[str, Any]) -> Fact:
    return event["detail"]["id"], event["detail-type"]
