"""Orders' table: the orders, each with its status, and the price list."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from lambdas.eventing import aws
from lambdas.eventing.attributes import from_attributes, to_attributes
from lambdas.eventing.event import Cause, Delivery
from lambdas.eventing.transaction import (
    ConditionFailed,
    Contention,
    Key,
    Transaction,
    read,
)
from lambdas.inventory.events import ItemPriced
from lambdas.orders.domain import Price, Status
from lambdas.orders.events import Address, Line, OrderEvent
from lambdas.orders.settings import settings

_TRIES = 5
_MOST_KEYS = 100
"""Items in one BatchGetItem.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as stored."""

    order_id: str
    customer_id: str
    status: Status
    currency: str
    total_minor: int
    lines: tuple[Line, ...]
    shipping_address: Address
    placed_at: Annotated[datetime, Meta(tz=True)]
    fingerprint: str
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
    transaction.create(key, {"kind": "order", **msgspec.to_builtins(order)})
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
    reason: str | None = None,
) -> bool:
    """Moves the order on and publishes `event`. False if its status changed in the meantime."""
    key = _order_key(order.order_id)
    transaction = Transaction(settings(), cause)
    transaction.update(
        key,
        "SET #status = :status, changed_at = :now, reason = :reason",
        condition="#status = :expected",
        names={"#status": "status"},
        values={
            ":status": status.value,
            ":expected": order.status.value,
            ":now": datetime.now(UTC).isoformat(),
            ":reason": reason,
        },
    )
    transaction.publish(key, event)
    try:
        transaction.commit()
    except ConditionFailed:
        return False
    return True


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
    wanted = [
        to_attributes(dict(zip(("pk", "sk"), _price_key(sku), strict=True)))
        for sku in sorted(set(skus))
    ]
    found: dict[str, Price] = {}
    for _ in range(_TRIES + len(wanted) // _MOST_KEYS):
        if not wanted:
            return found
        asked, later = wanted[:_MOST_KEYS], wanted[_MOST_KEYS:]
        answer = aws.dynamodb().batch_get_item(
            RequestItems={settings().table_name: {"Keys": asked, "ConsistentRead": True}}
        )
        for attributes in answer["Responses"][settings().table_name]:
            price = from_attributes(attributes)
            found[price["sku"]] = Price(price["unit_price_minor"], price["currency"])
        unread = answer.get("UnprocessedKeys", {}).get(settings().table_name, {"Keys": []})
        wanted = [*unread["Keys"], *later]
    raise Contention("the price list stayed throttled")


def _order_key(order_id: str) -> Key:
    return (f"ORDER#{order_id}", "ORDER")


def _price_key(sku: str) -> Key:
    return (f"PRICE#{sku}", "PRICE")
