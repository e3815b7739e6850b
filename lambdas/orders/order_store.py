"""Orders' table: the orders, each with its status and its history, and the price list."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from lambdas.eventing.aggregate import Change
from lambdas.eventing.event import Cause, Delivery, E
from lambdas.eventing.listing import Listing, Page, Position, entries
from lambdas.eventing.store import Store
from lambdas.eventing.transaction import (
    MAX_KEYS,
    AlreadyProcessed,
    ConditionFailed,
    Key,
    Transaction,
    read_all,
)
from lambdas.inventory.events import ItemPriced
from lambdas.orders import domain
from lambdas.orders.domain import Order, Price
from lambdas.orders.settings import settings

_orders = Store(
    Order,
    "order",
    settings,
    lambda order_id: (f"ORDER#{order_id}", "ORDER"),
    id_field="order_id",
    formerly=["status"],
)

BY_CUSTOMER = Listing("ByCustomer", "customer_id", "placed_at")
"""The orders of each customer. Other items have no `placed_at`, so they are not in the index."""

find = _orders.find
all_of = _orders.find_all
require = _orders.require


def of_customer(customer_id: str, *, limit: int, after: Position | None) -> Page[Order]:
    """Returns a page of a customer's orders, the newest first."""
    return _orders.newest(BY_CUSTOMER, customer_id, limit=limit, after=after)


def wait_before_next(customer_id: str) -> timedelta | None:
    """Returns how long a customer has to wait before the next order, if they have to.

    Counts the orders in the index, which lags behind: in its delay of about a second, a customer
    may place more orders than allowed, as many as the API accepts.
    """
    most = settings().orders_per_hour
    newest = entries(settings(), BY_CUSTOMER, customer_id, limit=most)
    times = [msgspec.convert(entry[BY_CUSTOMER.moment], datetime) for entry in newest]
    return domain.wait_before_next(times, most, datetime.now(UTC))


def place(new: Change[Order], cause: Cause) -> tuple[Order, bool]:
    """Stores a new order, unless an earlier request with the same key did.

    Returns the order that stands under the id, and whether it is the new one.
    """
    if placed := _orders.commit(None, new, cause):
        return placed, True
    return _orders.require(new.after.order_id), False


def place_once(new: Change[Order], cause: Cause) -> None:
    """Stores a new order, unless there is one under its id."""
    _orders.commit(None, new, cause)


def confirm(order_id: str, cause: Cause) -> tuple[Order, bool]:
    """Returns the order, and whether it is confirmed by this call. Raises OrderClosed."""
    return _orders.change(order_id, lambda order: order.confirm(datetime.now(UTC)), cause)


def reject(order_id: str, reason: str, cause: Cause) -> bool:
    """Whether the order is rejected by this call. Raises OrderStands."""
    return _orders.change(order_id, lambda order: order.reject(reason, datetime.now(UTC)), cause)[1]


def cancel(order_id: str, load: Callable[[], Order], cause: Cause) -> Order:
    """Returns the order, cancelled now or before. `load` reads it. Raises TooLateToCancel."""
    order, _ = _orders.change(
        order_id, lambda order: order.cancel(datetime.now(UTC)), cause, load=load
    )
    return order


def expire(orders: Iterable[Order], cause: Cause) -> int:
    """Returns how many orders expire by this call. Those do not that changed since they were read.

    `orders` is a batch of `overdue`.
    """
    now = datetime.now(UTC)
    changes = [(order, change) for order in orders if (change := order.expire(now))]
    return len(_orders.commit_all(changes, cause))


def follow(order_id: str, delivery: Delivery[E]) -> None:
    """Takes an event of another context into the order's history.

    The history shows which events were taken. Raises AlreadyProcessed or NotStored.
    """
    _, news = _orders.change(
        order_id, lambda order: order.follow(delivery.event, delivery.envelope.time), delivery
    )
    if not news:
        raise AlreadyProcessed


def overdue() -> Iterator[list[Order]]:
    """Yields the orders that wait for their checkout for too long, oldest first, in batches."""
    bound = datetime.now(UTC) - timedelta(minutes=settings().checkout_minutes)
    return _orders.pending_batches(before=bound)


def keep_price(priced: Delivery[ItemPriced]) -> None:
    """Stores a new price in the price list, unless it has a later one."""
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
        return  # Events may overtake each other: a later price is known.


def prices_of(skus: Iterable[str]) -> dict[str, Price]:
    """Returns the current prices of the items that are in the list.

    Raises Contention if the table stays throttled.
    """
    keys = [_price_key(sku) for sku in sorted(set(skus))]
    found: dict[str, Price] = {}
    for start in range(0, len(keys), MAX_KEYS):
        for price in read_all(settings(), keys[start : start + MAX_KEYS]).values():
            found[price["sku"]] = Price(price["unit_price_minor"], price["currency"])
    return found


def _price_key(sku: str) -> Key:
    return (f"PRICE#{sku}", "PRICE")
