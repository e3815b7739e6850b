"""A migration there and back, among orders and faults."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

from cdk_rehearsal import Assembly, FaultSite, Rehearsal, edge_sites
from stacks.backbone import SOURCES
from tools.faults.actions import Action, PossibleFault, SequenceResult, random_actions, run
from tools.faults.kinds import KINDS
from tools.faults.scenarios import CUP, MUG
from tools.faults.shop import RehearsedShop
from tools.migrate.movers import (
    BRIDGES,
    BUSES,
    BusRoute,
    MovingConsumer,
    MovingProducer,
    Side,
    bridge,
    consumers,
    other,
    producers,
)
from tools.migrate.traffic import CrossedTwice, Traffic

Sabotage = Literal["no-overlap", "loop"]

_FAULTS = {
    "edge": ("refused", "duplicate", "late", "overtaken", "gone"),
    "queue": ("throttled", "raises", "dies"),
    "call": ("call-throttled", "call-lost", "partial"),
}
"""What happens to bridges and routes, to consumers, and to relays."""

_PATIENCE_S = 25 * 3600
"""Longer than a bus retries."""
_REDRIVES = 5
_INTERRUPTED = 0.2
"""The share of moves in which the operator's step fails, and is begun again later."""
_SHORT, _OVERLAP, _LONG = 1, 2, 3
"""Options of the action `wait`: 5, 30 and 300 seconds."""


@dataclass
class Move:
    """A consumer or producer that has moved."""

    name: str
    to: Side
    overlap_s: float | None = None
    """How long both buses delivered; None for a producer."""
    interrupted: bool = False


@dataclass(kw_only=True)
class MigrationResult:
    """The moves, and what became of the orders and events."""

    moves: list[Move] = field(default_factory=list)
    result: SequenceResult = field(default_factory=SequenceResult)
    published: Counter[str] = field(default_factory=Counter)
    """Events by the bus on which they were published."""
    crossed: Counter[str] = field(default_factory=Counter)
    """Events by the side to which a bridge has forwarded them."""
    doubled: Counter[str] = field(default_factory=Counter)
    """Events that both buses delivered, by consumer."""

    @classmethod
    def failed(cls, problem: str) -> "MigrationResult":
        """Returns the result of a run that broke off."""
        return cls(result=SequenceResult(problems=[problem]))

    @property
    def problems(self) -> list[str]:
        """What was lost or doubled, or did not move."""
        return self.result.problems


class Stuck(Exception):
    """A step cannot be completed."""


def migrate(
    shop: RehearsedShop, assembly: Path, *, seed: int, sabotage: Sabotage | None = None
) -> MigrationResult:
    """Moves everything to the Custom Event Bus and back, in an order that the seed chooses."""
    shop.receive({MUG: 200, CUP: 100}, delivery="plenty")
    shop.rehearsal.scheduler.random.seed(seed)
    flow = random_actions(sys.maxsize, seed)
    migration = RehearsedMigration(shop, seed=seed, flow=flow, sabotage=sabotage)
    traffic = migration.traffic
    try:
        result = run(shop, possible_faults(shop.rehearsal, assembly), migration.actions())
        result.problems = [*traffic.lost(), *migration.problems, *result.problems]
    except CrossedTwice as error:
        result = SequenceResult(problems=[str(error)])
    except Stuck as error:
        result = SequenceResult(problems=[*traffic.lost(), str(error)])
    return MigrationResult(
        moves=migration.moves,
        result=result,
        published=Counter({side: traffic.count(side) for side in BUSES}),
        crossed=Counter({side: len(facts) for side, facts in traffic.crossed.items()}),
        doubled=Counter({each.name: traffic.doubled(each) for each in migration.consumers}),
    )


def possible_faults(shop: Rehearsal, assembly: Path) -> list[PossibleFault]:
    """Returns the faults of both bridges, of all routes and consumers, and of the relays."""
    names = {each.name for each in consumers(shop)}
    sites = [
        (site, _FAULTS["queue" if site.kind == "queue" else "edge"])
        for site in edge_sites(Assembly(assembly))
        if site.source.rpartition("/")[0] in names or site.source in BRIDGES.values()
    ]
    sites += [
        (FaultSite("call", each.relay.path, "", f"{service}.PutEvents"), _FAULTS["call"])
        for each in producers(shop)
        for service in ("events", "eventbridgev2")
    ]
    return [
        PossibleFault(KINDS[name], site)
        for site, possible in sites
        for name in possible
        if KINDS[name].reason_against(site) is None
    ]


class RehearsedMigration:
    """The steps of a migration, and the actions of customers and of chance between them."""

    def __init__(
        self,
        shop: RehearsedShop,
        *,
        seed: int,
        flow: Iterator[Action],
        sabotage: Sabotage | None = None,
    ) -> None:
        """`flow` has the actions of customers and of chance."""
        self._shop = shop
        self._rehearsal = shop.rehearsal
        self._random = Random(seed)
        self._sabotage = sabotage
        self._flow = flow
        self.consumers = consumers(shop.rehearsal)
        self.moves: list[Move] = []
        self.problems: list[str] = []
        self.traffic = Traffic(self.consumers)
        for record in shop.rehearsal.meter.records:
            self.traffic.on_record(record)
        shop.rehearsal.meter.listen(self.traffic.on_record)

    def actions(self) -> Iterator[Action]:
        """Yields all actions, and moves everything there and back among them."""
        if self._sabotage == "loop":
            forward_everything(self._rehearsal)
        for side in ("custom", "classic"):
            yield from self._move_all(side)

    @property
    def _now(self) -> float:
        return self._rehearsal.scheduler.now()

    def _some(self, count: int) -> Iterator[Action]:
        return islice(self._flow, count)

    def _move_all(self, to: Side) -> Iterator[Action]:
        movers: list[MovingConsumer | MovingProducer] = [
            *self.consumers,
            *producers(self._rehearsal),
        ]
        self._random.shuffle(movers)
        for mover in movers:
            yield from self._some(1)
            if isinstance(mover, MovingProducer):
                yield from self._shift(mover, to)
            elif self._sabotage == "no-overlap":
                yield from self._jump(mover, to)
            else:
                yield from self.move(mover, to)
        yield from self._stay(to)

    def _shift(self, producer: MovingProducer, to: Side) -> Iterator[Action]:
        """Moves a producer, as a deployment does: with an alias, it publishes on both for a while.

        A relay without an alias has moved at once.
        """
        producer.begin(self._rehearsal, to)
        if producer.alias:
            yield from self._some(1)
            yield Action("wait", option=_OVERLAP)
            producer.complete(self._rehearsal)
        self.moves.append(Move(producer.name, to))

    def move(self, consumer: MovingConsumer, to: Side) -> Iterator[Action]:
        """Moves a consumer: both buses deliver until the former has delivered what it had."""
        begun = self._now
        consumer.switch(self._rehearsal, to, on=True)
        yield from self._some(3)
        yield Action("wait", option=_OVERLAP)
        interrupted = self._random.random() < _INTERRUPTED
        if interrupted:
            yield Action("wait", option=_LONG)
            consumer.switch(self._rehearsal, to, on=True)
        former = other(to)
        # What a bridge forwards from before the overlap, only the former route delivers.
        yield from self._until_delivered(bridge(self._rehearsal, former), begun)
        yield from self._until_delivered(consumer.route(former), self._now)
        consumer.switch(self._rehearsal, former, on=False)
        self.moves.append(Move(consumer.name, to, self._now - begun, interrupted))

    def _jump(self, consumer: MovingConsumer, to: Side) -> Iterator[Action]:
        """Moves a consumer without an overlap, which is wrong."""
        consumer.switch(self._rehearsal, other(to), on=False)
        yield from self._some(3)
        yield Action("wait", option=_OVERLAP)
        consumer.switch(self._rehearsal, to, on=True)
        self.moves.append(Move(consumer.name, to, 0.0))

    def _until_delivered(self, route: BusRoute, moment: float) -> Iterator[Action]:
        """Waits until a route has delivered what had reached its bus, and nothing is parked."""
        yield from self._redrive()
        while self.traffic.undelivered(route, until=moment):
            if self._now > moment + _PATIENCE_S:
                raise Stuck(f"{route.path} does not deliver, so its consumer cannot leave it")
            yield Action("wait", option=_SHORT)
            yield from self._redrive()

    def _redrive(self) -> Iterator[Action]:
        """Removes the causes of what is parked, and redrives it. Raises Stuck if it stays."""
        for _ in range(_REDRIVES):
            if not self._shop.parked():
                return
            yield Action("clear")
            yield Action("redrive")
            yield Action("settle")
        raise Stuck(f"a redrive does not empty {', '.join(self._shop.parked())}")

    def _stay(self, side: Side) -> Iterator[Action]:
        """Checks that only the bus of one side is in use, once everything has moved."""
        yield Action("settle")
        yield from self._redrive()
        former = other(side)
        before = self.traffic.count(former), self.traffic.delivered_by(former)
        yield Action("order")
        yield from self._some(4)
        yield Action("settle")
        if before != (self.traffic.count(former), self.traffic.delivered_by(former)):
            self.problems.append(f"everything has moved, but the {former} bus is still in use")


def forward_everything(shop: Rehearsal) -> None:
    """Lets both bridges forward all events: a loop."""
    source = {"source": [{"prefix": SOURCES}]}
    rule, subscriber = (shop.resource(bridge(shop, side).path) for side in ("custom", "classic"))
    bus, _, name = rule.physical_id.partition("|")
    shop.client("events").put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(source))
    shop.client("eventbridgev2").update_subscriber(
        SubscriberArn=subscriber.physical_id,
        FilterConfiguration={"Filters": [{"Scope": "DATA", "Pattern": json.dumps(source)}]},
    )
