"""Traces: whatever happens to an order is one tree, with each hop in it as often as it happened."""

from collections import Counter
from collections.abc import Callable

import pytest

from cdk_rehearsal import FAULTS, TracedSpan, Traces
from lambdas.notifications.events import Channel
from tests.flows.scenario import Scenario, erase_a_customer, let_an_authorization_end, lose_a_parcel
from tests.flows.shop import FOREVER, Shop
from tests.support.forks import in_a_fork
from tools.demo.order_trees import order_trees
from tools.demo.staff import require

CLIENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Traced:
    """A shop whose spans are collected from now on."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._former = {*shop.evidence().orders}
        self._seen = len(shop.rehearsal.meter.records)
        self.traces = Traces(shop.rehearsal)

    def orders(self) -> set[str]:
        """Returns the new orders."""
        return {*self._shop.evidence().orders} - self._former

    def assert_one_tree_for_each_order(self) -> None:
        records = self._shop.rehearsal.meter.records[self._seen :]
        orders = self.orders()
        found = order_trees(self.traces, records, orders)
        assert orders
        assert found.check.holds, "\n".join(found.findings)
        assert found.trees == found.orders == len(orders)

    def of(self, order_id: str) -> list[TracedSpan]:
        """Returns the spans of an order's trace by time."""
        (found,) = (
            spans
            for spans in self.traces.by_trace().values()
            if any(span.attributes.get("subject") == order_id for span in spans)
        )
        return found


def visit(shop: Shop, name: str = "second") -> Scenario:
    scenario = Scenario(shop, name, wait=shop.settle)
    scenario.open()
    scenario.visit()
    return scenario


def test_orders_that_are_delivered_declined_cancelled_and_returned_are_trees(shop: Shop) -> None:
    traced = Traced(shop)
    visit(shop)
    assert len(traced.orders()) == 4
    traced.assert_one_tree_for_each_order()


def test_a_tree_contains_what_partners_staff_and_deadlines_do_later(shop: Shop) -> None:
    traced = Traced(shop)
    scenario = visit(shop)
    lose_a_parcel(scenario)
    let_an_authorization_end(scenario)
    erase_a_customer(scenario)
    traced.assert_one_tree_for_each_order()
    names = {span.name for span in traced.of(scenario.orders["given back"])}
    assert names >= {
        "POST /orders",
        "POST /carrier/events",
        "POST /orders/{order_id}/returns",
        "POST /returns/{order_id}/decision",
        "checkout.run_checkout",
        "inventory.reserve_stock",
        "notifications.call_webhook",
        "returns.complete_return",
        "publish OrderReturned.v1",
        "deliver OrderReturned.v1",
        "execute workflow of ReturnRequested.v2",
    }
    assert "shipping.watch_deadline" in {span.name for span in traced.of(scenario.orders["lost"])}


def test_an_expired_order_is_in_its_own_trace_and_linked_with_the_sweep(shop: Shop) -> None:
    traced = Traced(shop)
    shop.receive({"MUG": 2})
    shop.rehearsal.faults.plan(FAULTS["raises-on"], target="Inventory/ReserveStock", times=FOREVER)
    orders = [shop.place({"MUG": 1}, key=key) for key in ("one", "two")]
    shop.pass_time(hours=2)
    for order_id in orders:
        (swept,) = (span for span in traced.of(order_id) if span.name == "orders.sweep_orders")
        assert len({*swept.links} & sweeps(traced)) == 1
    traced.assert_one_tree_for_each_order()


def sweeps(traced: Traced) -> set[str]:
    """Returns the contexts of sweeps in their own traces."""
    return {
        f"00-{span.trace_id}-{span.span_id}-01"
        for span in traced.traces.spans
        if span.name == "orders.sweep_orders" and not span.parent_id
    }


def test_duplicates_are_spans_of_the_same_tree_and_marked(shop: Shop) -> None:
    traced = Traced(shop)
    for fault in ("duplicate", "undeleted", "early"):
        for path in shop_ways(shop):
            shop.rehearsal.faults.plan(FAULTS[fault], target=path, times=1)
    scenario = visit(shop)
    traced.assert_one_tree_for_each_order()
    spans = [span for order_id in scenario.orders.values() for span in traced.of(order_id)]
    repeated = [span for span in spans if span.repetition]
    assert repeated
    handled = [span for span in repeated if not span.is_hop]
    assert {span.attributes["outcome"] for span in handled} >= {"duplicate"}
    first = [span for span in spans if span.event_id and not span.repetition and not span.is_hop]
    works = [(span.path, span.event_id) for span in first]
    assert len(works) == len(set(works))


def shop_ways(shop: Shop) -> list[str]:
    """Returns the queues and the functions behind them."""
    return [
        resource.path
        for resource in shop.rehearsal.resources
        if resource.type in {"AWS::SQS::Queue", "AWS::Lambda::Function"}
        and resource.path.endswith(("/Queue", "/Function"))
    ]


def test_a_message_that_is_parked_and_redriven_stays_in_its_tree(shop: Shop) -> None:
    traced = Traced(shop)
    order_id = redriven(shop)
    shop.deliver(order_id)
    shop.settle()
    assert shop.status(order_id) == "delivered"
    traced.assert_one_tree_for_each_order()
    names = Counter(span.name for span in traced.of(order_id))
    assert names["park OrderConfirmed.v2"] == names["redrive OrderConfirmed.v2"] == 1
    assert names["shipping.request_shipment"] == 1


def redriven(shop: Shop) -> str:
    """Places an order whose message to shipping is parked and redriven; returns its id."""
    shop.prefer(*Channel)
    shop.receive({"MUG": 2})
    function = "Shipping/RequestShipment/Function"
    shop.rehearsal.faults.plan(FAULTS["raises-on"], target=function, times=FOREVER)
    order_id = shop.place({"MUG": 1})
    shop.settle()
    (parked,) = shop.parked()
    shop.rehearsal.faults.clear()
    shop.rehearsal.redrive(parked, "Shipping/RequestShipment/Queue")
    shop.settle()
    return order_id


LOST_AT = {
    "outbox": "publish OrderPlaced.v2",
    "input of the workflow": "inventory.reserve_stock",
    "redrive": "shipping.request_shipment",
    "webhook of the carrier": "POST /carrier/events",
    "deadline": "shipping.watch_deadline",
}
"""Where the context of a trace could be lost, and the span that then begins without a parent."""


def test_a_context_that_is_lost_is_named_with_its_order_and_hop(shop: Shop) -> None:
    traced = Traced(shop)
    shop.rehearsal.faults.plan(FAULTS["duplicate"], target="Checkout/RunCheckout/Queue", times=1)
    order_id = redriven(shop)
    require(shop.report(order_id, "picked_up"), 200)
    shop.pass_days(5.5)
    traced.assert_one_tree_for_each_order()
    for where, name in LOST_AT.items():
        first = next(span for span in traced.of(order_id) if span.name == name)
        parent_id, trace_id = first.parent_id, first.trace_id
        for lost in ({"parent_id": ""}, {"trace_id": "0" * 31 + "1"}):
            set_fields(first, lost)
            with pytest.raises(AssertionError) as raised:
                traced.assert_one_tree_for_each_order()
            set_fields(first, {"parent_id": parent_id, "trace_id": trace_id})
            said = str(raised.value)
            assert f"order {order_id}" in said, where
            assert f"{name} ({first.path})" in said, where


def set_fields(span: TracedSpan, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        setattr(span, name, value)


def test_a_client_that_traces_finds_the_order_in_its_own_trace(shop: Shop) -> None:
    traced = Traced(shop)
    shop.receive({"MUG": 2})
    order_id = shop.place({"MUG": 1}, headers={"traceparent": CLIENT})
    shop.settle()
    spans = traced.of(order_id)
    assert {span.trace_id for span in spans} == {CLIENT[3:35]}
    roots = [span for span in spans if span.parent_id == CLIENT[36:52]]
    assert [span.name for span in roots] == ["POST /orders"]
    traced.assert_one_tree_for_each_order()


def test_the_same_seed_gives_the_same_spans(shop: Shop) -> None:
    def run() -> list[tuple[str, str, str, int]]:
        traced = Traced(shop)
        shop.rehearsal.reseed(5)
        visit(shop)
        return [(s.trace_id, s.span_id, s.name, s.start_ns) for s in traced.traces.spans]

    assert in_a_fork(run) == in_a_fork(run)


def test_a_missing_and_a_doubled_span_are_found(shop: Shop) -> None:
    traced = Traced(shop)
    scenario = visit(shop)
    order_id = scenario.orders["kept"]
    spans = traced.traces._spans
    hop, work = (
        next(s for s in traced.of(order_id) if s.is_hop is is_hop and s.event_id)
        for is_hop in (True, False)
    )
    changes: list[Callable[[], object]] = [
        lambda: spans.remove(hop),
        lambda: spans.remove(work),
        lambda: spans.append(hop),
        lambda: setattr(work, "trace_id", "0" * 31 + "1"),
    ]
    for change in changes:
        kept = [*spans]
        trace_id = work.trace_id
        change()
        with pytest.raises(AssertionError, match=order_id):
            traced.assert_one_tree_for_each_order()
        spans[:] = kept
        work.trace_id = trace_id
    traced.assert_one_tree_for_each_order()
