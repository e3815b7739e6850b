"""The books of orders, stock and money: what must be equal in the end, and where it is not."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from tools.demo.books.check import Check, check
from tools.demo.evidence import ORDERS, PAYMENTS, PROVIDER, STOCK, Evidence, OrderItem, Payment
from tools.demo.money import Purse, show, total

STANDING = ("confirmed", "shipped", "delivered")
"""Where stock and money are the customer's and the shop's."""

CLOSED = ("rejected", "cancelled", "expired", "returned")
"""Where no money is held any more, and no stock, unless the customer has it."""

_AFTER_CANCELLATION = ("cancelled", "returned")
"""Where an order may be that was cancelled: its parcel may have been delivered, and come back."""

_TELLS = {
    "OrderConfirmed.v1": "confirmed",
    "OrderRejected.v2": "rejected",
    "OrderCancelled.v1": "cancelled",
    "OrderExpired.v1": "expired",
}
"""The end of an order's checkout, or of the order before there is a parcel."""


P = TypeVar("P", bound=Payment)


@dataclass(frozen=True, kw_only=True)
class Authorized:
    """Money by currency: all that was ever held, and what of it was given back."""

    gross: Purse
    refunded: Purse


def checks(evidence: Evidence) -> list[Check]:
    """What an order takes, as far as checkout."""
    return [
        _accepted(evidence),
        _settled(evidence),
        _stock(evidence),
        _reservations(evidence),
        _money(evidence),
        _provider(evidence),
        _refunds(evidence),
        _published(evidence),
        _changes(evidence),
        _told(evidence),
        _consumed(evidence),
    ]


def authorized(evidence: Evidence) -> Authorized:
    """What the provider's own book says: an answer that the shop never got is in it, too."""
    held = [entry for entry in evidence.provider.values() if entry.amount_minor is not None]
    return Authorized(
        gross=total(entry.amount for entry in held),
        refunded=total(entry.amount for entry in held if entry.state == "cancelled"),
    )


def _accepted(evidence: Evidence) -> Check:
    stored = set(evidence.orders)

    def faults() -> Iterator[str]:
        for order_id in sorted(evidence.accepted - stored):
            yield f"order {order_id} was accepted by the API but is not in {ORDERS}"
        for order_id in sorted(stored - evidence.accepted - evidence.unanswered):
            yield f"order {order_id} is in {ORDERS}, but the API accepted no such order"

    left = {"by the API": len(evidence.accepted)}
    if late := (evidence.unanswered - evidence.accepted) & stored:
        left["without an answer"] = len(late)
    return check("Orders accepted", left, {"in their table": len(stored)}, faults())


def _settled(evidence: Evidence) -> Check:
    statuses = Counter(order.status for order in evidence.orders.values())
    settled = {status: statuses[status] for status in (*STANDING, *CLOSED) if statuses[status]}

    def faults() -> Iterator[str]:
        for order_id, order in evidence.orders.items():
            where = f"{ORDERS}, ORDER#{order_id}"
            if order.status not in (*STANDING, *CLOSED):
                yield f"order {order_id} is still {order.status}: {where}"
            if "cancelled" in order.history and order.status not in _AFTER_CANCELLATION:
                yield f"order {order_id} is {order.status}, but was cancelled before: {where}"
            if order_id in evidence.cancelled and "cancelled" not in order.history:
                yield f"order {order_id} is {order.status}, but was cancelled by the API: {where}"

    return check("Orders placed", {"": len(evidence.orders)}, settled, faults())


def _stock(evidence: Evidence) -> Check:
    sold: Counter[str] = Counter()
    taking = _standing(evidence) | _kept(evidence)
    for order in taking.values():
        for line in order.lines:
            sold[line.sku] += line.quantity
    taken = Counter({sku: item.received - item.available for sku, item in evidence.stock.items()})

    def faults() -> Iterator[str]:
        for sku in sorted({*sold, *taken, *evidence.handed_in}):
            where = f"{STOCK}, STOCK#{sku}"
            item = evidence.stock.get(sku)
            handed_in = evidence.handed_in.get(sku, 0)
            if item is None:
                yield f"{sku}: {handed_in} handed in, {sold[sku]} sold, but no stock: {where}"
                continue
            if taken[sku] != sold[sku]:
                yield f"{sku}: {taken[sku]} taken, {sold[sku]} for customers: {where}"
            if item.reserved != taken[sku]:
                yield f"{sku}: {item.reserved} reserved, {taken[sku]} taken: {where}"
            if item.available < 0 or item.reserved < 0:
                yield f"{sku}: {item.available} available, {item.reserved} reserved: {where}"
            if item.received != handed_in:
                yield f"{sku}: {item.received} received, {handed_in} handed in: {where}"

    return check("Stock taken", {"units": taken.total()}, {"for customers": sold.total()}, faults())


def _reservations(evidence: Evidence) -> Check:
    held = {key for key, each in evidence.reservations.items() if each.state == "reserved"}
    standing, kept = set(_standing(evidence)), set(_kept(evidence))

    def faults() -> Iterator[str]:
        for order_id, reservation in evidence.reservations.items():
            if reservation.state not in {"reserved", "released"}:
                yield f"the reservation of order {order_id} is {reservation.state}: {STOCK}"
        for order_id in sorted(held - standing - kept):
            yield f"stock is held for order {order_id}, which does not stand: {STOCK}"
        for order_id in sorted(standing - held):
            yield f"order {order_id} stands, but no stock is held for it: {STOCK}"
        for order_id in sorted(kept - held):
            yield f"order {order_id} was delivered, but its units are for sale again: {STOCK}"

    due = {"standing orders": len(standing)}
    if kept:
        due["cancelled too late"] = len(kept)
    return check("Reservations", {"held": len(held)}, due, faults())


def _money(evidence: Evidence) -> Check:
    standing = _standing(evidence)
    held = _held(evidence.payments)

    def faults() -> Iterator[str]:
        for order_id, payment in evidence.payments.items():
            if payment.state not in {"authorized", "declined", "cancelled"}:
                yield f"the payment of order {order_id} is {payment.state}: {PAYMENTS}"
        for order_id in sorted(set(held) - set(standing)):
            yield f"money is held for order {order_id}, which does not stand: {PAYMENTS}"
        for order_id in sorted(set(standing) - set(held)):
            yield f"order {order_id} stands, but no money is held for it: {PAYMENTS}"
        for order_id in sorted(set(standing) & set(held)):
            price, amount = standing[order_id].total, held[order_id].amount
            if price != amount:
                fault = f"order {order_id} costs {show(*price)}, but {show(*amount)} are held"
                yield f"{fault}: {PAYMENTS}"
            if standing[order_id].sum_of_lines != price[0]:
                yield f"the lines of order {order_id} do not add up to {show(*price)}: {ORDERS}"

    left = total(payment.amount for payment in held.values())
    due = total(order.total for order in standing.values())
    return check("Money held", {"": left}, {"in standing orders": due}, faults())


def _provider(evidence: Evidence) -> Check:
    ours = _held(evidence.payments)
    theirs = _held(evidence.provider)

    def faults() -> Iterator[str]:
        for order_id in sorted(set(ours) - set(theirs)):
            yield f"order {order_id}: the shop holds money, the provider does not: {PROVIDER}"
        for order_id in sorted(set(theirs) - set(ours)):
            yield f"order {order_id}: the provider holds money, the shop does not: {PROVIDER}"
        for order_id in sorted(set(ours) & set(theirs)):
            here, there = ours[order_id].amount, theirs[order_id].amount
            if here != there:
                fault = f"order {order_id}: {show(*here)} for the shop, {show(*there)}"
                yield f"{fault} for the provider: {PROVIDER}"

    money = authorized(evidence)
    held = total(payment.amount for payment in ours.values())
    given_back = Purse({currency: -minor for currency, minor in money.refunded.items()})
    book = {"at the provider": money.gross, "given back": given_back}
    return check("Money outside", {"held": held}, book, faults())


def _refunds(evidence: Evidence) -> Check:
    told: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for event in evidence.committed.values():
        if event.type == "PaymentRefunded.v1":
            told[event.subject].append((event.data["amount_minor"], event.data["currency"]))
    given = {
        order_id: [entry.amount]
        for order_id, entry in evidence.provider.items()
        if entry.state == "cancelled" and entry.amount_minor is not None
    }
    faults = (
        f"order {order_id}: refunds of {_amounts(told.get(order_id, []))} were told, but the "
        f"provider gave back {_amounts(given.get(order_id, []))}: {PROVIDER}"
        for order_id in sorted({*told, *given})
        if told.get(order_id, []) != given.get(order_id, [])
    )
    left, right = (total(chain.from_iterable(amounts.values())) for amounts in (told, given))
    return check("Refunds published", {"": left}, {"given back": right}, faults)


def _published(evidence: Evidence) -> Check:
    published = {event.id: event for event in evidence.published}
    committed = evidence.committed

    def faults() -> Iterator[str]:
        for event_id in sorted(set(committed) - set(published)):
            event = committed[event_id]
            yield f"{event.type} of {event.subject} was committed, but is not on the bus: its relay"
        for event_id in sorted(set(published) - set(committed)):
            event = published[event_id]
            yield f"{event.type} of {event.subject} is on the bus, but in no outbox: {event_id}"

    left, right = {"in outboxes": len(committed)}, {"on the bus": len(published)}
    return check("Events committed", left, right, faults())


def _changes(evidence: Evidence) -> Check:
    """What payments and reservations have come to is what was told of them, each step once."""
    told = Counter((event.type, event.subject) for event in evidence.committed.values())
    due = Counter(_due(evidence, told))

    def faults() -> Iterator[str]:
        for type_ in _CHANGES:
            for order_id in sorted({subject for kind, subject in (*told, *due) if kind == type_}):
                here, there = told[type_, order_id], due[type_, order_id]
                if here != there:
                    yield f"{type_} of order {order_id} was told {here} times, {there} are due"

    told_of = sum(count for (type_, _), count in told.items() if type_ in _CHANGES)
    return check("Changes published", {"events": told_of}, {"are due": due.total()}, faults())


def _due(evidence: Evidence, told: Mapping[tuple[str, str], int]) -> Iterator[tuple[str, str]]:
    for order_id, payment in evidence.payments.items():
        if payment.state in _PAYMENT_TELLS:
            yield (_PAYMENT_TELLS[payment.state], order_id)
        elif ("PaymentAuthorized.v1", order_id) in told:
            # Money that was given back may have been held without anybody having heard of it.
            yield ("PaymentAuthorized.v1", order_id)
    for order_id, reservation in evidence.reservations.items():
        steps = ("StockReserved.v1", "StockReleased.v1")
        if reservation.state == "reserved":
            yield (steps[0], order_id)
        elif any((step, order_id) in told for step in steps):
            yield from ((step, order_id) for step in steps)


_PAYMENT_TELLS = {"authorized": "PaymentAuthorized.v1", "declined": "PaymentDeclined.v1"}
_CHANGES = (*_PAYMENT_TELLS.values(), "StockReserved.v1", "StockReleased.v1")


def _told(evidence: Evidence) -> Check:
    told: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for event in evidence.published:
        if not event.copy:
            told[event.subject].add((event.id, event.type))
    of_orders = {"OrderPlaced.v1", *_TELLS}
    # A cancelled order, or one that was returned after that, may have been confirmed before.
    due = {
        order_id: {type_ for type_, what in _TELLS.items() if what in order.history}
        | {_end_of(order)}
        for order_id, order in evidence.orders.items()
    }

    def faults() -> Iterator[str]:
        for order_id, order in evidence.orders.items():
            types = Counter(type_ for _, type_ in told[order_id])
            for type_ in sorted(of_orders):
                if types[type_] != (type_ in {"OrderPlaced.v1", *due[order_id]}):
                    yield f"order {order_id} is {order.status}, with {types[type_]} times {type_}"
        for event in evidence.published:
            if event.type in of_orders and event.subject not in evidence.orders:
                yield f"{event.type} tells of order {event.subject}, which is not in {ORDERS}"

    ends = Counter(
        type_ for order_id in evidence.orders for _, type_ in told[order_id] if type_ in _TELLS
    )
    expected = Counter(chain.from_iterable(due.values()))
    return check(
        "Order ends published",
        {"on the bus": ends.total()},
        {status: expected[type_] for type_, status in _TELLS.items()},
        faults(),
    )


def _consumed(evidence: Evidence) -> Check:
    waiting = {queue: depth for queue, depth in evidence.waiting.items() if depth}
    faults = (f"{depth:,} messages are left in {queue}" for queue, depth in waiting.items())
    return check("Messages left", {"in queues": sum(waiting.values())}, {"": 0}, faults)


def _standing(evidence: Evidence) -> dict[str, OrderItem]:
    return {key: order for key, order in evidence.orders.items() if order.status in STANDING}


def _kept(evidence: Evidence) -> dict[str, OrderItem]:
    """Orders that were cancelled when the customer had the parcel already, and did not come back.

    The money is given back, as was promised; the units are not for sale.
    """
    return {
        key: order
        for key, order in evidence.orders.items()
        if order.status == "cancelled" and evidence.shipments.get(key) == "delivered"
    }


def _end_of(order: OrderItem) -> str:
    status = "confirmed" if order.status in {*STANDING, "returned"} else order.status
    return next((type_ for type_, told in _TELLS.items() if told == status), "")


def _held(payments: Mapping[str, P]) -> dict[str, P]:
    return {key: payment for key, payment in payments.items() if payment.state == "authorized"}


def _amounts(amounts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(show(*amount) for amount in amounts) or "nothing"
