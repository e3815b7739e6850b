"""What a rehearsal measures for the simulation, and that both agree."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

import pytest

from cdk_rehearsal import Assembly, Record, Rehearsal
from tests.tools.load.measured import CHECKOUT, PLACE, RELAY
from tools.demo import sample
from tools.demo.observation import observed
from tools.demo.orders_file import read_orders
from tools.demo.run import setup_of
from tools.demo.stock_file import plenty_for
from tools.demo.visits import plain_visits
from tools.load.__main__ import items
from tools.load.flows import ORDER, Flow, Flows, Stop
from tools.load.measuring import CONFIRMED
from tools.load.settings import hops_of
from tools.load.simulation import percentile, simulate

ORDERS, RATE = 60, 25.0
"""Far more per second than checkout carries in dev."""
TOLERANCE = 0.25


class Observer:
    """Measures the flow, and the number of messages that wait for checkout."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.flows = Flows(rehearsal, confirmed=CONFIRMED)
        self.changes: list[tuple[float, int]] = []
        rehearsal.meter.listen(self._on_record)

    def _on_record(self, record: Record) -> None:
        queue = CHECKOUT.replace("/Function", "/Queue")
        if record.kind == "delivery" and record.target == queue:
            self.changes.append((record.time, 1))
        elif record.kind == "invocation" and record.source == queue:
            self.changes.append((record.time - record.detail["duration_s"], -1))

    def result(self, orders: int) -> Rehearsed:
        flow = self.flows.flow(orders)
        return Rehearsed(flow, max(accumulate(change for _, change in sorted(self.changes))))


class Rehearsed(NamedTuple):
    flow: Flow
    most_waiting: int


@pytest.fixture(scope="module")
def rehearsed(assembly: Path) -> Rehearsed:
    orders = [
        order for order in read_orders(sample.ORDERS).items if order.payment_token == "tok_approve"
    ][:ORDERS]
    setup = setup_of(plenty_for(orders), plain_visits(orders), is_sample=False)
    return observed(assembly, setup, rate=RATE, seed=1, begin=Observer, end=Observer.result)


def test_an_order_is_followed_from_the_request_to_its_confirmation(rehearsed: Rehearsed) -> None:
    edges = {(edge.source, edge.target): edge.items for edge in rehearsed.flow.edges}
    placed, confirmed = (
        next(stop for _, stop in edges if stop.what.startswith(name) and stop.function == RELAY)
        for name in ("OrderPlaced.", CONFIRMED)
    )
    handled = Stop(CHECKOUT, placed.what)
    for edge in (
        (ORDER, Stop(PLACE)),
        (Stop(PLACE), placed),
        (placed, handled),
        (handled, confirmed),
    ):
        assert edges[edge] == pytest.approx(1.0, abs=0.02), edge


def test_an_order_has_as_many_items_at_a_hop_as_its_edges_say(rehearsed: Rehearsed) -> None:
    counted = items(rehearsed.flow)
    batches = rehearsed.flow.load.batches
    assert len(batches) > 10
    for function, measured in batches.items():
        if not function.startswith("Shipping/WatchDeadline"):  # It is reached by schedules alone.
            assert counted[function] == pytest.approx(measured.items, rel=0.1), function


def test_a_function_that_waits_for_a_workflow_has_its_functions_within(
    rehearsed: Rehearsed,
) -> None:
    within = rehearsed.flow.within[CHECKOUT]
    assert within.invocations == pytest.approx(3, abs=0.5)
    assert 0 < within.seconds < rehearsed.flow.load.batches[CHECKOUT].item_s


def test_the_simulation_agrees_with_the_rehearsal_of_the_same_arrivals(
    rehearsed: Rehearsed, assembly: Path
) -> None:
    flow = rehearsed.flow
    hops = hops_of(Assembly(assembly), flow)

    def arrivals(seed: int) -> Iterator[float]:
        random = Random(seed)
        return ((number + random.random()) / RATE for number in range(ORDERS))

    found = [
        simulate(
            flow,
            hops,
            arrivals(seed),
            until=60,
            concurrency=1000,
            confirmed=CONFIRMED,
            seed=seed,
        )
        for seed in range(5)
    ]
    most = median(max(each.backlog[CHECKOUT]) for each in found)
    assert rehearsed.most_waiting > ORDERS / 3
    assert most == pytest.approx(rehearsed.most_waiting, rel=TOLERANCE)
    for part in (50, 90):
        took = median(percentile(each.latencies(), part) for each in found)
        assert took == pytest.approx(flow.confirmed_s[part - 1], rel=TOLERANCE), part
