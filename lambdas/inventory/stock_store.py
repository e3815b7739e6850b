"""Inventory's table: stock per SKU, and one reservation per order.

A reservation larger than a transaction is taken in chunks. Its item counts the chunks taken and
issued, in the same transactions as the stock, so that a crash between two chunks is resumed or
undone exactly. The
rows of a file are taken in the same way: an item keeps the line up to which the file is in stock.

Reservations are changed as aggregates are. The units of an item are counters: many orders change
them at the same time, and each transaction adds to them under a condition of its own.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from msgspec import structs

from lambdas.eventing.event import Cause
from lambdas.eventing.store import TRIES, Store
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
from lambdas.inventory.domain import Move, ReceivedItem, Reservation, Step, Stock, StockRefused
from lambdas.inventory.events import Reserved
from lambdas.inventory.settings import settings

ROWS = (MAX_OPERATIONS - 1) // 3
"""Rows of a file in one transaction: each needs its stock and two events at most, and all of them
the item with the file's progress."""

_reservations = Store(
    Reservation,
    "reservation",
    settings,
    lambda order_id: (f"RESERVATION#{order_id}", "RESERVATION"),
    id_field="order_id",
    formerly=["state", "taken"],
)


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

    Files come in any order, and may be interrupted. Units add up all the same; the price is the one
    that was uploaded last. Returns how many prices were outdated. Raises Contention if the file is
    taken further already, or others keep changing the prices.
    """
    moment = int(uploaded_at.timestamp())
    for _ in range(TRIES):
        transaction = Transaction(settings(), cause)
        transaction.put(
            _file_key(file),
            {"kind": "file", "up_to": up_to, "expires_at": expiry(settings().inbox_days)},
            condition="up_to = :after" if after else "attribute_not_exists(pk)",
            values={":after": after} if after else None,
            label="file",
        )
        stocks = _stocks([item.sku for item in items])
        for item in items:
            _add(transaction, item, moment, stocks[item.sku])
        try:
            transaction.commit()
            return sum(stocks[item.sku].is_newer_than(moment) for item in items)
        except ConditionFailed as failure:
            if "file" in failure.labels:
                raise Contention(f"another run takes {file}") from failure
            # Another file changed a price in between: look again.
    raise Contention(f"prices changed {TRIES} times while receiving {file} from line {after}")


def reserve(order_id: str, items: tuple[Reserved, ...], cause: Cause) -> None:
    """Reserves all `items` for the order; does nothing if they are reserved already.

    Raises StockRefused when an item is lacking, or when the reservation was released before. The
    chunks that were taken by then stay taken until `release`.
    """
    new = Reservation.begin(order_id, items)
    for _ in range(len(new.parts) + TRIES):
        found = _reservations.find(order_id)
        reservation = found or new
        if reservation.is_complete():
            return
        try:
            if _take(found, reservation, cause).is_complete():
                return
        except ConditionFailed as failure:
            if "lacking" in failure.labels and _reservations.kind not in failure.labels:
                raise StockRefused("out_of_stock") from failure
            # Another order changed the stock, or another run of this checkout or a cancellation
            # got in between: look again.
    raise _reservations.contention(order_id)


def issue(order_id: str, cause: Cause) -> None:
    """Takes the units of a shipped order off the shelf; does nothing if that was done.

    Safe to repeat, to run after `release`, and to resume after a crash. Raises NotStored or
    NotReserved if nothing was ever reserved for the order.
    """
    found = _reservations.require(order_id)
    _move_each(found, Reservation.is_issued, Reservation.issue, cause)


def release(order_id: str, reason: str, cause: Cause) -> None:
    """Puts back what the order holds, issued or not, and refuses it any stock from now on.

    Safe to repeat, to run before the reservation, and to resume after a crash.
    """
    closed, _ = _reservations.change(
        order_id,
        lambda found: found.close(reason),
        cause,
        begin=lambda: Reservation.block(order_id, reason),
    )
    _move_each(closed, Reservation.holds_nothing, Reservation.put_back, cause)


def _take(found: Reservation | None, reservation: Reservation, cause: Cause) -> Reservation:
    """Takes the next chunk of a reservation, which is new if none was `found`."""
    part, move, change = reservation.take()
    transaction = Transaction(settings(), cause)
    stored = _reservations.write(transaction, found, change)
    stocks = _stocks([wanted.sku for wanted in part])
    for wanted in part:
        _hold(transaction, wanted, move, stocks[wanted.sku])
    transaction.commit()
    return stored


def _move_each(
    reservation: Reservation,
    is_done: Callable[[Reservation], bool],
    step: Callable[[Reservation], Step],
    cause: Cause,
) -> None:
    """Moves chunk after chunk of a reservation, until it `is_done`. Raises Contention."""
    for _ in range(len(reservation.parts) + TRIES):
        if is_done(reservation):
            return
        try:
            reservation = _move(reservation, step(reservation), cause)
        except ConditionFailed:
            # Another run has moved a chunk: look again.
            reservation = _reservations.require(reservation.order_id)
    raise _reservations.contention(reservation.order_id)


def _move(reservation: Reservation, step: Step, cause: Cause) -> Reservation:
    """Moves the units of one chunk, with the reservation."""
    part, move, change = step
    transaction = Transaction(settings(), cause)
    stored = _reservations.write(transaction, reservation, change)
    for held in part:
        expression, values = _added(move, held.quantity)
        transaction.update(_stock_key(held.sku), expression, values=values)
    transaction.commit()
    return stored


def _added(move: Move, quantity: int) -> tuple[str, dict[str, int]]:
    """The expression and the values that add so many units to the counters of an item."""
    counters = {name: each * quantity for name, each in structs.asdict(move).items() if each}
    expression = f"ADD {', '.join(f'{name} :{name}' for name in counters)}"
    return expression, {f":{name}": each for name, each in counters.items()}


def _hold(transaction: Transaction, wanted: Reserved, move: Move, stock: Stock) -> None:
    """Moves units of one item from the stock as it was read.

    Whether they are the last ones is part of the condition: only the transaction that takes the
    last unit publishes that the item is sold out.
    """
    key = _stock_key(wanted.sku)
    expression, values = _added(move, wanted.quantity)
    transaction.update(
        key,
        expression,
        condition=f"available {'=' if stock.is_depleted_by(wanted) else '>'} :reserved",
        values=values,
        label="lacking" if stock.lacks(wanted) else "stock",
    )
    for event in stock.depletion(wanted):
        transaction.publish(key, event)


def _add(transaction: Transaction, item: ReceivedItem, uploaded_at: int, stock: Stock) -> None:
    """Adds units to the stock as it was read, and sets its price unless that changed since."""
    key = _stock_key(item.sku)
    after = stock.repriced(item, uploaded_at)
    as_read = "priced_at = :priced_at" if stock.priced_at else "attribute_not_exists(priced_at)"
    transaction.update(
        key,
        "SET kind = :kind, unit_price_minor = :price, currency = :currency,"
        " priced_at = :at, price_revision = :next"
        " ADD available :quantity, received :quantity, reserved :none",
        condition=f"attribute_not_exists(pk) OR (price_revision = :revision AND {as_read})",
        values={
            ":kind": "stock",
            ":price": after.unit_price_minor,
            ":currency": after.currency,
            ":at": after.priced_at,
            **({":priced_at": stock.priced_at} if stock.priced_at else {}),
            ":revision": stock.price_revision,
            ":next": after.price_revision,
            ":quantity": item.quantity,
            ":none": 0,
        },
    )
    for event in stock.arrival(item, uploaded_at):
        transaction.publish(key, event)


def _stocks(skus: Sequence[str]) -> dict[str, Stock]:
    """The stock of each of up to 100 SKUs, as of now."""
    found = read_all(settings(), [_stock_key(sku) for sku in skus])
    return {sku: msgspec.convert(found.get(_stock_key(sku), {}), Stock) for sku in skus}


def _file_key(file: str) -> Key:
    return (f"FILE#{file}", "FILE")


def _stock_key(sku: str) -> Key:
    return (f"STOCK#{sku}", "STOCK")
