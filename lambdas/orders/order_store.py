"""Orders' table: the orders, each with its status and its history, and the price list.

The history is a map with an entry for each kind of step: the item cannot grow without bounds.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lambdas.eventing import pending
from lambdas.eventing.event import Cause, Delivery, E
from lambdas.eventing.transaction import (
    ConditionFailed,
    Contention,
    Key,
    Transaction,
    read,
    read_all,
)
from lambdas.inventory.events import ItemPriced
from lambdas.orders.domain import STEPS, Price, Status, status_after
from lambdas.orders.events import Address, Line, OrderEvent
from lambdas.orders.settings import settings

_TRIES = 5
_MOST_KEYS = 100
"""Items that `read_all` reads at once."""


Moment = Annotated[datetime, Meta(tz=True)]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a step: when it happened, and its details."""

    at: Moment
    details: Mapping[str, Any] = {}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as stored."""

    order_id: str
    customer_id: str
    status: Status
    currency: str
    total_minor: int
    lines: tuple[Line, ...]
    shipping_address: Address
    placed_at: Moment
    fingerprint: str
    history: Mapping[str, Entry]
    reason: str | None = None


def find(order_id: str) -> Order | None:
    """The order as of now, or None."""
    stored = read(settings(), _order_key(order_id))
    return msgspec.convert(stored, Order) if stored else None


def require(order_id: str) -> Order:
    """The order as of now. Raises LookupError: its event was seen, so it must be there."""
    order = find(order_id)
    if order is None:
        raise LookupError(f"order {order_id} has an event but is not in {settings().table_name}")
    return order


def place(order: Order, event: OrderEvent, cause: Cause) -> Order:
    """Stores a new order and its event, unless an earlier request with the same key did.

    Returns the order that stands under the id.
    """
    key = _order_key(order.order_id)
    transaction = Transaction(settings(), cause)
    waits = pending.waiting(order.order_id, order.placed_at)
    transaction.create(key, {"kind": "order", **waits, **msgspec.to_builtins(order)})
    transaction.publish(key, event)
    try:
        transaction.commit()
    except ConditionFailed:
        earlier = find(order.order_id)
        if earlier is None:
            raise
        return earlier
    return order


def change_status(
    order: Order,
    status: Status,
    event: OrderEvent,
    cause: Cause,
    *,
    also_as: Sequence[OrderEvent] = (),
    reason: str | None = None,
) -> Order | None:
    """Moves the order on and publishes `event`. None if its status changed in the meantime.

    The event is published in the older versions `also_as`, too.
    """
    entry = Entry(at=datetime.now(UTC), details={"reason": reason} if reason else {})
    key = _order_key(order.order_id)
    transaction = Transaction(settings(), cause)
    transaction.update(
        key,
        f"SET #status = :status, reason = :reason, history.#what = :entry {pending.REMOVED}",
        condition="#status = :expected",
        names={"#status": "status", "#what": status.value},
        values={
            ":status": status.value,
            ":expected": order.status.value,
            ":reason": reason,
            ":entry": msgspec.to_builtins(entry),
        },
    )
    transaction.publish(key, event, also_as=also_as)
    try:
        transaction.commit()
    except ConditionFailed:
        return None
    history = {**order.history, status.value: entry}
    return msgspec.structs.replace(order, status=status, reason=reason, history=history)


def follow(order_id: str, told: Delivery[E]) -> None:
    """Takes what another context tells of an order into its history, and its status on.

    Raises LookupError if there is no such order.
    """
    step = STEPS[type(told.event)]
    details = {name: getattr(told.event, name) for name in step.details}
    entry = Entry(at=told.envelope.time, details=details)
    for _ in range(_TRIES):
        order = require(order_id)
        transaction = Transaction.reacting_to(told, settings())
        transaction.update(
            _order_key(order_id),
            "SET #status = :status, history.#what = if_not_exists(history.#what, :entry)",
            condition="#status = :expected",
            names={"#status": "status", "#what": step.what},
            values={
                ":status": status_after(order.status, step).value,
                ":expected": order.status.value,
                ":entry": msgspec.to_builtins(entry),
            },
        )
        try:
            transaction.commit()
            return
        except ConditionFailed:
            continue  # the status changed in between: look again
    raise Contention(f"the status of order {order_id} kept changing while it was followed")


def overdue(*, limit: int) -> list[Order]:
    """Up to `limit` orders that are `placed` for longer than a checkout may take, oldest first."""
    bound = datetime.now(UTC) - timedelta(minutes=settings().checkout_minutes)
    found = pending.oldest(settings(), limit=limit, before=bound)
    return msgspec.convert(found, list[Order])


def keep_price(priced: Delivery[ItemPriced]) -> None:
    """Takes a new price into the price list, unless a later one is there already."""
    item = priced.event
    transaction = Transaction.reacting_to(priced, settings())
    transaction.put(
        _price_key(item.sku),
        {"kind": "price", **msgspec.to_builtins(item)},
        condition="attribute_not_exists(pk) OR revision < :revision",
        values={":revision": item.revision},
        label="price",
    )
    try:
        transaction.commit()
    except ConditionFailed:
        return  # events may overtake each other: a later price is known


def prices_of(skus: Iterable[str]) -> dict[str, Price]:
    """The current prices of those items that the list has.

    Raises Contention if the table stays throttled.
    """
    keys = [_price_key(sku) for sku in sorted(set(skus))]
    found: dict[str, Price] = {}
    for start in range(0, len(keys), _MOST_KEYS):
        for price in read_all(settings(), keys[start : start + _MOST_KEYS]).values():
            found[price["sku"]] = Price(price["unit_price_minor"], price["currency"])
    return found


def _order_key(order_id: str) -> Key:
    return (f"ORDER#{order_id}", "ORDER")


def _price_key(sku: str) -> Key:
    return (f"PRICE#{sku}", "PRICE")
