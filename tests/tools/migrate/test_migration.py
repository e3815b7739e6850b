"""A stage moves to the Custom Event Bus and back: nothing is lost, nothing happens twice."""

from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cdk_rehearsal import FAULTS, Record
from tests.support.forks import in_a_fork
from tools.faults.actions import ActionSequence
from tools.faults.case import violations
from tools.faults.scenarios import MUG
from tools.faults.shop import RehearsedShop
from tools.migrate.cli import show_moves, show_result
from tools.migrate.movers import BRIDGES, BUSES, Side, bridge, consumers, other, producers
from tools.migrate.run import RehearsedMigration, Sabotage, migrate
from tools.migrate.traffic import CrossedTwice, Traffic
from tools.redrive import cli as redrive

CHECKOUT = "Checkout/RunCheckout"


def test_everything_moves_there_and_back_and_nothing_is_lost_or_doubled(
    shop: RehearsedShop, both_buses: Path
) -> None:
    found = in_a_fork(partial(migrate, shop, both_buses, seed=4))
    assert found.problems == []
    names = {each.name for each in consumers(shop.rehearsal)}
    names |= {each.name for each in producers(shop.rehearsal)}
    for side in BUSES:
        assert {move.name for move in found.moves if move.to == side} == names
        assert found.published[side] > 100
        assert found.crossed[other(side)] == found.published[side]
    assert found.result.faults.total() > 20
    assert sum(count > 0 for count in found.doubled.values()) > 10
    printed = StringIO()
    console = Console(file=printed, width=300)
    show_moves(console, found)
    show_result(console, 4, found, 1.0)
    assert all(name in printed.getvalue() for name in names)
    assert "seed 4: 54 moves" in printed.getvalue()
    assert "none twice; nothing lost, nothing doubled" in printed.getvalue()


@pytest.mark.parametrize(
    ("sabotage", "problem"),
    [
        ("no-overlap", r" never got [A-Za-z]+\.v\d of "),
        ("loop", r"has crossed both bridges: let each bridge forward only events that were publ"),
    ],
)
def test_a_sabotage_is_noticed(
    shop: RehearsedShop, both_buses: Path, sabotage: Sabotage, problem: str
) -> None:
    found = in_a_fork(partial(migrate, shop, both_buses, seed=1, sabotage=sabotage))
    with pytest.raises(AssertionError, match=problem):
        assert found.problems == []


# -- the bridges --------------------------------------------------------------------------


def test_each_bridge_forwards_only_what_was_published_on_its_own_side(shop: RehearsedShop) -> None:
    patterns = {side: bridge(shop.rehearsal, side).pattern for side in BUSES}

    def forwarded(**event: Any) -> list[Side]:
        whole = {"source": "orderflow.orders", "resources": [], "detail": {}, **event}
        return [side for side, pattern in patterns.items() if pattern.matches(whole)]

    classic = shop.rehearsal.resource(BUSES["classic"]).attributes["Arn"]
    custom = shop.rehearsal.resource(BUSES["custom"]).attributes["EventBusArn"]
    assert forwarded(resources=[classic]) == ["custom"]
    assert forwarded(resources=[custom]) == ["classic"]
    assert forwarded() == []
    assert forwarded(resources=[classic], source="another.application") == []


def test_a_fact_that_a_relay_publishes_on_both_buses_has_not_crossed_both_bridges() -> None:
    """A relay whose answer is lost, and that moves then, publishes an event a second time."""
    traffic = Traffic([])
    detail = {"id": "e-1", "subject": "o-1"}
    event = {"id": "1", "detail-type": "OrderPlaced.v1", "detail": detail, "resources": ["one"]}

    def cross(side: Side, event: dict[str, Any]) -> None:
        detail = {"outcome": "delivered", "event": event}
        traffic.on_record(Record("delivery", 0, BRIDGES[side], BUSES[side], detail))

    cross("custom", event)
    cross("classic", {**event, "id": "2", "resources": ["other"]})
    with pytest.raises(CrossedTwice, match=r"OrderPlaced\.v1 of o-1"):
        cross("classic", {**event, "id": "3"})


# -- order --------------------------------------------------------------------------------


def put_everything_behind_a_bridge(shop: RehearsedShop, to: Side) -> None:
    """Lets all events be published on one bus, and be delivered by the other."""
    for producer in producers(shop.rehearsal):
        producer.move(shop.rehearsal, other(to))
    for consumer in consumers(shop.rehearsal):
        consumer.switch(shop.rehearsal, to, on=True)
        consumer.switch(shop.rehearsal, other(to), on=False)


def types_on(shop: RehearsedShop, side: Side, order_id: str) -> list[str]:
    """The events of shipping about an order, as they reached the bus of a side."""
    events = [
        each.detail["event"]
        for each in shop.rehearsal.meter.of("published")
        if each.target == BUSES[side]
    ]
    return [
        event["detail-type"]
        for event in events
        if event["source"] == "orderflow.shipping" and event["detail"]["subject"] == order_id
    ]


@pytest.mark.parametrize("to", BUSES)
def test_the_order_of_an_aggregate_does_not_survive_a_bridge_and_consumers_need_none(
    shop: RehearsedShop, to: Side
) -> None:
    """A classic rule has no order, and what it forwards belongs to no group.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-ordering.html
    """

    def overtake() -> bool:
        put_everything_behind_a_bridge(shop, to)
        order_id = shop.place({MUG: 1}, key="overtaken")
        shop.settle()
        shop.rehearsal.faults.plan(FAULTS["late"], source=BRIDGES[to])
        shop.deliver(order_id)
        shop.settle()
        published, forwarded = (types_on(shop, side, order_id) for side in (other(to), to))
        assert forwarded != published
        assert sorted(forwarded) == sorted(published)
        assert shop.order_statuses()[order_id] == "delivered"
        assert violations(shop.evidence()) == []
        return True

    assert in_a_fork(overtake)


# -- outages ------------------------------------------------------------------------------


@pytest.mark.parametrize("to", BUSES)
def test_a_redrive_brings_back_what_a_bridge_gave_up(
    shop: RehearsedShop, monkeypatch: pytest.MonkeyPatch, to: Side
) -> None:
    """The guide says how: the archive for the rule, and `make redrive` for the subscriber."""
    monkeypatch.setattr(redrive, "client", shop.rehearsal.client)

    def give_up() -> bool:
        put_everything_behind_a_bridge(shop, to)
        order_id = shop.place({MUG: 1}, key="given-up")
        shop.settle()
        shop.rehearsal.faults.plan(FAULTS["unavailable"], source=BRIDGES[to])
        shop.deliver(order_id)
        shop.pass_time(hours=25)
        shop.rehearsal.faults.clear()
        assert shop.order_statuses()[order_id] == "confirmed"
        (parked,) = shop.parked()
        assert parked.startswith(BRIDGES[to].rpartition("/")[0])

        if to == "custom":
            shop.replay(BRIDGES[to])
            assert [*shop.take_messages(parked)]
        else:
            asked = ["--stage", "prod", "backbone", "BusToClassic"]
            assert CliRunner().invoke(redrive.app, asked).exit_code == 0
            shop.settle()
            assert CliRunner().invoke(redrive.app, [*asked, "--done"]).exit_code == 0
        shop.settle()
        assert shop.order_statuses()[order_id] == "delivered"
        assert not shop.parked()
        return True

    assert in_a_fork(give_up)


# -- a step -------------------------------------------------------------------------------


def test_a_consumer_leaves_a_bus_after_what_a_bridge_has_brought_there(
    shop: RehearsedShop,
) -> None:
    """The event was published before the rule was enabled, so only the subscriber delivers it."""

    def leave() -> bool:
        rehearsal = shop.rehearsal
        (checkout,) = (each for each in consumers(rehearsal) if each.name == CHECKOUT)
        checkout.switch(rehearsal, "custom", on=True)
        checkout.switch(rehearsal, "classic", on=False)
        migration = RehearsedMigration(shop, seed=1, flow=iter(()))
        sequence = ActionSequence(shop, [])
        rehearsal.faults.plan(FAULTS["late"], source=BRIDGES["custom"])
        rehearsal.faults.plan(FAULTS["refused"], source=checkout.subscriber.path, times=6)
        order_id = shop.place({MUG: 1}, key="on-its-way")
        shop.pass_time(seconds=2)
        for action in migration.move(checkout, "classic"):
            sequence.perform(action)
        shop.settle()
        assert (migration.moves[0].overlap_s or 0) > 60
        assert shop.order_statuses()[order_id] == "confirmed"
        return True

    assert in_a_fork(leave)
