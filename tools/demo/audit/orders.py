"""The audit of orders, stock, money and events."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from tools.demo.audit.check import Check, check
from tools.demo.evidence import ORDERS, STOCK, Evidence, OrderItem
from tools.demo.money import show

ACTIVE = ("confirmed", "shipped", "delivered")
"""Statuses with reserved stock and held money."""

CLOSED = ("rejected", "cancelled", "expired", "returned")
"""Statuses without held money, and without reserved stock unless the customer has it."""

_AFTER_CANCELLATION = ("cancelled", "returned")
"""Statuses of a cancelled order: its parcel may have been delivered and returned."""

_END_EVENTS = {
    "OrderConfirmed.v2": "confirmed",
    "OrderRejected.v2": "rejected",
    "OrderCancelled.v1": "cancelled",
    "OrderExpired.v1": "expired",
}
"""The end of an order's checkout, or of the order before its parcel exists."""


def checks(evidence: Evidence) -> list[Check]:
    """Returns the checks of orders up to the end of checkout."""
    return [
        _accepted(evidence),
        _settled(evidence),
        _stock(evidence),
        _shelf(evidence),
        _reservations(evidence),
        _prices(evidence),
        _published(evidence),
        _changes(evidence),
        _order_ends(evidence),
        _messages_left(evidence),
    ]


def _accepted(evidence: Evidence) -> Check:
    stored = set(evidence.orders)

    def findings() -> Iterator[str]:
        for order_id in sorted(evidence.accepted - stored):
            yield f"order {order_id} was accepted by the API but is not in {ORDERS}"
        for order_id in sorted(stored - evidence.accepted - evidence.unanswered):
            yield f"order {order_id} is in {ORDERS}, but the API accepted no such order"

    left = {"by the API": len(evidence.accepted)}
    if late := (evidence.unanswered - evidence.accepted) & stored:
        left["without an answer"] = len(late)
    return check("Orders accepted", left, {"in their table": len(stored)}, findings())


def _settled(evidence: Evidence) -> Check:
    statuses = Counter(order.status for order in evidence.orders.values())
    settled = {status: statuses[status] for status in (*ACTIVE, *CLOSED) if statuses[status]}

    def findings() -> Iterator[str]:
        for order_id, order in evidence.orders.items():
            where = f"{ORDERS}, ORDER#{order_id}"
            if order.status not in (*ACTIVE, *CLOSED):
                yield f"order {order_id} is still {order.status}: {where}"
            if "cancelled" in order.history and order.status not in _AFTER_CANCELLATION:
                yield f"order {order_id} is {order.status}, but was cancelled before: {where}"
            if order_id in evidence.cancelled and "cancelled" not in order.history:
                yield f"order {order_id} is {order.status}, but was cancelled by the API: {where}"

    return check("Orders placed", {"": len(evidence.orders)}, settled, findings())


def _stock(evidence: Evidence) -> Check:
    sold = _units((_active(evidence) | _kept(evidence)).values())
    removed = Counter({sku: item.received - item.available for sku, item in evidence.stock.items()})

    def findings() -> Iterator[str]:
        for sku in sorted({*sold, *removed, *evidence.supplied}):
            where = f"{STOCK}, STOCK#{sku}"
            item = evidence.stock.get(sku)
            supplied = evidence.supplied.get(sku, 0)
            if item is None:
                yield f"{sku}: {supplied} supplied, {sold[sku]} sold, but no stock: {where}"
                continue
            if removed[sku] != sold[sku]:
                yield f"{sku}: {removed[sku]} removed, {sold[sku]} for customers: {where}"
            if item.received != supplied:
                yield f"{sku}: {item.received} received, {supplied} supplied: {where}"

    return check(
        "Stock removed", {"units": removed.total()}, {"for customers": sold.total()}, findings()
    )


def _shelf(evidence: Evidence) -> Check:
    """What the shelf holds: the units on hand, and what came in, left and came back."""
    shipped = {e.subject for e in evidence.committed.values() if e.type == "OrderShipped.v1"}
    here = _active(evidence) | _kept(evidence)
    orders = evidence.orders.items()
    waiting = _units(order for key, order in here.items() if key not in shipped)
    issued = _units(order for key, order in orders if key in shipped)
    returned = _units(order for key, order in orders if key in shipped and key not in here)
    stock = evidence.stock

    def findings() -> Iterator[str]:
        for sku, item in sorted(stock.items()):
            where = f"{STOCK}, STOCK#{sku}"
            on_hand = item.received - item.issued + item.returned
            if item.available + item.reserved != on_hand:
                parts = f"{item.available} available, {item.reserved} reserved"
                yield f"{sku}: {parts}, but {on_hand} on hand: {where}"
            if item.available < 0 or item.reserved < 0:
                yield f"{sku}: {item.available} available, {item.reserved} reserved: {where}"
            if item.reserved != waiting[sku]:
                yield f"{sku}: {item.reserved} reserved, {waiting[sku]} to be shipped: {where}"
            if item.issued != issued[sku]:
                yield f"{sku}: {item.issued} issued, {issued[sku]} shipped: {where}"
            if item.returned != returned[sku]:
                yield f"{sku}: {item.returned} returned, {returned[sku]} came back: {where}"

    left = {
        "available": sum(item.available for item in stock.values()),
        "reserved": sum(item.reserved for item in stock.values()),
    }
    right = {
        "received": sum(item.received for item in stock.values()),
        "issued": -sum(item.issued for item in stock.values()),
        "returned": sum(item.returned for item in stock.values()),
    }
    return check("Stock on hand", left, right, findings())


def _prices(evidence: Evidence) -> Check:
    """Orders sells at inventory's prices, and they follow the latest costs."""
    ours = {sku: item.price for sku, item in evidence.prices.items() if item.price}
    listed = {sku: item.price for sku, item in evidence.price_list.items()}

    def findings() -> Iterator[str]:
        for sku in sorted({*ours, *listed}):
            if ours.get(sku) != listed.get(sku):
                here, there = (
                    show(*each) if each else "nothing" for each in (ours.get(sku), listed.get(sku))
                )
                yield f"{sku}: {here} in inventory, {there} in the price list: {STOCK}"
        for sku, item in sorted(evidence.stock.items()):
            followed = evidence.prices[sku].cost_revision if sku in evidence.prices else 0
            if followed != item.cost_revision:
                numbers = f"cost {item.cost_revision} is known, but its price follows {followed}"
                yield f"{sku}: {numbers}: {STOCK}, STOCK#{sku}"

    return check(
        "Prices", {"in inventory": len(ours)}, {"in the price list": len(listed)}, findings()
    )


def _reservations(evidence: Evidence) -> Check:
    held = {key for key, each in evidence.reservations.items() if each.state in _HOLDS}
    active, kept = set(_active(evidence)), set(_kept(evidence))

    def findings() -> Iterator[str]:
        for order_id, reservation in evidence.reservations.items():
            if reservation.state not in {*_HOLDS, "released"}:
                yield f"the reservation of order {order_id} is {reservation.state}: {STOCK}"
        for order_id in sorted(held - active - kept):
            yield f"stock is held for order {order_id}, which is not active: {STOCK}"
        for order_id in sorted(active - held):
            yield f"order {order_id} is active, but no stock is held for it: {STOCK}"
        for order_id in sorted(kept - held):
            yield f"order {order_id} was delivered, but its units are for sale again: {STOCK}"

    due = {"active orders": len(active)}
    if kept:
        due["cancelled too late"] = len(kept)
    return check("Reservations", {"held": len(held)}, due, findings())


def _published(evidence: Evidence) -> Check:
    published = {event.id: event for event in evidence.published}
    committed = evidence.committed

    def findings() -> Iterator[str]:
        for event_id in sorted(set(committed) - set(published)):
            event = committed[event_id]
            yield f"{event.type} of {event.subject} was committed, but is not on the bus: its relay"
        for event_id in sorted(set(published) - set(committed)):
            event = published[event_id]
            yield f"{event.type} of {event.subject} is on the bus, but in no outbox: {event_id}"

    left, right = {"in outboxes": len(committed)}, {"on the bus": len(published)}
    return check("Events committed", left, right, findings())


def _changes(evidence: Evidence) -> Check:
    """Each step of payments and reservations has one event."""
    published = Counter((event.type, event.subject) for event in evidence.committed.values())
    due = Counter(_due(evidence, published))

    def findings() -> Iterator[str]:
        for type_ in _CHANGES:
            for order_id in sorted(
                {subject for kind, subject in (*published, *due) if kind == type_}
            ):
                here, there = published[type_, order_id], due[type_, order_id]
                if here != there:
                    yield f"{type_} of order {order_id} was published {here} times, not {there}"

    count = sum(times for (type_, _), times in published.items() if type_ in _CHANGES)
    return check("Changes published", {"events": count}, {"are due": due.total()}, findings())


_HOLDS = ("reserved", "issued")
"""The states of a reservation whose units are not for sale."""


def _due(evidence: Evidence, published: Mapping[tuple[str, str], int]) -> Iterator[tuple[str, str]]:
    for order_id, payment in evidence.payments.items():
        if payment.state in _PAYMENT_EVENTS:
            yield from ((type_, order_id) for type_ in _PAYMENT_EVENTS[payment.state])
        elif ("PaymentAuthorized.v1", order_id) in published:
            # The authorization of a refunded payment need not have been published.
            yield ("PaymentAuthorized.v1", order_id)
    for event in evidence.committed.values():
        if event.type == "OrderShipped.v1":
            yield ("StockIssued.v1", event.subject)
    for order_id, reservation in evidence.reservations.items():
        steps = ("StockReserved.v1", "StockReleased.v1")
        if reservation.state in _HOLDS:
            yield (steps[0], order_id)
        elif any((step, order_id) in published for step in steps):
            yield from ((step, order_id) for step in steps)


_PAYMENT_EVENTS = {
    "authorized": ("PaymentAuthorized.v1",),
    "captured": ("PaymentAuthorized.v1",),
    "declined": ("PaymentDeclined.v1",),
    "uncollected": ("PaymentAuthorized.v1", "PaymentUncollected.v1"),
}
_CHANGES = (
    *dict.fromkeys(chain.from_iterable(_PAYMENT_EVENTS.values())),
    *("StockReserved.v1", "StockIssued.v1", "StockReleased.v1"),
)


def _order_ends(evidence: Evidence) -> Check:
    published: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for event in evidence.published:
        if not event.copy:
            published[event.subject].add((event.id, event.type))
    of_orders = {"OrderPlaced.v2", *_END_EVENTS}
    # A cancelled order may have been confirmed before.
    due = {
        order_id: {type_ for type_, what in _END_EVENTS.items() if what in order.history}
        | {_end_of(order)}
        for order_id, order in evidence.orders.items()
    }

    def findings() -> Iterator[str]:
        for order_id, order in evidence.orders.items():
            types = Counter(type_ for _, type_ in published[order_id])
            for type_ in sorted(of_orders):
                if types[type_] != (type_ in {"OrderPlaced.v2", *due[order_id]}):
                    yield f"order {order_id} is {order.status}, with {types[type_]} times {type_}"
        for event in evidence.published:
            if event.type in of_orders and event.subject not in evidence.orders:
                yield f"{event.type} is about order {event.subject}, which is not in {ORDERS}"

    ends = Counter(
        type_
        for order_id in evidence.orders
        for _, type_ in published[order_id]
        if type_ in _END_EVENTS
    )
    expected = Counter(chain.from_iterable(due.values()))
    return check(
        "Order ends published",
        {"on the bus": ends.total()},
        {status: expected[type_] for type_, status in _END_EVENTS.items()},
        findings(),
    )


def _messages_left(evidence: Evidence) -> Check:
    waiting = {queue: depth for queue, depth in evidence.waiting.items() if depth}
    findings = (f"{depth:,} messages are left in {queue}" for queue, depth in waiting.items())
    return check("Messages left", {"in queues": sum(waiting.values())}, {"": 0}, findings)


def _units(orders: Iterable[OrderItem]) -> Counter[str]:
    """Counts the units of some orders by SKU."""
    units: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            units[line.sku] += line.quantity
    return units


def _active(evidence: Evidence) -> dict[str, OrderItem]:
    return {key: order for key, order in evidence.orders.items() if order.status in ACTIVE}


def _kept(evidence: Evidence) -> dict[str, OrderItem]:
    """Returns orders that were cancelled after their delivery and not returned.

    Their money is refunded, and their units are not for sale.
    """
    return {
        key: order
        for key, order in evidence.orders.items()
        if order.status == "cancelled" and evidence.shipments.get(key) == "delivered"
    }


def _end_of(order: OrderItem) -> str:
    status = "confirmed" if order.status in {*ACTIVE, "returned"} else order.status
    return next((type_ for type_, end in _END_EVENTS.items() if end == status), "")
