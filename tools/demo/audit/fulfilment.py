"""The audit of parcels, returns, messages, sales and suppliers' files."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from lambdas.notifications.domain import OCCASIONS
from lambdas.notifications.events import Channel
from lambdas.returns.events import RefusalReason, ReturnRefused
from tools.demo.audit.check import Check, check
from tools.demo.evidence import (
    CARRIER,
    ERASURES,
    ORDERS,
    RETURNS,
    SALES,
    SHIPMENTS,
    BusEvent,
    Evidence,
)
from tools.demo.money import show


def checks(evidence: Evidence) -> list[Check]:
    """Returns the checks of what follows an order, and of files and sales."""
    return [
        _files(evidence),
        _parcels(evidence),
        _carrier(evidence),
        _returns(evidence),
        *(_messages(evidence, channel) for channel in Channel),
        _sales(evidence),
        _activity(evidence),
        *([_erasures(evidence)] if evidence.erasure_requests or evidence.erasures else []),
    ]


def _files(evidence: Evidence) -> Check:
    imported = sum(report["rows_taken"] for report in evidence.reports.values())
    wrong = sum(report["rows_wrong"] for report in evidence.reports.values())

    def findings() -> Iterator[str]:
        if len(evidence.reports) != evidence.files:
            reports = len(evidence.reports)
            yield f"{evidence.files} files were supplied, but there are {reports} reports"
        if imported + wrong != evidence.rows:
            yield f"the files have {evidence.rows} rows: {imported} imported and {wrong} refused"

    right = {"imported": imported, "refused": wrong}
    return check("Suppliers' rows", {"in files": evidence.rows}, right, findings())


def _parcels(evidence: Evidence) -> Check:
    """Each confirmed order has a parcel that is delivered, recalled or overdue."""
    events = _committed(
        evidence, "OrderConfirmed", "ShipmentRequested", "OrderShipped", *_PARCEL_ENDS
    )
    # An overdue parcel may still be delivered.
    ended = {*events["OrderDelivered"], *events["ShipmentRecalled"]}
    overdue = set(events["ShipmentOverdue"]) - ended

    def findings() -> Iterator[str]:
        for order_id in sorted(events["OrderConfirmed"]):
            state = evidence.shipments.get(order_id)
            ends = events["OrderDelivered"][order_id] + events["ShipmentRecalled"][order_id]
            if ends + (order_id in overdue) != 1:
                yield f"the parcel of order {order_id} is {state}, with {ends} ends: {SHIPMENTS}"
            if events["OrderDelivered"][order_id] > events["OrderShipped"][order_id]:
                yield f"order {order_id} was delivered, but never shipped: {SHIPMENTS}"
        for name, times in events.items():
            for order_id, count in times.items():
                if count != 1:
                    yield f"{name} of order {order_id} was published {count} times"

    confirmed = set(events["OrderConfirmed"])
    last = {**events, "ShipmentOverdue": overdue}
    right = {word: len(confirmed.intersection(last[end])) for end, word in _PARCEL_ENDS.items()}
    return check("Parcels", {"orders confirmed": len(confirmed)}, right, findings())


_PARCEL_ENDS = {
    "OrderDelivered": "delivered",
    "ShipmentOverdue": "overdue",
    "ShipmentRecalled": "recalled",
}


def _carrier(evidence: Evidence) -> Check:
    ours = {key for key, state in evidence.shipments.items() if state in _IN_PROGRESS}
    theirs = {key for key, state in evidence.parcels.items() if state not in _NOT_SENT}

    def findings() -> Iterator[str]:
        for order_id in sorted(ours ^ theirs):
            only = "the shop" if order_id in ours else "the carrier"
            yield f"order {order_id}: only {only} has a parcel in progress: {CARRIER}"
        for order_id, count in evidence.labels.items():
            if count > 1:
                yield f"order {order_id}: {count} labels were bought"

    return check("Parcels sent", {"": len(ours)}, {"at the carrier": len(theirs)}, findings())


_IN_PROGRESS = {"requested", "shipped", "delivered"}
_NOT_SENT = {"opened", "recalled"}
"""States of the carrier's parcels: one that is only opened has no label."""


def _returns(evidence: Evidence) -> Check:
    events = _committed(
        evidence, "ReturnRequested", "OrderReturned", "ReturnRefused", "OrderDelivered"
    )

    def findings() -> Iterator[str]:
        for order_id in sorted(events["ReturnRequested"].keys() ^ evidence.return_requests):
            yield f"order {order_id}: the customer and {RETURNS} differ about its return"
        for order_id, approved in evidence.decided.items():
            ends = (events["OrderReturned"][order_id], events["ReturnRefused"][order_id])
            if ends != (int(approved), int(not approved)):
                yield f"the return of order {order_id} was decided, but has ends {ends}: {RETURNS}"
        for order_id in sorted(events["ReturnRequested"].keys() - events["OrderDelivered"].keys()):
            yield f"order {order_id} has a return, but was not delivered: {RETURNS}"
        for order_id, order in evidence.orders.items():
            if (order.status == "returned") != (order_id in events["OrderReturned"]):
                back = "after" if order_id in events["OrderReturned"] else "without"
                yield f"order {order_id} is {order.status} {back} its return: {ORDERS}"
        unreviewed = {
            event.subject
            for event in evidence.committed.values()
            if event.type == ReturnRefused.detail_type()
            and event.data["reason"] == RefusalReason.NOT_REVIEWED
        }
        for order_id in sorted(unreviewed & evidence.decided.keys()):
            yield f"the return of order {order_id} was decided, but refused unreviewed: {RETURNS}"
        for order_id in sorted(evidence.return_requests - evidence.decided.keys() - unreviewed):
            yield f"the return of order {order_id} has no decision: {RETURNS}"

    right = {
        "approved": len(events["OrderReturned"]),
        "refused": len(events["ReturnRefused"]),
    }
    return check("Returns", {"requested": len(evidence.return_requests)}, right, findings())


def _erasures(evidence: Evidence) -> Check:
    """Each request has an outcome, each completed one a proof, and no personal data are left."""
    proofs = _committed(evidence, "CustomerErased")["CustomerErased"]
    complete = {who for who, state in evidence.erasures.items() if state == "completed"}

    def findings() -> Iterator[str]:
        for customer_id in sorted(evidence.erasure_requests):
            state = evidence.erasures.get(customer_id)
            if state not in ("completed", "refused"):
                yield f"the erasure of {customer_id} is {state}: {ERASURES}"
        for customer_id in sorted(complete ^ proofs.keys()):
            yield f"{customer_id} has {proofs[customer_id]} proofs: {ERASURES}"
        yield from (f"after an erasure, {trace}" for trace in evidence.traces)

    right = {"completed": len(complete), "refused": len(evidence.erasures) - len(complete)}
    # The shop may have taken a request whose answer was lost.
    requested = {*evidence.erasure_requests, *evidence.erasures}
    return check("Erasures", {"requested": len(requested)}, right, findings())


def _messages(evidence: Evidence, channel: Channel) -> Check:
    """Events and preferences decide which messages are due."""
    customer_of = {
        event.subject: event.data["customer_id"]
        for event in evidence.committed.values()
        if event.type == "OrderPlaced.v2"
    }
    due: Counter[str] = Counter()
    for event in evidence.committed.values():
        addresses = evidence.preferences.get(customer_of.get(event.subject, ""), {})
        notifies = event.type.partition(".")[0] in OCCASIONS and not event.copy
        if notifies and channel in addresses:
            due[addresses[channel]] += 1
    sent = evidence.sent[channel]
    findings = (
        f"{address}: {sent[address]} messages were sent, {due[address]} are due"
        for address in sorted({*sent, *due})
        if sent[address] < due[address]
        or (sent[address] > due[address] and channel not in evidence.may_repeat)
        or not due[address]
    )
    right = {"due": due.total()}
    if channel in evidence.may_repeat and (repeated := (sent - due).total()):
        right["sent again"] = repeated
    return check(f"Messages by {channel.value}", {"sent": sent.total()}, right, findings)


def _sales(evidence: Evidence) -> Check:
    units: Counter[str] = Counter()
    revenue: Counter[tuple[str, str]] = Counter()
    for event in _events(evidence, "OrderConfirmed.v2"):
        for line in event.data["lines"]:
            units[line["sku"]] += line["quantity"]
            amount = line["quantity"] * line["unit_price_minor"]
            revenue[line["sku"], event.data["currency"]] += amount

    def findings() -> Iterator[str]:
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
    return check("Sales", left, {"in orders confirmed": units.total()}, findings())


def _activity(evidence: Evidence) -> Check:
    done, counted = evidence.activity, evidence.counted_activity
    findings = (
        f"{sku}: {kind} {done[kind, sku]} times, but counted {counted[kind, sku]} times: {SALES}"
        for kind, sku in sorted({*done, *counted})
        if done[kind, sku] != counted[kind, sku]
    )
    return check("Activity", {"activities": done.total()}, {"counted": counted.total()}, findings)


def _events(evidence: Evidence, type_: str) -> Iterator[BusEvent]:
    return (event for event in evidence.committed.values() if event.type == type_)


def _committed(evidence: Evidence, *names: str) -> dict[str, Counter[str]]:
    """Counts the committed events by name and order, in whichever version they are."""
    events: defaultdict[str, Counter[str]] = defaultdict(
        Counter, {name: Counter() for name in names}
    )
    for event in evidence.committed.values():
        name = event.type.partition(".")[0]
        if name in names and not event.copy:
            events[name][event.subject] += 1
    return events
