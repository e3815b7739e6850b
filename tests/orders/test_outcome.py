"""The outcome of a checkout: an order is confirmed or rejected once, and stays so."""

import msgspec
import pytest

from lambdas.orders.domain import OrderClosed, OrderStands
from lambdas.orders.events import (
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderRejectedV1,
    RejectionReason,
)
from tests.orders.context import Orders
from tests.support.cloud import Commits, Crash, crash
from tests.support.messages import CONTEXT, enveloped, task_input
from tests.support.orders import placed


def status(orders: Orders) -> str:
    status: str = orders.table.one("order")["status"]
    return status


class TestConfirm:
    def test_it_confirms_a_placed_order(self, orders: Orders) -> None:
        orders.an_order()
        event = orders.placed_event()
        orders.confirm()
        assert status(orders) == "confirmed"
        (envelope,) = orders.table.envelopes(OrderConfirmed)
        assert msgspec.json.decode(envelope.data, type=OrderConfirmed) == OrderConfirmed(
            order_id=event.order_id,
            customer_id=event.customer_id,
            currency=event.currency,
            total_minor=event.total_minor,
            lines=event.lines,
        )

    def test_the_event_is_caused_by_the_placed_order(self, orders: Orders) -> None:
        orders.an_order()
        orders.confirm()
        (cause,) = orders.table.envelopes(OrderPlaced)
        (envelope,) = orders.table.envelopes(OrderConfirmed)
        assert envelope.causationid == cause.id
        assert envelope.correlationid == cause.correlationid

    def test_confirming_twice_has_the_same_effect_as_once(self, orders: Orders) -> None:
        orders.an_order()
        orders.confirm()
        orders.confirm()
        assert len(orders.table.envelopes(OrderConfirmed)) == 1

    def test_a_cancelled_order_cannot_be_confirmed(self, orders: Orders) -> None:
        orders.cancel(orders.an_order())
        with pytest.raises(OrderClosed, match=r"^cancelled$"):
            orders.confirm()
        assert status(orders) == "cancelled"
        assert orders.table.envelopes(OrderConfirmed) == []

    def test_a_rejected_order_cannot_be_confirmed(self, orders: Orders) -> None:
        orders.an_order()
        orders.reject()
        with pytest.raises(OrderClosed, match=r"^rejected$"):
            orders.confirm()
        assert status(orders) == "rejected"

    def test_an_order_cancelled_in_the_meantime_stays_cancelled(
        self, orders: Orders, commits: Commits
    ) -> None:
        order_id = orders.an_order()
        commits.before(1, lambda: orders.cancel(order_id))
        with pytest.raises(OrderClosed, match=r"^cancelled$"):
            orders.confirm()
        assert status(orders) == "cancelled"
        assert orders.table.envelopes(OrderConfirmed) == []

    def test_two_concurrent_runs_confirm_once(self, orders: Orders, commits: Commits) -> None:
        orders.an_order()
        commits.before(1, orders.confirm)
        orders.confirm()
        assert len(orders.table.envelopes(OrderConfirmed)) == 1

    def test_after_a_crash_the_task_can_run_again(self, orders: Orders, commits: Commits) -> None:
        orders.an_order()
        commits.after(1, crash)
        with pytest.raises(Crash):
            orders.confirm()
        orders.confirm()
        assert len(orders.table.envelopes(OrderConfirmed)) == 1

    def test_an_event_without_its_order_is_an_error_that_names_it(self, orders: Orders) -> None:
        from lambdas.orders import confirm_order

        with pytest.raises(LookupError, match="order nowhere has an event but is not in orders"):
            confirm_order.handler(task_input(enveloped(placed(order_id="nowhere"))), CONTEXT)


class TestReject:
    def test_it_rejects_a_placed_order_with_the_reason(self, orders: Orders) -> None:
        orders.an_order()
        orders.reject("payment_declined")
        order = orders.table.one("order")
        assert (order["status"], order["reason"]) == ("rejected", "payment_declined")
        (envelope,) = orders.table.envelopes(OrderRejected)
        event = msgspec.json.decode(envelope.data, type=OrderRejected)
        assert event.reason == "payment_declined"
        assert event.order_id == order["order_id"]
        assert event.customer_id == "customer-1"

    def test_it_publishes_the_older_version_of_the_event_too(self, orders: Orders) -> None:
        orders.an_order()
        orders.reject("States.Timeout")
        (new,) = orders.table.envelopes(OrderRejected)
        (old,) = orders.table.envelopes(OrderRejectedV1)
        assert (old.id, old.supersededby) == (new.id, "OrderRejected.v2")
        event = msgspec.json.decode(new.data, type=OrderRejected)
        assert event.reason is RejectionReason.CHECKOUT_FAILED
        as_before = msgspec.json.decode(old.data, type=OrderRejectedV1)
        assert as_before.reason == "States.Timeout"
        assert as_before.upcast() == event

    def test_rejecting_twice_has_the_same_effect_as_once(self, orders: Orders) -> None:
        orders.an_order()
        orders.reject("out_of_stock")
        orders.reject("another_reason")
        assert orders.table.one("order")["reason"] == "out_of_stock"
        assert len(orders.table.envelopes(OrderRejected)) == 1

    def test_a_cancelled_order_stays_cancelled(self, orders: Orders) -> None:
        orders.cancel(orders.an_order())
        orders.reject("cancelled")
        assert status(orders) == "cancelled"
        assert orders.table.envelopes(OrderRejected) == []

    def test_an_order_cancelled_in_the_meantime_stays_cancelled(
        self, orders: Orders, commits: Commits
    ) -> None:
        order_id = orders.an_order()
        commits.before(1, lambda: orders.cancel(order_id))
        orders.reject()
        assert status(orders) == "cancelled"
        assert orders.table.envelopes(OrderRejected) == []

    def test_a_confirmed_order_is_not_rejected(self, orders: Orders) -> None:
        orders.an_order()
        orders.confirm()
        with pytest.raises(OrderStands):
            orders.reject()
        assert status(orders) == "confirmed"
        assert orders.table.envelopes(OrderRejected) == []

    def test_an_order_confirmed_in_the_meantime_is_not_rejected(
        self, orders: Orders, commits: Commits
    ) -> None:
        orders.an_order()
        commits.before(1, orders.confirm)
        with pytest.raises(OrderStands):
            orders.reject()
        assert status(orders) == "confirmed"

    def test_rejecting_a_confirmed_and_cancelled_order_starts_no_compensation(
        self, orders: Orders
    ) -> None:
        """The contexts that hold stock or money react to the cancellation and to the parcel."""
        order_id = orders.an_order()
        orders.confirm()
        orders.cancel(order_id)
        with pytest.raises(OrderStands):
            orders.reject("cancelled")
        assert status(orders) == "cancelled"

    def test_two_concurrent_runs_reject_once(self, orders: Orders, commits: Commits) -> None:
        orders.an_order()
        commits.before(1, orders.reject)
        orders.reject("another_reason")
        assert orders.table.one("order")["reason"] == "out_of_stock"
        assert len(orders.table.envelopes(OrderRejected)) == 1
