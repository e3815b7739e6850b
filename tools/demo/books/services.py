"""The books of parcels, returns, messages, sales and suppliers' files."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from lambdas.notifications.domain import OCCASIONS
from lambdas.notifications.events import Channel
from tools.demo.books.check import Check, check
from tools.demo.evidence import CARRIER, ORDERS, RETURNS, SALES, SHIPMENTS, BusEvent, Evidence
from tools.demo.money import show


def checks(evidence: Evidence) -> list[Check]:
    """What follows an order, and what goes on beside it."""
    return [
        _files(evidence),
        _parcels(evidence),
        _carrier(evidence),
        _returns(evidence),
        *(_messages(evidence, channel) for channel in Channel),
        _sales(evidence),
        _activity(evidence),
    ]


def _files(evidence: Evidence) -> Check:
    taken = sum(report["rows_taken"] for report in evidence.reports.values())
    wrong = sum(report["rows_wrong"] for report in evidence.reports.values())

    def faults() -> Iterator[str]:
        if len(evidence.reports) != evidence.files:
            yield f"{evidence.files} files were handed in, {len(evidence.reports)} reports came"
        if taken + wrong != evidence.rows:
            yield f"the files have {evidence.rows} rows, {taken} were taken and {wrong} refused"

    right = {"taken": taken, "sent back": wrong}
    return check("Suppliers' rows", {"in files": evidence.rows}, right, faults())


def _parcels(evidence: Evidence) -> Check:
    """Each confirmed order has a shipment; each parcel arrives, is called back, or is missed."""
    told = _told(evidence, "OrderConfirmed", "ShipmentRequested", "OrderShipped", *_PARCEL_ENDS)
    # One that was missed may arrive after all.
    ended = {*told["OrderDelivered"], *told["ShipmentRecalled"]}
    missed = set(told["ShipmentOverdue"]) - ended

    def faults() -> Iterator[str]:
        for order_id in sorted(told["OrderConfirmed"]):
            state = evidence.shipments.get(order_id)
            ends = told["OrderDelivered"][order_id] + told["ShipmentRecalled"][order_id]
            if ends + (order_id in missed) != 1:
                yield f"the parcel of order {order_id} is {state}, with {ends} ends: {SHIPMENTS}"
            if told["OrderDelivered"][order_id] > told["OrderShipped"][order_id]:
                yield f"order {order_id} was delivered, but never shipped: {SHIPMENTS}"
        for name, times in told.items():
            for order_id, count in times.items():
                if count != 1:
                    yield f"{name} of order {order_id} was told {count} times"

    confirmed = set(told["OrderConfirmed"])
    last = {**told, "ShipmentOverdue": missed}
    right = {word: len(confirmed.intersection(last[end])) for end, word in _PARCEL_ENDS.items()}
    return check("Parcels", {"orders confirmed": len(confirmed)}, right, faults())


_PARCEL_ENDS = {
    "OrderDelivered": "delivered",
    "ShipmentOverdue": "overdue",
    "ShipmentRecalled": "recalled",
}


def _carrier(evidence: Evidence) -> Check:
    ours = {key for key, state in evidence.shipments.items() if state in _UNDER_WAY}
    theirs = {key for key, state in evidence.parcels.items() if state != "recalled"}
    faults = (
        f"order {order_id}: {'the shop' if order_id in ours else 'the carrier'} alone knows of a "
        f"parcel under way: {CARRIER}"
        for order_id in sorted(ours ^ theirs)
    )
    return check("Parcels sent", {"": len(ours)}, {"in the carrier's book": len(theirs)}, faults)


_UNDER_WAY = {"requested", "shipped", "delivered"}


def _returns(evidence: Evidence) -> Check:
    told = _told(evidence, "ReturnRequested", "OrderReturned", "ReturnRefused", "OrderDelivered")

    def faults() -> Iterator[str]:
        for order_id in sorted(told["ReturnRequested"].keys() ^ evidence.wanted_back):
            yield f"order {order_id}: the customer and {RETURNS} differ about its return"
        for order_id, approved in evidence.decided.items():
            ends = (told["OrderReturned"][order_id], told["ReturnRefused"][order_id])
            if ends != (int(approved), int(not approved)):
                yield f"the return of order {order_id} was decided, but came to {ends}: {RETURNS}"
        for order_id in sorted(told["ReturnRequested"].keys() - told["OrderDelivered"].keys()):
            yield f"order {order_id} is to come back, but was not delivered: {RETURNS}"
        for order_id, order in evidence.orders.items():
            if (order.status == "returned") != (order_id in told["OrderReturned"]):
                back = "after" if order_id in told["OrderReturned"] else "without"
                yield f"order {order_id} is {order.status} {back} its return: {ORDERS}"
        for order_id in sorted(evidence.wanted_back - evidence.decided.keys()):
            yield f"nobody decided about the return of order {order_id}: {RETURNS}"

    right = {"approved": len(told["OrderReturned"]), "refused": len(told["ReturnRefused"])}
    return check("Returns", {"requested": len(evidence.wanted_back)}, right, faults())


def _messages(evidence: Evidence, channel: Channel) -> Check:
    """What is owed follows from the events and the preferences alone."""
    customer_of = {
        event.subject: event.data["customer_id"]
        for event in evidence.committed.values()
        if event.type == "OrderPlaced.v1"
    }
    owed: Counter[str] = Counter()
    for event in evidence.committed.values():
        wishes = evidence.preferences.get(customer_of.get(event.subject, ""), {})
        told = event.type.partition(".")[0] in OCCASIONS and not event.copy
        if told and channel in wishes:
            owed[wishes[channel]] += 1
    sent = evidence.sent[channel]
    faults = (
        f"{address}: {sent[address]} messages were sent, {owed[address]} are owed"
        for address in sorted({*sent, *owed})
        if sent[address] < owed[address]
        or (sent[address] > owed[address] and channel not in evidence.may_repeat)
        or not owed[address]
    )
    right = {"owed": owed.total()}
    if channel in evidence.may_repeat and (repeated := (sent - owed).total()):
        right["sent again"] = repeated
    return check(f"Messages by {channel.value}", {"sent": sent.total()}, right, faults)


def _sales(evidence: Evidence) -> Check:
    units: Counter[str] = Counter()
    revenue: Counter[tuple[str, str]] = Counter()
    for event in _events(evidence, "OrderConfirmed.v1"):
        for line in event.data["lines"]:
            units[line["sku"]] += line["quantity"]
            amount = line["quantity"] * line["unit_price_minor"]
            revenue[line["sku"], event.data["currency"]] += amount

    def faults() -> Iterator[str]:
        for sku in sorted({*units, *evidence.sold_units}):
            if evidence.sold_units[sku] != units[sku]:
                yield (
                    f"{sku}: {evidence.sold_units[sku]} units in the sales, {units[sku]} in "
                    f"confirmed orders: {SALES}"
                )
        for sku, currency in sorted({*revenue, *evidence.sold_for}):
            here, there = evidence.sold_for[sku, currency], revenue[sku, currency]
            if here != there:
                yield (
                    f"{sku}: {show(here, currency)} in the sales, {show(there, currency)} in "
                    f"confirmed orders: {SALES}"
                )

    left = {"units in the sales": evidence.sold_units.total()}
    return check("Sales", left, {"in orders confirmed": units.total()}, faults())


def _activity(evidence: Evidence) -> Check:
    done, counted = evidence.activity, evidence.counted_activity
    faults = (
        f"{sku}: {kind} {done[kind, sku]} times, but counted {counted[kind, sku]} times: {SALES}"
        for kind, sku in sorted({*done, *counted})
        if done[kind, sku] != counted[kind, sku]
    )
    return check("Activity", {"acts": done.total()}, {"counted": counted.total()}, faults)


def _events(evidence: Evidence, type_: str) -> Iterator[BusEvent]:
    return (event for event in evidence.committed.values() if event.type == type_)


def _told(evidence: Evidence, *names: str) -> dict[str, Counter[str]]:
    """How often each event was committed, by its name and then by order."""
    told: defaultdict[str, Counter[str]] = defaultdict(Counter, {name: Counter() for name in names})
    for name in names:
        told[name].update(event.subject for event in _events(evidence, f"{name}.v1"))
    return told
