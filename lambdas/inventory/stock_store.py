"""Inventory's table: stock per SKU, and one reservation per order.

A reservation larger than a transaction is taken in chunks. Its item counts the chunks taken and
issued, in the same transactions as the stock, so that a crash between two chunks is resumed or
undone exactly. The rows of a file are taken in the same way: an item keeps the line up to which the
file is in stock.

Reservations are changed as aggregates are. The units of an item are counters: many orders change
them at the same time, and each transaction adds to them under a condition of its own.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct, structs

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

RECORDS = "RECORD#"
"""The prefix of the partition keys of recorded decisions. The table's policy denies everybody to
change or delete these items."""

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


class Received(Struct, frozen=True, kw_only=True):
    """What became of some rows: the SKUs of other suppliers, and outdated costs."""

    foreign: Collection[str] = ()
    outdated: int = 0


def receive_rows(
    items: Sequence[ReceivedItem],
    *,
    supplier: str,
    file: str,
    uploaded_at: datetime,
    after: int,
    up_to: int,
    cause: Cause,
) -> Received:
    """Adds up to ROWS different items: a file's good rows `after` one line and `up_to` another.

    Files come in any order, and may be interrupted. Units add up all the same; the cost is the one
    that was uploaded last. The first delivery of an item makes it its supplier's; items of other
    suppliers are left out. Raises Contention if the file is taken further already, or others keep
    changing the costs.
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
        own = [item for item in items if stocks[item.sku].is_open_to(supplier)]
        for item in own:
            _add(transaction, item, supplier, moment, stocks[item.sku])
        try:
            transaction.commit()
        except ConditionFailed as failure:
            if "file" in failure.labels:
                raise Contention(f"another run takes {file}") from failure
            continue  # Another file changed a cost in between: look again.
        return Received(
            foreign={sku for sku, stock in stocks.items() if not stock.is_open_to(supplier)},
            outdated=sum(stocks[item.sku].is_newer_than(moment) for item in own),
        )
    raise Contention(f"costs changed {TRIES} times while receiving {file} from line {after}")


def foreign(skus: Sequence[str], supplier: str) -> Collection[str]:
    """Returns those of up to 100 SKUs that a supplier may not deliver."""
    stocks = _stocks(skus) if skus else {}
    return {sku for sku, stock in stocks.items() if not stock.is_open_to(supplier)}


def assign(sku: str, supplier: str, by: str, at: datetime, cause: Cause) -> None:
    """Makes an item a supplier's, with a record that is never changed; repeating it is harmless."""
    transaction = Transaction(settings(), cause)
    key = stock_key(sku)
    transaction.update(
        key,
        "SET kind = :kind, supplier = :supplier"
        " ADD available :none, received :none, reserved :none",
        values={":kind": "stock", ":supplier": supplier, ":none": 0},
    )
    record = {"kind": "assignment", "supplier": supplier, "by": by, "at": at.isoformat()}
    transaction.create(record_key(sku, f"ASSIGNED#{at.isoformat()}#{by}"), record)
    transaction.commit()


def reserve(order_id: str, items: tuple[Reserved, ...], cause: Cause) -> None:
    """Reserves all `items` for the order; does nothing if they are reserved already.

    Raises StockRefused if there are too few units of an item, or if the reservation was released
    before. Chunks that are already taken stay taken until `release`.
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
        transaction.update(stock_key(held.sku), expression, values=values)
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
    key = stock_key(wanted.sku)
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


def _add(
    transaction: Transaction, item: ReceivedItem, supplier: str, uploaded_at: int, stock: Stock
) -> None:
    """Adds units to the stock as it was read, and sets its cost unless that changed since."""
    key = stock_key(item.sku)
    after = stock.costed(item, uploaded_at)
    as_read = "cost_revision = :revision AND costed_at = :costed_at"
    transaction.update(
        key,
        "SET kind = :kind, supplier = :supplier, unit_cost_minor = :cost,"
        " cost_currency = :currency, costed_at = :at, cost_revision = :next"
        " ADD available :quantity, received :quantity, reserved :none",
        condition="(attribute_not_exists(supplier) OR supplier = :supplier) AND "
        + (as_read if stock.cost_revision else "attribute_not_exists(cost_revision)"),
        values={
            ":kind": "stock",
            ":supplier": supplier,
            ":cost": after.unit_cost_minor,
            ":currency": after.cost_currency,
            ":at": after.costed_at,
            ":next": after.cost_revision,
            ":quantity": item.quantity,
            ":none": 0,
            **(
                {":revision": stock.cost_revision, ":costed_at": stock.costed_at}
                if stock.cost_revision
                else {}
            ),
        },
    )
    for event in stock.arrival(item, uploaded_at):
        transaction.publish(key, event)


def _stocks(skus: Sequence[str]) -> dict[str, Stock]:
    """The stock of each of up to 100 SKUs, as of now."""
    found = read_all(settings(), [stock_key(sku) for sku in skus])
    return {sku: msgspec.convert(found.get(stock_key(sku), {}), Stock) for sku in skus}


def _file_key(file: str) -> Key:
    return (f"FILE#{file}", "FILE")


def stock_key(sku: str) -> Key:
    """Returns the key of the stock of an item."""
    return (f"STOCK#{sku}", "STOCK")


def record_key(sku: str, what: str) -> Key:
    """Returns the key of the record of a decision about an item."""
    return (f"{RECORDS}{sku}", what)
