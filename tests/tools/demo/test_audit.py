"""The audit finds each wrong item, and says where it is."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from lambdas.notifications.events import Channel
from tests.tools.demo.printed import assert_each_line_adds_up, printed
from tools.demo.audit import audit, authorized, check
from tools.demo.customers import Journal
from tools.demo.evidence import (
    BusEvent,
    Evidence,
    OrderItem,
    OrderLine,
    Payment,
    ProviderEntry,
    ReservationItem,
    StockItem,
    Units,
)
from tools.demo.hops import HopCounts
from tools.demo.run import DemoRun
from tools.demo.timeline import Timelines

ENDS = {
    "sold": "OrderConfirmed.v2",
    "left": "OrderCancelled.v1",
    "lost": "OrderRejected.v2",
    "back": "OrderConfirmed.v2",
}
ADDRESS = "c@example.com"
NOTIFIED = {"OrderPlaced", "OrderConfirmed", "OrderShipped", "OrderDelivered"}


Falsify = Callable[[Evidence], object]


def order(order_id: str, status: str, *before: str) -> OrderItem:
    history = dict.fromkeys(("placed", *before, status))
    return OrderItem(order_id, status, "EUR", 500, (OrderLine("MUG", 2, 250),), history)


def payment(
    order_id: str, state: str, amount_minor: int = 500, currency: str = "EUR", **more: Any
) -> Payment:
    return Payment(f"PAYMENT#{order_id}", state, amount_minor, currency, **more)


def entry(order_id: str, status: str, amount_minor: int = 500, **more: Any) -> ProviderEntry:
    return ProviderEntry(order_id, status, amount_minor, "EUR", **more)


def reservation(order_id: str, state: str, quantity: int = 2) -> ReservationItem:
    units = (Units("MUG", quantity),) if quantity else ()
    return ReservationItem(f"RESERVATION#{order_id}", state, units)


def stock(received: int, available: int, reserved: int, issued: int, returned: int) -> StockItem:
    return StockItem("STOCK#MUG", received, available, reserved, issued, returned)


PLACES: dict[type, str] = {
    Payment: "payments",
    ProviderEntry: "provider",
    ReservationItem: "reservations",
    StockItem: "stock",
}
"""The place of each kind of record in the evidence."""


def put(evidence: Evidence, record: Payment | ReservationItem | StockItem) -> None:
    """Replaces a record of an order or an item."""
    records = getattr(evidence, PLACES[type(record)])
    records[record.pk.rpartition("#")[2]] = record


def has(record: Payment | ReservationItem | StockItem) -> Falsify:
    """Falsifies one record of the evidence."""
    return lambda evidence: put(evidence, record)


def has_order(order_id: str, status: str, *before: str) -> Falsify:
    """Falsifies an order."""
    return lambda evidence: evidence.orders.update({order_id: order(order_id, status, *before)})


def event(type_: str, order_id: str) -> BusEvent:
    data = {
        "order_id": order_id,
        "customer_id": f"customer of {order_id}",
        "amount_minor": 500,
        "currency": "EUR",
        "lines": [{"sku": "MUG", "quantity": 2, "unit_price_minor": 250}],
    }
    return BusEvent(f"{type_} of {order_id}", type_, order_id, data)


def correct_evidence() -> Evidence:
    """One order was sold, one cancelled after its payment, one rejected, one returned."""
    events = [
        *(event("OrderPlaced.v2", order_id) for order_id in ENDS),
        *(event(end, order_id) for order_id, end in ENDS.items()),
        replace(event("OrderRejected.v1", "lost"), copy=True),
        event("OrderConfirmed.v2", "left"),
        event("ShipmentRecalled.v1", "left"),
        *(
            event(f"{name}.v1", order_id)
            for order_id in ("sold", "back")
            for name in ("ShipmentRequested", "OrderShipped", "OrderDelivered")
        ),
        event("ReturnRequested.v2", "back"),
        event("OrderReturned.v1", "back"),
        event("PaymentDeclined.v1", "lost"),
        *(
            event(type_, order_id)
            for order_id in ("sold", "left", "back")
            for type_ in ("PaymentAuthorized.v1", "StockReserved.v1")
        ),
        *(event("StockIssued.v1", order_id) for order_id in ("sold", "back")),
        event("StockReleased.v1", "left"),
        event("StockReleased.v1", "back"),
        event("PaymentCaptured.v1", "sold"),
        event("PaymentCaptured.v1", "back"),
        event("PaymentRefunded.v1", "back"),
        event("PaymentReleased.v1", "left"),
    ]
    return Evidence(
        accepted=set(ENDS),
        cancelled={"left"},
        supplied={"MUG": 10},
        files=1,
        rows=3,
        reports={"reports/a.csv/1.json": {"rows_taken": 1, "rows_wrong": 2}},
        return_requests={"back"},
        decided={"back": True},
        preferences={
            "customer of sold": {Channel.EMAIL: ADDRESS},
            "customer of lost": {Channel.EMAIL: "lost@example.com"},
        },
        sent={
            Channel.EMAIL: Counter({ADDRESS: len(NOTIFIED), "lost@example.com": 2}),
            Channel.SMS: Counter(),
            Channel.WEBHOOK: Counter(),
        },
        activity=Counter({("viewed", "MUG"): 3}),
        counted_activity=Counter({("viewed", "MUG"): 3}),
        sold_units=Counter({"MUG": 6}),
        sold_for=Counter({("MUG", "EUR"): 1500}),
        orders={
            "sold": order("sold", "delivered", "confirmed"),
            "left": order("left", "cancelled", "confirmed"),
            "lost": order("lost", "rejected"),
            "back": order("back", "returned", "confirmed"),
        },
        stock={"MUG": stock(10, 8, 0, 4, 2)},
        reservations={
            "sold": reservation("sold", "issued"),
            "left": reservation("left", "released"),
            "back": reservation("back", "released"),
        },
        payments={
            "sold": payment("sold", "captured"),
            "left": payment("left", "cancelled"),
            "lost": payment("lost", "declined"),
            "back": payment("back", "refunded"),
        },
        provider={
            "sold": entry("sold", "captured"),
            "left": entry("left", "cancelled"),
            "lost": ProviderEntry("lost"),
            "back": entry("back", "refunded"),
        },
        shipments={"sold": "delivered", "left": "recalled", "back": "delivered"},
        parcels={"sold": "requested", "left": "recalled", "back": "requested"},
        committed={each.id: each for each in events},
        published=events,
        waiting={"Checkout/RunCheckout/Queue": 0},
        dead_letters={"Checkout/RunCheckout/DeadLetters": []},
    )


def findings(evidence: Evidence) -> str:
    return "\n".join(finding for check in audit(evidence) for finding in check.findings)


def test_correct_evidence_has_no_findings() -> None:
    assert findings(correct_evidence()) == ""


def test_money_is_added_by_currency_with_refunds() -> None:
    evidence = correct_evidence()
    evidence.provider["abroad"] = ProviderEntry("abroad", "authorized", 7, "GBP")

    money = authorized(evidence)

    assert money.gross == {"EUR": 1500, "GBP": 7}
    assert money.released == {"EUR": 500}
    assert money.refunded == {"EUR": 500}


REFUND = {"order_id": "left", "amount_minor": 500, "currency": "EUR"}
WRONGS: dict[str, tuple[Falsify, str]] = {
    "an order that the API accepted is gone": (
        lambda evidence: evidence.accepted.add("gone"),
        "order gone was accepted by the API but is not in Orders/Orders/Table",
    ),
    "an order that the API refused is there": (
        lambda evidence: evidence.accepted.discard("lost"),
        "order lost is in Orders/Orders/Table, but the API accepted no such order",
    ),
    "an order is pending": (has_order("sold", "placed"), "order sold is still placed"),
    "a cancelled order is confirmed": (
        lambda evidence: evidence.cancelled.add("sold"),
        "order sold is delivered, but was cancelled by the API",
    ),
    "a cancelled order is delivered as if it had not been cancelled": (
        has_order("left", "delivered", "cancelled"),
        "order left is delivered, but was cancelled before",
    ),
    "the confirmation of a cancelled order was not published": (
        lambda evidence: evidence.published.remove(event("OrderConfirmed.v2", "left")),
        "order left is cancelled, with 0 times OrderConfirmed.v2",
    ),
    "an order is returned without a return": (
        has_order("sold", "returned", "confirmed"),
        "order sold is returned without its return",
    ),
    "a returned order is not marked so": (
        has_order("back", "delivered", "confirmed"),
        "order back is delivered after its return",
    ),
    "an order was returned that was not delivered": (
        lambda evidence: evidence.committed.pop("OrderDelivered.v1 of back"),
        "order back has a return, but was not delivered",
    ),
    "a cancelled order has a parcel that was not recalled": (
        lambda evidence: evidence.committed.pop("ShipmentRecalled.v1 of left"),
        "the parcel of order left is recalled, with 0 ends",
    ),
    "stock is gone": (has(stock(10, 7, 1, 4, 2)), "MUG: 3 removed, 2 for customers"),
    "stock is reserved for nobody": (
        has(stock(10, 8, 1, 3, 2)),
        "MUG: 1 reserved, 0 to be shipped",
    ),
    "stock is negative": (has(stock(1, -1, 0, 4, 2)), "MUG: -1 available, 0 reserved"),
    "stock comes from nowhere": (has(stock(20, 18, 0, 4, 2)), "MUG: 20 received, 10 supplied"),
    "the shelf holds less than came in": (
        has(stock(10, 8, 0, 3, 2)),
        "MUG: 8 available, 0 reserved, but 9 on hand",
    ),
    "a shipped order was not issued": (has(stock(10, 8, 0, 2, 0)), "MUG: 2 issued, 4 shipped"),
    "a returned order was not counted as returned": (
        has(stock(10, 8, 0, 4, 1)),
        "MUG: 1 returned, 2 came back",
    ),
    "the units of a shipped order were issued twice": (
        lambda evidence: publish(evidence, twice("StockIssued.v1", "sold")),
        "StockIssued.v1 of order sold was published 2 times, not 1",
    ),
    "an item has no stock": (
        lambda evidence: evidence.stock.clear(),
        "MUG: 10 supplied, 2 sold, but no stock",
    ),
    "a cancelled order holds stock": (
        has(reservation("left", "reserved", 0)),
        "stock is held for order left, which is not active",
    ),
    "a confirmed order holds no stock": (
        lambda evidence: evidence.reservations.pop("sold"),
        "order sold is active, but no stock is held for it",
    ),
    "a release stopped half-way": (
        has(reservation("left", "releasing", 0)),
        "the reservation of order left is releasing",
    ),
    "a confirmed order is not paid": (
        lambda evidence: evidence.payments.pop("sold"),
        "order sold is active, but no money is held for it",
    ),
    "a rejected order is paid": (
        has(payment("lost", "authorized", 5)),
        "money is held for order lost, which is not active",
    ),
    "too much is paid": (
        has(payment("sold", "captured", 501)),
        "order sold costs 5.00 EUR, but 5.01 EUR are held",
    ),
    "another currency is paid": (
        has(payment("sold", "captured", 500, "USD")),
        "order sold costs 5.00 EUR, but 5.00 USD are held",
    ),
    "a payment hangs": (
        has(payment("left", "cancelling")),
        "the payment of order left is cancelling",
    ),
    "only the provider holds money": (
        has(entry("lost", "authorized", 5)),
        "order lost: the provider holds money, the shop does not",
    ),
    "only the shop holds money": (
        lambda evidence: evidence.provider.pop("sold"),
        "order sold: the shop holds money, the provider does not",
    ),
    "a refund was published twice": (
        lambda evidence: evidence.committed.update(
            again=BusEvent("again", "PaymentRefunded.v1", "back", REFUND)
        ),
        "refunds of 5.00 EUR, 5.00 EUR were published, but the provider has 5.00 EUR",
    ),
    "a delivered order was not captured": (
        has(payment("sold", "authorized")),
        "order sold is delivered, but paid as authorized",
    ),
    "only the shop captured": (
        has(entry("sold", "authorized")),
        "order sold: captured for the shop, authorized for the provider",
    ),
    "a capture was published twice": (
        lambda evidence: evidence.committed.update(
            again=BusEvent("again", "PaymentCaptured.v1", "sold", REFUND)
        ),
        "order sold: captures of 5.00 EUR, 5.00 EUR were published, but the provider has 5.00 EUR",
    ),
    "an order was captured twice": (
        has(entry("sold", "captured", 1000)),
        "order sold: 5.00 EUR for the shop, 10.00 EUR for the provider",
    ),
    "the shop does not know a partial refund": (
        has(entry("sold", "captured", refunded_minor=100)),
        "order sold: the provider refunded a part of 100, the shop knows 0",
    ),
    "a change came without an idempotency key": (
        lambda evidence: evidence.calls_without_key.append("POST /v1/refunds"),
        "POST /v1/refunds came to the provider without an idempotency key",
    ),
    "the shop does not know a dispute": (
        has(entry("sold", "captured", disputes={"du_1": "needs_response"})),
        "dispute du_1 of order sold was published 0 times",
    ),
    "an event never reached the bus": (
        lambda evidence: evidence.published.pop(),
        "PaymentReleased.v1 of left was committed, but is not on the bus",
    ),
    "an event reached the bus that was not committed": (
        lambda evidence: evidence.published.append(event("OrderPlaced.v2", "ghost")),
        "OrderPlaced.v2 of ghost is on the bus, but in no outbox",
    ),
    "an order was confirmed twice": (
        lambda evidence: publish(evidence, twice("OrderConfirmed.v2", "sold")),
        "order sold is delivered, with 2 times OrderConfirmed.v2",
    ),
    "the rejection of a confirmed order was published": (
        lambda evidence: publish(evidence, event("OrderRejected.v2", "sold")),
        "order sold is delivered, with 1 times OrderRejected.v2",
    ),
    "a message is left in a queue": (
        lambda evidence: evidence.waiting.update({"Checkout/RunCheckout/Queue": 3}),
        "3 messages are left in Checkout/RunCheckout/Queue",
    ),
    "a file has no report": (
        lambda evidence: evidence.reports.clear(),
        "1 files were supplied, but there are 0 reports",
    ),
    "a row is in no report": (
        lambda evidence: evidence.reports.update(a={"rows_taken": 0, "rows_wrong": 0}),
        "1 files were supplied, but there are 2 reports",
    ),
    "a confirmed order has no shipment": (
        lambda evidence: [
            evidence.committed.pop(f"{name}.v1 of sold")
            for name in ("ShipmentRequested", "OrderShipped", "OrderDelivered")
        ],
        "the parcel of order sold is delivered, with 0 ends",
    ),
    "a parcel was delivered that was not shipped": (
        lambda evidence: evidence.committed.pop("OrderShipped.v1 of sold"),
        "order sold was delivered, but never shipped",
    ),
    "a parcel was delivered and recalled": (
        lambda evidence: publish(evidence, event("ShipmentRecalled.v1", "sold")),
        "the parcel of order sold is delivered, with 2 ends",
    ),
    "a parcel was overdue twice": (
        lambda evidence: evidence.committed.update(
            once=event("ShipmentOverdue.v1", "sold"), again=twice("ShipmentOverdue.v1", "sold")
        ),
        "ShipmentOverdue of order sold was published 2 times",
    ),
    "a parcel was requested twice": (
        lambda evidence: publish(evidence, twice("ShipmentRequested.v1", "sold")),
        "ShipmentRequested of order sold was published 2 times",
    ),
    "the carrier has no parcel": (
        lambda evidence: evidence.parcels.pop("sold"),
        "order sold: only the shop has a parcel in progress",
    ),
    "the carrier did not stop a parcel": (
        lambda evidence: evidence.parcels.update(left="requested"),
        "order left: only the carrier has a parcel in progress",
    ),
    "a return was lost": (
        lambda evidence: evidence.committed.pop("ReturnRequested.v2 of back"),
        "order back: the customer and Returns/Returns/Table differ about its return",
    ),
    "a return was approved and nothing followed": (
        lambda evidence: evidence.committed.pop("OrderReturned.v1 of back"),
        "the return of order back was decided, but has ends (0, 0)",
    ),
    "a return was refused and carried out": (
        lambda evidence: evidence.decided.update(back=False),
        "the return of order back was decided, but has ends (1, 0)",
    ),
    "a return has no decision": (
        lambda evidence: evidence.decided.clear(),
        "the return of order back has no decision",
    ),
    "a message was not sent": (
        lambda evidence: evidence.sent[Channel.EMAIL].subtract({ADDRESS: 1}),
        f"{ADDRESS}: 3 messages were sent, 4 are due",
    ),
    "a message was sent twice": (
        lambda evidence: evidence.sent[Channel.EMAIL].update({ADDRESS: 1}),
        f"{ADDRESS}: 5 messages were sent, 4 are due",
    ),
    "a message went to a customer who wants none": (
        lambda evidence: evidence.sent[Channel.SMS].update({"+491": 1}),
        "+491: 1 messages were sent, 0 are due",
    ),
    "a sale was counted twice": (
        lambda evidence: evidence.sold_units.update({"MUG": 2}),
        "MUG: 8 units in the sales, 6 in confirmed orders",
    ),
    "revenue is missing": (
        lambda evidence: evidence.sold_for.subtract({("MUG", "EUR"): 500}),
        "MUG: 10.00 EUR in the sales, 15.00 EUR in confirmed orders",
    ),
    "a view was not counted": (
        lambda evidence: evidence.counted_activity.clear(),
        "MUG: viewed 3 times, but counted 0 times",
    ),
    "an item cannot be read": (
        lambda evidence: evidence.unreadable.append("Orders/Orders/Table, ORDER#x: no status"),
        "ORDER#x: no status",
    ),
}


def late_evidence() -> Evidence:
    """Two more orders were cancelled after their delivery; one of them was returned."""
    evidence = correct_evidence()
    for order_id, status in (("kept", "cancelled"), ("late", "returned")):
        back = status == "returned"
        evidence.accepted.add(order_id)
        evidence.cancelled.add(order_id)
        evidence.orders[order_id] = order(order_id, status, "confirmed", "cancelled")
        evidence.shipments[order_id] = evidence.parcels[order_id] = "delivered"
        put(evidence, payment(order_id, "refunded"))
        put(evidence, entry(order_id, "refunded"))
        put(evidence, reservation(order_id, "released" if back else "issued"))
        happened = [
            "OrderPlaced.v2",
            "StockReserved.v1",
            "PaymentAuthorized.v1",
            "OrderConfirmed.v2",
        ]
        happened += ["ShipmentRequested.v1", "OrderShipped.v1", "OrderDelivered.v1"]
        happened += ["StockIssued.v1", "PaymentCaptured.v1", "OrderCancelled.v1"]
        happened += ["PaymentRefunded.v1"]
        happened += ["ReturnRequested.v2", "OrderReturned.v1", "StockReleased.v1"] if back else []
        for type_ in happened:
            publish(evidence, event(type_, order_id))
    put(evidence, stock(10, 6, 0, 8, 4))
    evidence.return_requests.add("late")
    evidence.decided["late"] = True
    evidence.sold_units["MUG"] += 4
    evidence.sold_for["MUG", "EUR"] += 1000
    return evidence


def disputed_evidence() -> Evidence:
    """The customer of the sold order disputed its payment, and lost."""
    evidence = correct_evidence()
    put(evidence, payment("sold", "captured", dispute_id="du_1", dispute_won=True))
    put(evidence, entry("sold", "captured", disputes={"du_1": "won"}))
    for type_ in ("PaymentDisputed.v1", "DisputeClosed.v1"):
        data = {"order_id": "sold", "dispute_id": "du_1", "won": True}
        publish(evidence, BusEvent(type_, type_, "sold", data))
    return evidence


DISPUTE_WRONGS: dict[str, tuple[Falsify, str]] = {
    "a dispute was published twice": (
        lambda evidence: publish(
            evidence, BusEvent("2", "PaymentDisputed.v1", "sold", {"dispute_id": "du_1"})
        ),
        "dispute du_1 of order sold was published 2 times",
    ),
    "a closed dispute is open for the shop": (
        has(payment("sold", "captured", dispute_id="du_1")),
        "dispute du_1 of order sold is won: not in Payments",
    ),
    "the shop believes that it won a lost dispute": (
        has(entry("sold", "captured", disputes={"du_1": "lost"})),
        "dispute du_1 of order sold is lost, published: [True]",
    ),
    "the provider has no such dispute": (
        has(entry("sold", "captured")),
        "the provider has no dispute du_1",
    ),
}


@pytest.mark.parametrize("what", [None, *DISPUTE_WRONGS])
def test_disputes_agree_with_the_provider(what: str | None) -> None:
    evidence = disputed_evidence()
    if what is None:
        assert findings(evidence) == ""
    else:
        spoil, finding = DISPUTE_WRONGS[what]
        spoil(evidence)
        assert finding in findings(evidence)


def test_a_parcel_that_could_not_be_paid_is_no_finding_but_a_figure() -> None:
    evidence = correct_evidence()
    put(evidence, payment("sold", "uncollected"))
    put(evidence, entry("sold", "cancelled"))
    captured = event("PaymentCaptured.v1", "sold")
    evidence.published.remove(captured)
    del evidence.committed[captured.id]
    publish(evidence, event("PaymentUncollected.v1", "sold"))
    assert findings(evidence) == ""
    (held,) = (check for check in audit(evidence) if check.what == "Money held")
    assert held.right["not collected"] == {"EUR": -500}


UNREVIEWED: dict[str, tuple[Falsify, str]] = {
    "none": (lambda _: None, ""),
    "there is another reason": (
        lambda evidence: evidence.committed["ReturnRefused.v2 of sold"].data.update(reason="used"),
        "the return of order sold has no decision",
    ),
    "staff decided in time": (
        lambda evidence: evidence.decided.update(sold=False),
        "the return of order sold was decided, but refused unreviewed",
    ),
}


@pytest.mark.parametrize("wrong", UNREVIEWED)
def test_a_return_that_nobody_reviews_in_time_is_refused(wrong: str) -> None:
    spoil, finding = UNREVIEWED[wrong]
    evidence = correct_evidence()
    evidence.return_requests.add("sold")
    refused = event("ReturnRefused.v2", "sold")
    refused.data["reason"] = "not_reviewed"
    publish(evidence, event("ReturnRequested.v2", "sold"))
    publish(evidence, refused)
    evidence.sent[Channel.EMAIL].update({ADDRESS: 1})
    spoil(evidence)
    assert finding in findings(evidence)
    assert finding or not findings(evidence)


def failed_refund_evidence() -> Evidence:
    """The refund of a returned order failed: the shop owes it to the customer."""
    evidence = correct_evidence()
    put(evidence, payment("back", "refund_failed", failed_refunds=("re_1",)))
    put(evidence, entry("back", "refund_failed", failed_refunds={"re_1": 500}))
    failed = event("RefundFailed.v1", "back")
    publish(
        evidence, replace(failed, data={**failed.data, "refund_id": "re_1", "failed_minor": 500})
    )
    return evidence


REFUND_WRONGS: dict[str, tuple[Falsify, str]] = {
    "it was not published": (
        lambda evidence: evidence.committed.pop("RefundFailed.v1 of back"),
        "refund re_1 of order back (500) failed, and was published 0 times",
    ),
    "the shop does not have it": (
        has(payment("back", "refunded")),
        "the refund of order back failed, but its payment is not refund_failed",
    ),
    "the provider has no failure": (
        has(entry("back", "captured")),
        "refund re_1 of order back (500) failed, but not at the provider",
    ),
    "another amount failed": (
        has(entry("back", "refund_failed", failed_refunds={"re_1": 400})),
        "refund re_1 of order back (400) failed, and was published 0 times",
    ),
}


@pytest.mark.parametrize("what", [None, *REFUND_WRONGS])
def test_failed_refunds_agree_with_the_provider(what: str | None) -> None:
    evidence = failed_refund_evidence()
    if what is None:
        assert findings(evidence) == ""
        (outside,) = (check for check in audit(evidence) if check.what == "Money outside")
        assert outside.right["owed to customers"] == {"EUR": -500}
    else:
        spoil, finding = REFUND_WRONGS[what]
        spoil(evidence)
        assert finding in findings(evidence)


LATE_WRONGS: dict[str, tuple[Falsify, str]] = {
    "an order that was cancelled too late and returned is not marked so": (
        has_order("late", "cancelled", "confirmed"),
        "order late is cancelled after its return",
    ),
    "units of a customer are for sale": (
        has(reservation("kept", "released")),
        "order kept was delivered, but its units are for sale again",
    ),
    "units of a customer are counted as stock": (
        has(stock(10, 8, 0, 6, 4)),
        "MUG: 2 removed, 4 for customers",
    ),
    "a cancelled order is charged": (
        has(payment("kept", "authorized", 5)),
        "money is held for order kept, which is not active",
    ),
    "a returned order is refunded twice": (
        lambda evidence: publish(evidence, twice("PaymentRefunded.v1", "late")),
        "order late: refunds of 5.00 EUR, 5.00 EUR were published",
    ),
    "a returned order is restocked twice": (
        lambda evidence: publish(evidence, twice("StockReleased.v1", "late")),
        "StockReleased.v1 of order late was published 2 times, not 1",
    ),
    "a cancelled order is returned as if it had not been cancelled": (
        has_order("late", "returned", "confirmed"),
        "order late is returned, but was cancelled by the API",
    ),
    "the cancellation was not published": (
        lambda evidence: evidence.published.remove(event("OrderCancelled.v1", "late")),
        "order late is returned, with 0 times OrderCancelled.v1",
    ),
}


def twice(type_: str, order_id: str) -> BusEvent:
    """The same again, as an event of its own."""
    return replace(event(type_, order_id), id="another id")


def publish(evidence: Evidence, event: BusEvent) -> None:
    evidence.published.append(event)
    evidence.committed[event.id] = event


@pytest.mark.parametrize("wrong", WRONGS)
def test_each_wrong_item_is_found(wrong: str) -> None:
    falsify, expected = WRONGS[wrong]
    evidence = deepcopy(correct_evidence())

    falsify(evidence)

    assert expected in findings(evidence)


def erased_evidence() -> Evidence:
    """A customer without orders whose data were erased, and one whose erasure was refused."""
    evidence = deepcopy(correct_evidence())
    evidence.erasure_requests = {"leaver": ("leaver@example.com",), "keen": ()}
    evidence.erasures = {"leaver": "completed", "keen": "refused"}
    publish(evidence, event("CustomerErased.v1", "leaver"))
    return evidence


def test_erasures_that_are_proven_or_refused_have_no_findings() -> None:
    assert findings(erased_evidence()) == ""


@pytest.mark.parametrize(
    ("falsify", "expected"),
    [
        (lambda e: e.erasures.pop("keen"), "the erasure of keen is None"),
        (lambda e: e.erasures.update(keen="requested"), "the erasure of keen is requested"),
        (lambda e: e.committed.pop("CustomerErased.v1 of leaver"), "leaver has 0 proofs"),
        (lambda e: publish(e, event("CustomerErased.v1", "keen")), "keen has 1 proofs"),
        (lambda e: e.traces.append("Orders: leaver@"), "after an erasure, Orders: leaver@"),
    ],
)
def test_each_wrong_erasure_is_found(falsify: Falsify, expected: str) -> None:
    evidence = erased_evidence()
    falsify(evidence)
    assert expected in findings(evidence)


def test_orders_that_were_cancelled_too_late_have_no_findings() -> None:
    assert findings(late_evidence()) == ""


@pytest.mark.parametrize("wrong", LATE_WRONGS)
def test_each_wrong_item_of_a_late_cancellation_is_found(wrong: str) -> None:
    falsify, expected = LATE_WRONGS[wrong]
    evidence = late_evidence()

    falsify(evidence)

    assert expected in findings(evidence)


def test_an_overdue_parcel_may_arrive() -> None:
    evidence = correct_evidence()
    publish(evidence, event("ShipmentOverdue.v1", "sold"))

    (parcels,) = (each for each in audit(evidence) if each.what == "Parcels")
    assert parcels.holds
    assert parcels.right["overdue"] == 0


def test_an_event_that_reached_the_bus_twice_is_one_event() -> None:
    evidence = correct_evidence()
    evidence.published.append(evidence.published[0])

    assert findings(evidence) == ""


def test_parked_messages_alone_are_no_finding() -> None:
    evidence = correct_evidence()
    evidence.dead_letters["Checkout/RunCheckout/DeadLetters"] = [{"body": "{}", "attributes": {}}]

    assert findings(evidence) == ""


ALL_EVIDENCE: dict[str, tuple[Callable[[], Evidence], Falsify]] = {
    "right": (correct_evidence, lambda evidence: None),
    "late": (late_evidence, lambda evidence: None),
    **{wrong: (correct_evidence, falsify) for wrong, (falsify, _) in WRONGS.items()},
    **{wrong: (late_evidence, falsify) for wrong, (falsify, _) in LATE_WRONGS.items()},
}


@pytest.mark.parametrize("name", ALL_EVIDENCE)
def test_printed_figures_of_each_line_add_up_unless_a_finding_is_printed(name: str) -> None:
    make, falsify = ALL_EVIDENCE[name]
    evidence = make()
    falsify(evidence)
    checks = audit(evidence)

    assert_each_line_adds_up(
        printed(DemoRun(evidence, checks, Journal(), HopCounts(), Timelines({}), 1, []))
    )


def test_messages_that_may_repeat_add_up_when_they_do() -> None:
    evidence = correct_evidence()
    evidence.sent[Channel.EMAIL][ADDRESS] += 2
    evidence.may_repeat = frozenset({Channel.EMAIL})
    (mails,) = (each for each in audit(evidence) if each.what == "Messages by email")

    assert mails.holds
    assert mails.right == {"due": 6, "sent again": 2}


def test_an_accepted_order_without_an_answer_adds_up() -> None:
    evidence = correct_evidence()
    evidence.accepted.remove("sold")
    evidence.unanswered.add("sold")
    (accepted,) = (each for each in audit(evidence) if each.what == "Orders accepted")

    assert accepted.holds
    assert accepted.left == {"by the API": 3, "without an answer": 1}


def test_different_sums_are_a_finding_even_if_no_item_is_wrong() -> None:
    money = Counter({"EUR": 7_815_950, "GBP": 53_775})

    differs = check("Money held", {"": money}, {"due": money, "given back": Counter(EUR=-1)}, ())

    assert differs.findings == (
        "78,159.50 EUR + 537.75 GBP against 78,159.50 EUR + 537.75 GBP due - 0.01 EUR given back, "
        "and no item explains the difference",
    )
