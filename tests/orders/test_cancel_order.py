"""Cancelling an order: only while its status allows it, once, and only by its customer."""

import pytest

from lambdas.orders.domain import OrderClosed
from lambdas.orders.events import OrderCancelled, OrderConfirmed, OrderRejected
from lambdas.returns.events import OrderReturned
from tests.orders.context import Orders
from tests.support.cloud import Commits


def cancellations(orders: Orders) -> list[OrderCancelled]:
    return orders.table.events(OrderCancelled)


def test_a_placed_order_can_be_cancelled(orders: Orders) -> None:
    order_id = orders.an_order()
    answer = orders.cancel(order_id)
    assert answer.status == 200
    assert answer.json["status"] == "cancelled"
    assert orders.get(order_id).json["status"] == "cancelled"
    assert cancellations(orders) == [
        OrderCancelled(order_id=order_id, customer_id="customer-1", confirmed=False)
    ]


def test_a_confirmed_order_can_be_cancelled(orders: Orders) -> None:
    order_id = orders.an_order()
    orders.confirm()
    assert orders.cancel(order_id).status == 200
    assert orders.get(order_id).json["status"] == "cancelled"
    assert [event.confirmed for event in cancellations(orders)] == [True]


def test_a_rejected_order_cannot_be_cancelled(orders: Orders) -> None:
    order_id = orders.an_order()
    orders.reject()
    answer = orders.cancel(order_id)
    assert answer.status == 409
    assert answer.json["code"] == "not_cancellable"
    assert "rejected" in answer.json["detail"]
    assert orders.get(order_id).json["status"] == "rejected"
    assert cancellations(orders) == []


def test_cancelling_twice_has_the_same_effect_as_once(orders: Orders) -> None:
    order_id = orders.an_order()
    first, second = orders.cancel(order_id), orders.cancel(order_id)
    assert first == second
    assert len(cancellations(orders)) == 1


def test_a_cancellation_repeated_after_the_return_does_not_cancel_again(
    orders: Orders,
) -> None:
    order_id = orders.an_order()
    orders.confirm()
    orders.cancel(order_id)
    orders.receive(OrderReturned(order_id=order_id, customer_id="customer-1"))
    answer = orders.cancel(order_id)
    assert (answer.status, answer.json["status"]) == (200, "returned")
    assert len(cancellations(orders)) == 1


def test_a_returned_order_that_was_not_cancelled_cannot_be_cancelled(
    orders: Orders,
) -> None:
    order_id = orders.an_order()
    orders.confirm()
    orders.receive(OrderReturned(order_id=order_id, customer_id="customer-1"))
    assert orders.cancel(order_id).status == 409
    assert cancellations(orders) == []


def test_a_customer_cannot_cancel_another_customers_order(orders: Orders) -> None:
    order_id = orders.an_order()
    assert orders.cancel(order_id, caller="customer-2").status == 404
    assert orders.get(order_id).json["status"] == "placed"
    assert cancellations(orders) == []


def test_an_unknown_order_cannot_be_cancelled(orders: Orders) -> None:
    assert orders.cancel("nothing").status == 404


def test_an_order_confirmed_in_the_meantime_is_still_cancelled(
    orders: Orders, commits: Commits
) -> None:
    order_id = orders.an_order()
    commits.before(1, orders.confirm)
    assert orders.cancel(order_id).status == 200
    assert orders.get(order_id).json["status"] == "cancelled"
    assert len(orders.table.envelopes(OrderConfirmed)) == 1
    assert [event.confirmed for event in cancellations(orders)] == [True]


def test_an_order_rejected_in_the_meantime_is_not_cancelled(
    orders: Orders, commits: Commits
) -> None:
    order_id = orders.an_order()
    commits.before(1, orders.reject)
    answer = orders.cancel(order_id)
    assert answer.status == 409
    assert "rejected" in answer.json["detail"]
    assert cancellations(orders) == []
    assert len(orders.table.envelopes(OrderRejected)) == 1


def test_two_concurrent_cancellations_publish_one_event(orders: Orders, commits: Commits) -> None:
    order_id = orders.an_order()
    commits.before(1, lambda: orders.cancel(order_id))
    assert orders.cancel(order_id).status == 200
    assert len(cancellations(orders)) == 1


def test_orders_that_an_earlier_release_stored_go_on(orders: Orders) -> None:
    order_id = orders.an_order()
    orders.table.as_stored_earlier("order", "revision")
    orders.confirm()
    assert not {"pending_shard", "pending_since"} & orders.table.one("order").keys()
    orders.table.as_stored_earlier("order", "revision")
    answer = orders.cancel(order_id)
    assert [step["what"] for step in answer.json["history"]] == ["placed", "confirmed", "cancelled"]
    assert [event.confirmed for event in cancellations(orders)] == [True]


def test_a_cancellation_by_an_earlier_release_is_not_undone_by_a_confirmation(
    orders: Orders, commits: Commits
) -> None:
    """While functions are replaced one after the other, some count no revision."""
    order_id = orders.an_order()

    def cancelled_by_an_earlier_release() -> None:
        revision = orders.table.one("order")["revision"]
        orders.cancel(order_id)
        orders.table.put({**orders.table.one("order"), "revision": revision})

    commits.before(1, cancelled_by_an_earlier_release)
    with pytest.raises(OrderClosed, match=r"^cancelled$"):
        orders.confirm()
    assert orders.get(order_id).json["status"] == "cancelled"


@pytest.mark.parametrize("confirmed", [False, True])
def test_the_event_has_the_requests_correlation_id(orders: Orders, confirmed: bool) -> None:
    order_id = orders.an_order()
    if confirmed:
        orders.confirm()
    orders.cancel(order_id)
    (envelope,) = orders.table.envelopes(OrderCancelled)
    assert envelope.correlationid == "request-1"
    assert envelope.subject == order_id
