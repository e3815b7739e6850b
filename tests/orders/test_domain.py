"""The transitions of an order: every status with every command, without a table."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.eventing.aggregate import Change
from lambdas.eventing.event import Event
from lambdas.orders.domain import (
    CANCELLABLE,
    CLOSED,
    STEPS,
    Entry,
    Order,
    OrderClosed,
    OrderStands,
    Price,
    Status,
    TooLateToCancel,
    order_id_for,
    outdated_lines,
    unknown_skus,
)
from lambdas.orders.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderExpired,
    OrderRejected,
    OrderRejectedV1,
    RejectionReason,
)
from lambdas.returns.events import (
    OrderReturned,
    RefusalReason,
    ReturnReason,
    ReturnRefused,
    ReturnRequested,
)
from lambdas.shipping.events import (
    OrderDelivered,
    OrderShipped,
    ShipmentOverdue,
    ShipmentRecalled,
    ShipmentRequested,
)
from tests.support.orders import ADDRESS, PAYMENT, line, placed

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
PLACED = placed(line(quantity=2))
IDS = {"order_id": "order-1", "customer_id": "customer-1"}
NEVER_CONFIRMED = {Status.PLACED, Status.REJECTED, Status.EXPIRED}

COMMANDS: dict[str, Callable[[Order], Any]] = {
    "confirm": lambda order: order.confirm(LATER),
    "reject": lambda order: order.reject("out_of_stock", LATER),
    "cancel": lambda order: order.cancel(LATER),
    "expire": lambda order: order.expire(LATER),
}
Outcome = tuple[Status, type[Event]] | type[Exception] | None
STANDS: dict[str, Outcome] = {
    "confirm": None,
    "reject": OrderStands,
    "cancel": TooLateToCancel,
    "expire": None,
}
ENDED: dict[str, Outcome] = {
    "confirm": OrderClosed,
    "reject": None,
    "cancel": TooLateToCancel,
    "expire": None,
}
TABLE: dict[Status, dict[str, Outcome]] = {
    Status.PLACED: {
        "confirm": (Status.CONFIRMED, OrderConfirmed),
        "reject": (Status.REJECTED, OrderRejected),
        "cancel": (Status.CANCELLED, OrderCancelled),
        "expire": (Status.EXPIRED, OrderExpired),
    },
    Status.CONFIRMED: {**STANDS, "cancel": (Status.CANCELLED, OrderCancelled)},
    Status.SHIPPED: STANDS,
    Status.DELIVERED: STANDS,
    Status.RETURNED: STANDS,
    Status.REJECTED: ENDED,
    Status.EXPIRED: ENDED,
    Status.CANCELLED: {**ENDED, "reject": OrderStands, "cancel": None},
}
"""A cancelled order was confirmed before, here."""

FACTS: dict[type[Event], Event] = {
    ShipmentRequested: ShipmentRequested(order_id="order-1", tracking_id="track-1", due_at=LATER),
    OrderShipped: OrderShipped(order_id="order-1"),
    ShipmentOverdue: ShipmentOverdue(order_id="order-1", due_at=LATER),
    OrderDelivered: OrderDelivered(order_id="order-1"),
    ShipmentRecalled: ShipmentRecalled(order_id="order-1"),
    ReturnRequested: ReturnRequested(**IDS, reason=ReturnReason.UNWANTED),
    ReturnRefused: ReturnRefused(**IDS, reason=RefusalReason.USED),
    OrderReturned: OrderReturned(**IDS),
}
AFTER: dict[Status, dict[type[Event], Status]] = {
    Status.CONFIRMED: {
        OrderShipped: Status.SHIPPED,
        OrderDelivered: Status.DELIVERED,
        OrderReturned: Status.RETURNED,
    },
    Status.SHIPPED: {OrderDelivered: Status.DELIVERED, OrderReturned: Status.RETURNED},
    Status.DELIVERED: {OrderReturned: Status.RETURNED},
    Status.CANCELLED: {OrderReturned: Status.RETURNED},
}
"""The status after an event of another context, where it is another one."""


def an_order(status: Status) -> Order:
    new = Order.place(PLACED, ADDRESS, PAYMENT, "fingerprint", NOON).after
    ways = [] if status in NEVER_CONFIRMED else [Status.CONFIRMED]
    history = {what.value: Entry(at=NOON) for what in (Status.PLACED, *ways, status)}
    change = new.becomes(status=status, history=history)
    return change.after


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_status_answers_every_command(status: Status, command: str) -> None:
    before, expected = an_order(status), TABLE[status][command]
    if isinstance(expected, type):
        with pytest.raises(expected, match=f"^{status}$"):
            COMMANDS[command](before)
        return
    change: Change[Order] | None = COMMANDS[command](before)
    if expected is None:
        assert change is None
        return
    assert change is not None
    after, event_type = expected
    assert change.after.status is after
    assert change.after.history == {**before.history, after: change.after.history[after]}
    assert change.after.history[after].at == LATER
    (event,) = change.events
    assert type(event) is event_type
    assert event.subject == "order-1"


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("event_type", STEPS)
def test_every_status_takes_every_event_of_another_context(
    status: Status, event_type: type[Event]
) -> None:
    before, step = an_order(status), STEPS[event_type]
    change = before.follow(FACTS[event_type], LATER)
    assert bool(change) is (step.what not in before.history)
    after = change.after if change else before
    assert after.status is AFTER.get(status, {}).get(event_type, status)
    assert after.history.keys() == {*before.history, step.what}
    known = before.history.get(step.what)
    assert after.history[step.what].at == (known.at if known else LATER)
    if not known:
        assert after.history[step.what].details.keys() == {*step.details}


def test_an_order_begins_with_what_its_event_says() -> None:
    change = Order.place(PLACED, ADDRESS, PAYMENT, "fingerprint", NOON)
    order = change.after
    assert change.events == (PLACED,)
    assert (order.order_id, order.total_minor, order.lines) == ("order-1", 2500, PLACED.lines)
    assert (order.status, order.placed_at, order.fingerprint) == ("placed", NOON, "fingerprint")
    assert order.history == {"placed": Entry(at=NOON)}


def test_a_confirmation_carries_what_shipping_needs() -> None:
    change = an_order(Status.PLACED).confirm(LATER)
    assert change
    assert change.events == (
        OrderConfirmed(
            **IDS,
            currency="EUR",
            total_minor=2500,
            lines=PLACED.lines,
        ),
    )


@pytest.mark.parametrize(
    ("reason", "known"),
    [
        ("payment_declined", RejectionReason.PAYMENT_DECLINED),
        ("authentication_required", RejectionReason.PAYMENT_DECLINED),
        ("States.Timeout", RejectionReason.CHECKOUT_FAILED),
    ],
)
def test_a_rejection_is_published_in_both_versions(reason: str, known: RejectionReason) -> None:
    change = an_order(Status.PLACED).reject(reason, LATER)
    assert change
    assert change.events == (OrderRejected(**IDS, reason=known),)
    assert change.also_as == (OrderRejectedV1(**IDS, reason=reason),)
    assert change.after.reason == reason
    assert change.after.history["rejected"].details == {"reason": reason}


@pytest.mark.parametrize("status", [Status.PLACED, Status.CONFIRMED])
def test_a_cancellation_says_whether_a_parcel_may_be_on_its_way(status: Status) -> None:
    change = an_order(status).cancel(LATER)
    assert change
    assert change.events == (OrderCancelled(**IDS, confirmed=status is Status.CONFIRMED),)


def test_an_order_that_was_cancelled_before_it_was_confirmed_needs_no_rejection() -> None:
    cancelled = an_order(Status.PLACED).cancel(LATER)
    assert cancelled
    assert cancelled.after.reject("cancelled", LATER) is None


def test_a_cancelled_order_that_came_back_is_cancelled_already() -> None:
    cancelled = an_order(Status.CONFIRMED).cancel(LATER)
    assert cancelled
    returned = cancelled.after.follow(FACTS[OrderReturned], LATER)
    assert returned
    assert returned.after.status is Status.RETURNED
    assert returned.after.cancel(LATER) is None


@pytest.mark.parametrize("status", Status)
def test_an_order_is_pending_only_while_it_waits_for_its_checkout(status: Status) -> None:
    assert an_order(status).pending_since == (NOON if status is Status.PLACED else None)


@given(st.lists(st.sampled_from([*COMMANDS, *FACTS])))
def test_in_whatever_order_all_of_it_comes_an_order_is_settled_once(
    steps: list[str | type[Event]],
) -> None:
    order, published = (
        Order.place(PLACED, ADDRESS, PAYMENT, "fingerprint", NOON).after,
        list[type[Event]](),
    )
    for each in steps:
        before = order
        if not isinstance(each, str):
            followed = order.follow(FACTS[each], LATER)
            order = followed.after if followed else order
            assert order.history.keys() >= before.history.keys()
            continue
        try:
            change: Change[Order] | None = COMMANDS[each](order)
        except (OrderClosed, OrderStands, TooLateToCancel):
            continue
        if change:
            assert before.status in CANCELLABLE
            order = change.after
            published += map(type, change.events)
    assert len(published) == len(set(published))
    settled = {OrderConfirmed, OrderRejected, OrderExpired} & set(published)
    assert len(settled) <= 1
    assert order.status not in CLOSED or order.status.value in order.history


PRICES = {"MUG": Price(1250, "EUR"), "PEN": Price(100, "EUR")}


def test_an_item_without_a_price_is_not_sold() -> None:
    lines = [line("PEN"), line("CUP"), line("BAG"), line("CUP")]
    assert unknown_skus(lines, PRICES) == ["BAG", "CUP"]
    assert unknown_skus(lines[:1], PRICES) == []


@pytest.mark.parametrize(
    ("price", "currency", "outdated"),
    [(1250, "EUR", False), (1249, "EUR", True), (1250, "USD", True)],
)
def test_the_current_price_is_given_where_the_customer_saw_another(
    price: int, currency: str, outdated: bool
) -> None:
    expected = {"MUG": PRICES["MUG"]} if outdated else {}
    assert outdated_lines([line("MUG", price=price)], currency, PRICES) == expected


def test_a_repeated_request_is_about_the_same_order_and_no_other_is() -> None:
    ids = {order_id_for(*each) for each in [("a", "bc"), ("ab", "c"), ("a", "b"), ("a", "bc")]}
    assert len(ids) == 3
