"""Inventory's table: stock per SKU, and one reservation per order.

A reservation larger than a transaction is taken in chunks. Its item counts the chunks taken, in the
same transactions as the stock, so that a crash between two chunks is resumed or undone exactly. The
rows of a file are taken in the same way: an item keeps the line up to which the file is in stock.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from lambdas.eventing.attributes import Item
from lambdas.eventing.event import Cause
from lambdas.eventing.task import Refusal
from lambdas.eventing.transaction import (
    MAX_OPERATIONS,
    ConditionFailed,
    Contention,
    Key,
    Transaction,
    expiry,
    read,
    read_all,
)
from lambdas.inventory.domain import ReceivedItem, State, chunks
from lambdas.inventory.events import (
    ItemPriced,
    Reserved,
    StockDepleted,
    StockReleased,
    StockReplenished,
    StockReserved,
)
from lambdas.inventory.settings import settings

ROWS = (MAX_OPERATIONS - 1) // 3
"""Rows of a file in one transaction: each needs its stock and two events at most, and all of them
the item that says how far the file is taken."""

_TRIES = 5


class StockRefused(Refusal):
    """The order's stock cannot be held: it is out of stock, or was let go of before."""


class _Reservation(msgspec.Struct, frozen=True):
    """A reservation as stored: `taken` counts its chunks that are out of the stock.

    `announced` says, once it is let go of, whether others were told that it was complete.
    """

    state: State
    taken: int
    items: tuple[Reserved, ...]
    reason: str | None = None
    announced: bool = False


def lines_taken(file: str) -> int:
    """The line up to which this version of a file is in stock, 0 at first."""
    progress = read(settings(), _file_key(file))
    return progress["up_to"] if progress else 0


def receive_rows(
    items: Sequence[ReceivedItem],
    *,
    file: str,
    uploaded_at: datetime,
    after: int,
    up_to: int,
    cause: Cause,
) -> int:
    """Adds up to ROWS different items: a file's good rows `after` one line and `up_to` another.

    Files come in any order, and may be interrupted. Units add up all the same; of prices that one
    counts which was uploaded last. Returns how many prices were outdated. Raises Contention if the
    file is taken further already, or others keep changing the prices.
    """
    moment = int(uploaded_at.timestamp())
    for _ in range(_TRIES):
        transaction = Transaction(settings(), cause)
        transaction.put(
            _file_key(file),
            {"kind": "file", "up_to": up_to, "expires_at": expiry(settings().inbox_days)},
            condition="up_to = :after" if after else "attribute_not_exists(pk)",
            values={":after": after} if after else None,
            label="file",
        )
        stocks = read_all(settings(), [_stock_key(item.sku) for item in items])
        outdated = sum(
            _add(transaction, item, moment, stocks.get(_stock_key(item.sku), {})) for item in items
        )
        try:
            transaction.commit()
            return outdated
        except ConditionFailed as failure:
            if "file" in failure.labels:
                raise Contention(f"another run takes {file}") from failure
            # Somebody else changed a price in between: look again.
    raise Contention(f"prices changed {_TRIES} times while receiving {file} from line {after}")


def reserve(order_id: str, items: tuple[Reserved, ...], cause: Cause) -> None:
    """Holds all `items` for the order; does nothing if they are held already.

    Raises StockRefused when an item is lacking, or when the reservation was released before. What
    was taken by then stays taken until `release`.
    """
    parts = chunks(items)
    for _ in range(len(parts) + _TRIES):
        reservation = _reservation(order_id)
        if reservation is None:
            reservation = _Reservation(State.RESERVING, 0, items)
        if reservation.state is State.RESERVED:
            return
        if reservation.state is not State.RESERVING:
            raise StockRefused(reservation.reason or "released")
        try:
            _take(order_id, items, parts, reservation.taken, cause)
            if reservation.taken == len(parts) - 1:
                return
        except ConditionFailed as failure:
            if "lacking" in failure.labels and "reservation" not in failure.labels:
                raise StockRefused("out_of_stock") from failure
            # Another order changed the stock, or another run of this checkout or a cancellation
            # got in between: look again.
    raise Contention(f"the reservation of order {order_id} kept changing while it was made")


def release(order_id: str, reason: str, cause: Cause) -> None:
    """Puts back what is held for the order, and refuses it any stock from now on.

    Safe to repeat, to run before the reservation, and to resume after a crash.
    """
    reservation = _close(order_id, reason, cause)
    parts = chunks(reservation.items)
    for index in reversed(range(reservation.taken)):
        try:
            _put_back(order_id, reservation, parts[index], index, cause)
        except ConditionFailed as failure:
            if failure.labels != {"reservation"}:
                raise
            # Another run of the same release has put this chunk back.


def _take(
    order_id: str,
    items: tuple[Reserved, ...],
    parts: Sequence[Sequence[Reserved]],
    index: int,
    cause: Cause,
) -> None:
    key = _reservation_key(order_id)
    last = index == len(parts) - 1
    transaction = Transaction(settings(), cause)
    state = State.RESERVED if last else State.RESERVING
    if index == 0:
        stored = {
            "kind": "reservation",
            "state": state.value,
            "taken": 1,
            "items": msgspec.to_builtins(items),
        }
        transaction.create(key, stored, label="reservation")
    else:
        transaction.update(
            key,
            "SET #state = :state, taken = :taken",
            condition="#state = :reserving AND taken = :index",
            names={"#state": "state"},
            values={
                ":state": state.value,
                ":taken": index + 1,
                ":reserving": State.RESERVING.value,
                ":index": index,
            },
            label="reservation",
        )
    stocks = read_all(settings(), [_stock_key(item.sku) for item in parts[index]])
    for item in parts[index]:
        _hold(transaction, item, stocks.get(_stock_key(item.sku), {}))
    if last:
        transaction.publish(key, StockReserved(order_id=order_id, items=items))
    transaction.commit()


def _hold(transaction: Transaction, item: Reserved, stock: Item) -> None:
    """Moves units of one item from the stock as it was read.

    Whether its last unit goes is part of the condition: the transaction that takes it, and no
    other, tells.
    """
    key = _stock_key(item.sku)
    available = stock.get("available", 0)
    is_last = available == item.quantity
    transaction.update(
        key,
        "ADD available :less, reserved :quantity",
        condition="available = :quantity" if is_last else "available > :quantity",
        values={":less": -item.quantity, ":quantity": item.quantity},
        label="lacking" if available < item.quantity else "stock",
    )
    if is_last:
        transaction.publish(key, StockDepleted(sku=item.sku))


def _add(transaction: Transaction, item: ReceivedItem, uploaded_at: int, stock: Item) -> bool:
    """Adds units to the stock as it was read, and sets the price, unless that has changed since.

    Returns whether the price was left as it is, since it was uploaded after this one.
    """
    key = _stock_key(item.sku)
    wanted = (item.unit_price_minor, item.currency)
    price = (stock.get("unit_price_minor"), stock.get("currency"))
    priced_at = stock.get("priced_at", 0)
    outdated = bool(uploaded_at < priced_at)
    repriced = not outdated and price != wanted
    revision = stock.get("price_revision", 0)
    amount, currency = price if outdated else wanted
    as_read = "priced_at = :priced_at" if priced_at else "attribute_not_exists(priced_at)"
    transaction.update(
        key,
        "SET kind = :kind, unit_price_minor = :price, currency = :currency,"
        " priced_at = :at, price_revision = :next"
        " ADD available :quantity, received :quantity, reserved :none",
        condition=f"attribute_not_exists(pk) OR (price_revision = :revision AND {as_read})",
        values={
            ":kind": "stock",
            ":price": amount,
            ":currency": currency,
            ":at": max(uploaded_at, priced_at),
            **({":priced_at": priced_at} if priced_at else {}),
            ":revision": revision,
            ":next": revision + repriced,
            ":quantity": item.quantity,
            ":none": 0,
        },
    )
    if item.quantity:
        transaction.publish(key, StockReplenished(sku=item.sku, quantity=item.quantity))
    if repriced:
        priced = ItemPriced(
            sku=item.sku,
            unit_price_minor=item.unit_price_minor,
            currency=item.currency,
            revision=revision + 1,
        )
        transaction.publish(key, priced)
    return outdated


def _close(order_id: str, reason: str, cause: Cause) -> _Reservation:
    """Marks the reservation so that nothing more is taken for it, and returns it as it then is."""
    key = _reservation_key(order_id)
    for _ in range(_TRIES):
        reservation = _reservation(order_id)
        if reservation and reservation.state in {State.RELEASING, State.RELEASED}:
            return reservation
        transaction = Transaction(settings(), cause)
        if reservation is None:
            nothing = _Reservation(State.RELEASED, 0, (), reason)
            stored = {"kind": "reservation", **msgspec.to_builtins(nothing)}
            transaction.create(key, stored, label="reservation")
        else:
            transaction.update(
                key,
                "SET #state = :releasing, reason = :reason, announced = :announced",
                condition="#state = :state AND taken = :taken",
                names={"#state": "state"},
                values={
                    ":releasing": State.RELEASING.value,
                    ":reason": reason,
                    ":announced": reservation.state is State.RESERVED,
                    ":state": reservation.state.value,
                    ":taken": reservation.taken,
                },
                label="reservation",
            )
        try:
            transaction.commit()
        except ConditionFailed:
            continue  # a checkout took another chunk in between: look again
    raise Contention(f"the reservation of order {order_id} kept changing while it was released")


def _put_back(
    order_id: str,
    reservation: _Reservation,
    part: Sequence[Reserved],
    index: int,
    cause: Cause,
) -> None:
    key = _reservation_key(order_id)
    transaction = Transaction(settings(), cause)
    transaction.update(
        key,
        "SET #state = :state, taken = :index",
        condition="#state = :releasing AND taken = :taken",
        names={"#state": "state"},
        values={
            ":state": (State.RELEASING if index else State.RELEASED).value,
            ":index": index,
            ":releasing": State.RELEASING.value,
            ":taken": index + 1,
        },
        label="reservation",
    )
    for item in part:
        transaction.update(
            _stock_key(item.sku),
            "ADD available :quantity, reserved :less",
            values={":less": -item.quantity, ":quantity": item.quantity},
            label="stock",
        )
    if index == 0 and reservation.announced:
        transaction.publish(key, StockReleased(order_id=order_id, items=reservation.items))
    transaction.commit()


def _reservation(order_id: str) -> _Reservation | None:
    stored = read(settings(), _reservation_key(order_id))
    return msgspec.convert(stored, _Reservation) if stored else None


def _reservation_key(order_id: str) -> Key:
    return (f"RESERVATION#{order_id}", "RESERVATION")


def _file_key(file: str) -> Key:
    return (f"FILE#{file}", "FILE")


def _stock_key(sku: str) -> Key:
    return (f"STOCK#{sku}", "STOCK")
