"""The audit: each way in which books can be wrong is found, and said where."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from lambdas.notifications.events import Channel
from tests.tools.demo.printed import assert_each_line_adds_up, printed
from tools.demo.books import audit, authorized, check
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
from tools.demo.run import Run
from tools.demo.story import Stories
from tools.demo.tally import Tally

ENDS = {
    "sold": "OrderConfirmed.v1",
    "left": "OrderCancelled.v1",
    "lost": "OrderRejected.v2",
    "back": "OrderConfirmed.v1",
}
ADDRESS = "c@example.com"
TOLD_OF = {"OrderPlaced", "OrderConfirmed", "OrderShipped", "OrderDelivered"}


def order(order_id: str, status: str, *before: str) -> OrderItem:
    history = dict.fromkeys(("placed", *before, status))
    return OrderItem(order_id, status, "EUR", 500, (OrderLine("MUG", 2, 250),), history)


def event(type_: str, order_id: str) -> BusEvent:
    data = {
        "order_id": order_id,
        "customer_id": f"customer of {order_id}",
        "amount_minor": 500,
        "currency": "EUR",
        "lines": [{"sku": "MUG", "quantity": 2, "unit_price_minor": 250}],
    }
    return BusEvent(f"{type_} of {order_id}", type_, order_id, data)


def right_books() -> Evidence:
    """One order was sold, one cancelled after its payment, one rejected, one given back."""
    events = [
        *(event("OrderPlaced.v1", order_id) for order_id in ENDS),
        *(event(end, order_id) for order_id, end in ENDS.items()),
        replace(event("OrderRejected.v1", "lost"), copy=True),
        event("OrderConfirmed.v1", "left"),
        event("ShipmentRecalled.v1", "left"),
        *(
            event(f"{name}.v1", order_id)
            for order_id in ("sold", "back")
            for name in ("ShipmentRequested", "OrderShipped", "OrderDelivered")
        ),
        event("ReturnRequested.v1", "back"),
        event("OrderReturned.v1", "back"),
        event("PaymentDeclined.v1", "lost"),
        *(
            event(type_, order_id)
            for order_id in ("sold", "left", "back")
            for type_ in ("PaymentAuthorized.v1", "StockReserved.v1")
        ),
        event("StockReleased.v1", "left"),
        event("StockReleased.v1", "back"),
        event("PaymentRefunded.v1", "back"),
        event("PaymentRefunded.v1", "left"),
    ]
    return Evidence(
        accepted=set(ENDS),
        cancelled={"left"},
        handed_in={"MUG": 10},
        files=1,
        rows=3,
        reports={"reports/a.csv/1.json": {"rows_taken": 1, "rows_wrong": 2}},
        wanted_back={"back"},
        decided={"back": True},
        preferences={
            "customer of sold": {Channel.EMAIL: ADDRESS},
            "customer of lost": {Channel.EMAIL: "lost@example.com"},
        },
        sent={
            Channel.EMAIL: Counter({ADDRESS: len(TOLD_OF), "lost@example.com": 2}),
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
        stock={"MUG": StockItem("STOCK#MUG", 10, 8, 2)},
        reservations={
            "sold": ReservationItem("RESERVATION#sold", "reserved", (Units("MUG", 2),)),
            "left": ReservationItem("RESERVATION#left", "released", (Units("MUG", 2),)),
            "back": ReservationItem("RESERVATION#back", "released", (Units("MUG", 2),)),
        },
        payments={
            "sold": Payment("PAYMENT#sold", "authorized", 500, "EUR"),
            "left": Payment("PAYMENT#left", "cancelled", 500, "EUR"),
            "lost": Payment("PAYMENT#lost", "declined", 500, "EUR"),
            "back": Payment("PAYMENT#back", "cancelled", 500, "EUR"),
        },
        provider={
            "sold": ProviderEntry("sold", "authorized", 500, "EUR", 1),
            "left": ProviderEntry("left", "cancelled", 500, "EUR", 1),
            "lost": ProviderEntry("lost", None, None, None, 1),
            "back": ProviderEntry("back", "cancelled", 500, "EUR", 1),
        },
        shipments={"sold": "delivered", "left": "recalled", "back": "delivered"},
        parcels={"sold": "requested", "left": "recalled", "back": "requested"},
        committed={each.id: each for each in events},
        published=events,
        waiting={"Checkout/RunCheckout/Queue": 0},
        dead_letters={"Checkout/RunCheckout/DeadLetters": []},
    )


def faults(evidence: Evidence) -> str:
    return "\n".join(fault for check in audit(evidence) for fault in check.faults)


def test_right_books_balance() -> None:
    assert faults(right_books()) == ""


def test_money_is_added_up_by_currency_with_what_was_given_back() -> None:
    evidence = right_books()
    evidence.provider["abroad"] = ProviderEntry("abroad", "authorized", 7, "GBP", 1)

    money = authorized(evidence)

    assert money.gross == {"EUR": 1500, "GBP": 7}
    assert money.refunded == {"EUR": 1000}


REFUND = {"order_id": "left", "amount_minor": 500, "currency": "EUR"}
WRONGS: dict[str, tuple[Callable[[Evidence], object], str]] = {
    "an order that the API accepted is gone": (
        lambda books: books.accepted.add("gone"),
        "order gone was accepted by the API but is not in Orders/Orders/Table",
    ),
    "an order that the API refused is there": (
        lambda books: books.accepted.discard("lost"),
        "order lost is in Orders/Orders/Table, but the API accepted no such order",
    ),
    "an order is pending": (
        lambda books: books.orders.update(sold=order("sold", "placed")),
        "order sold is still placed",
    ),
    "an order that was cancelled is confirmed": (
        lambda books: books.cancelled.add("sold"),
        "order sold is delivered, but was cancelled by the API",
    ),
    "an order that was cancelled is delivered, as if it had not been": (
        lambda books: books.orders.update(left=order("left", "delivered", "cancelled")),
        "order left is delivered, but was cancelled before",
    ),
    "a cancelled order was confirmed, but nobody was told": (
        lambda books: books.published.remove(event("OrderConfirmed.v1", "left")),
        "order left is cancelled, with 0 times OrderConfirmed.v1",
    ),
    "an order came back that nobody took back": (
        lambda books: books.orders.update(sold=order("sold", "returned", "confirmed")),
        "order sold is returned without its return",
    ),
    "an order was taken back, and does not say so": (
        lambda books: books.orders.update(back=order("back", "delivered", "confirmed")),
        "order back is delivered after its return",
    ),
    "an order was given back that was not delivered": (
        lambda books: books.committed.pop("OrderDelivered.v1 of back"),
        "order back is to come back, but was not delivered",
    ),
    "a cancelled order has a parcel of which nobody knows": (
        lambda books: books.committed.pop("ShipmentRecalled.v1 of left"),
        "the parcel of order left is recalled, with 0 ends",
    ),
    "stock is gone": (
        lambda books: books.stock.update(MUG=StockItem("STOCK#MUG", 10, 7, 3)),
        "MUG: 3 taken, 2 for customers",
    ),
    "stock is taken but not reserved": (
        lambda books: books.stock.update(MUG=StockItem("STOCK#MUG", 10, 8, 1)),
        "MUG: 1 reserved, 2 taken",
    ),
    "stock is negative": (
        lambda books: books.stock.update(MUG=StockItem("STOCK#MUG", 1, -1, 2)),
        "MUG: -1 available, 2 reserved",
    ),
    "a delivery counted twice": (
        lambda books: books.stock.update(MUG=StockItem("STOCK#MUG", 20, 18, 2)),
        "MUG: 20 received, 10 handed in",
    ),
    "an item is in no book": (
        lambda books: books.stock.clear(),
        "MUG: 10 handed in, 2 sold, but no stock",
    ),
    "a cancelled order holds stock": (
        lambda books: books.reservations.update(
            left=ReservationItem("RESERVATION#left", "reserved", ())
        ),
        "stock is held for order left, which does not stand",
    ),
    "a confirmed order holds no stock": (
        lambda books: books.reservations.pop("sold"),
        "order sold stands, but no stock is held for it",
    ),
    "a release stopped half-way": (
        lambda books: books.reservations.update(
            left=ReservationItem("RESERVATION#left", "releasing", ())
        ),
        "the reservation of order left is releasing",
    ),
    "a confirmed order is not paid": (
        lambda books: books.payments.pop("sold"),
        "order sold stands, but no money is held for it",
    ),
    "a rejected order is paid": (
        lambda books: books.payments.update(lost=Payment("PAYMENT#lost", "authorized", 5, "EUR")),
        "money is held for order lost, which does not stand",
    ),
    "too much is paid": (
        lambda books: books.payments.update(sold=Payment("PAYMENT#sold", "authorized", 501, "EUR")),
        "order sold costs 5.00 EUR, but 5.01 EUR are held",
    ),
    "another currency is paid": (
        lambda books: books.payments.update(sold=Payment("PAYMENT#sold", "authorized", 500, "USD")),
        "order sold costs 5.00 EUR, but 5.00 USD are held",
    ),
    "a payment hangs": (
        lambda books: books.payments.update(left=Payment("PAYMENT#left", "cancelling", 500, "EUR")),
        "the payment of order left is cancelling",
    ),
    "the provider holds money that the shop does not know of": (
        lambda books: books.provider.update(lost=ProviderEntry("lost", "authorized", 5, "EUR")),
        "order lost: the provider holds money, the shop does not",
    ),
    "the provider holds none of what the shop believes it does": (
        lambda books: books.provider.pop("sold"),
        "order sold: the shop holds money, the provider does not",
    ),
    "a refund was told twice": (
        lambda books: books.committed.update(
            again=BusEvent("again", "PaymentRefunded.v1", "left", REFUND)
        ),
        "refunds of 5.00 EUR, 5.00 EUR were told, but the provider gave back 5.00 EUR",
    ),
    "an event never reached the bus": (
        lambda books: books.published.pop(),
        "PaymentRefunded.v1 of left was committed, but is not on the bus",
    ),
    "an event reached the bus that nobody committed": (
        lambda books: books.published.append(event("OrderPlaced.v1", "ghost")),
        "OrderPlaced.v1 of ghost is on the bus, but in no outbox",
    ),
    "an order was confirmed twice": (
        lambda books: publish(books, twice("OrderConfirmed.v1", "sold")),
        "order sold is delivered, with 2 times OrderConfirmed.v1",
    ),
    "a confirmed order was told to be rejected, too": (
        lambda books: publish(books, event("OrderRejected.v2", "sold")),
        "order sold is delivered, with 1 times OrderRejected.v2",
    ),
    "a message is left in a queue": (
        lambda books: books.waiting.update({"Checkout/RunCheckout/Queue": 3}),
        "3 messages are left in Checkout/RunCheckout/Queue",
    ),
    "a file has no report": (
        lambda books: books.reports.clear(),
        "1 files were handed in, 0 reports came",
    ),
    "a row is in no report": (
        lambda books: books.reports.update(a={"rows_taken": 0, "rows_wrong": 0}),
        "1 files were handed in, 2 reports came",
    ),
    "a confirmed order has no shipment": (
        lambda books: [
            books.committed.pop(f"{name}.v1 of sold")
            for name in ("ShipmentRequested", "OrderShipped", "OrderDelivered")
        ],
        "the parcel of order sold is delivered, with 0 ends",
    ),
    "a parcel was delivered that nobody shipped": (
        lambda books: books.committed.pop("OrderShipped.v1 of sold"),
        "order sold was delivered, but never shipped",
    ),
    "a parcel was delivered and called back": (
        lambda books: publish(books, event("ShipmentRecalled.v1", "sold")),
        "the parcel of order sold is delivered, with 2 ends",
    ),
    "a parcel was missed twice": (
        lambda books: books.committed.update(
            once=event("ShipmentOverdue.v1", "sold"), again=twice("ShipmentOverdue.v1", "sold")
        ),
        "ShipmentOverdue of order sold was told 2 times",
    ),
    "a parcel was requested twice": (
        lambda books: publish(books, twice("ShipmentRequested.v1", "sold")),
        "ShipmentRequested of order sold was told 2 times",
    ),
    "the carrier knows of no parcel": (
        lambda books: books.parcels.pop("sold"),
        "order sold: the shop alone knows of a parcel under way",
    ),
    "the carrier did not stop a parcel": (
        lambda books: books.parcels.update(left="requested"),
        "order left: the carrier alone knows of a parcel under way",
    ),
    "a return was lost": (
        lambda books: books.committed.pop("ReturnRequested.v1 of back"),
        "order back: the customer and Returns/Returns/Table differ about its return",
    ),
    "a return was approved and nothing followed": (
        lambda books: books.committed.pop("OrderReturned.v1 of back"),
        "the return of order back was decided, but came to (0, 0)",
    ),
    "a return was refused and carried out": (
        lambda books: books.decided.update(back=False),
        "the return of order back was decided, but came to (1, 0)",
    ),
    "nobody decided about a return": (
        lambda books: books.decided.clear(),
        "nobody decided about the return of order back",
    ),
    "a message was not sent": (
        lambda books: books.sent[Channel.EMAIL].subtract({ADDRESS: 1}),
        f"{ADDRESS}: 3 messages were sent, 4 are owed",
    ),
    "a message was sent twice": (
        lambda books: books.sent[Channel.EMAIL].update({ADDRESS: 1}),
        f"{ADDRESS}: 5 messages were sent, 4 are owed",
    ),
    "a message went to somebody who wants none": (
        lambda books: books.sent[Channel.SMS].update({"+491": 1}),
        "+491: 1 messages were sent, 0 are owed",
    ),
    "a sale was counted twice": (
        lambda books: books.sold_units.update({"MUG": 2}),
        "MUG: 8 units in the sales, 6 in confirmed orders",
    ),
    "revenue is missing": (
        lambda books: books.sold_for.subtract({("MUG", "EUR"): 500}),
        "MUG: 10.00 EUR in the sales, 15.00 EUR in confirmed orders",
    ),
    "a view was not counted": (
        lambda books: books.counted_activity.clear(),
        "MUG: viewed 3 times, but counted 0 times",
    ),
    "an item cannot be read": (
        lambda books: books.unreadable.append("Orders/Orders/Table, ORDER#x: no status"),
        "ORDER#x: no status",
    ),
}


def late_books() -> Evidence:
    """Two more orders were cancelled when they had been delivered; one of them came back."""
    books = right_books()
    for order_id, status in (("kept", "cancelled"), ("late", "returned")):
        back = status == "returned"
        books.accepted.add(order_id)
        books.cancelled.add(order_id)
        books.orders[order_id] = order(order_id, status, "confirmed", "cancelled")
        books.shipments[order_id] = books.parcels[order_id] = "delivered"
        books.payments[order_id] = Payment(f"PAYMENT#{order_id}", "cancelled", 500, "EUR")
        books.provider[order_id] = ProviderEntry(order_id, "cancelled", 500, "EUR", 1)
        books.reservations[order_id] = ReservationItem(
            f"RESERVATION#{order_id}", "released" if back else "reserved", (Units("MUG", 2),)
        )
        happened = ["OrderPlaced", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]
        happened += ["ShipmentRequested", "OrderShipped", "OrderDelivered"]
        happened += ["OrderCancelled", "PaymentRefunded"]
        happened += ["ReturnRequested", "OrderReturned", "StockReleased"] if back else []
        for name in happened:
            publish(books, event(f"{name}.v1", order_id))
    books.stock["MUG"] = StockItem("STOCK#MUG", 10, 6, 4)
    books.wanted_back.add("late")
    books.decided["late"] = True
    books.sold_units["MUG"] += 4
    books.sold_for["MUG", "EUR"] += 1000
    return books


LATE_WRONGS: dict[str, tuple[Callable[[Evidence], object], str]] = {
    "an order that was cancelled too late and came back is not told so": (
        lambda books: books.orders.update(late=order("late", "cancelled", "confirmed")),
        "order late is cancelled after its return",
    ),
    "units that a customer has are for sale": (
        lambda books: books.reservations.update(
            kept=ReservationItem("RESERVATION#kept", "released", (Units("MUG", 2),))
        ),
        "order kept was delivered, but its units are for sale again",
    ),
    "units are counted that a customer has": (
        lambda books: books.stock.update(MUG=StockItem("STOCK#MUG", 10, 8, 2)),
        "MUG: 2 taken, 4 for customers",
    ),
    "a cancelled order is charged": (
        lambda books: books.payments.update(kept=Payment("PAYMENT#kept", "authorized", 5, "EUR")),
        "money is held for order kept, which does not stand",
    ),
    "what came back is refunded a second time": (
        lambda books: publish(books, twice("PaymentRefunded.v1", "late")),
        "order late: refunds of 5.00 EUR, 5.00 EUR were told",
    ),
    "what came back is put back a second time": (
        lambda books: publish(books, twice("StockReleased.v1", "late")),
        "StockReleased.v1 of order late was told 2 times, 1 are due",
    ),
    "an order that the API cancelled came back as if it had not been": (
        lambda books: books.orders.update(late=order("late", "returned", "confirmed")),
        "order late is returned, but was cancelled by the API",
    ),
    "nobody was told of the cancellation": (
        lambda books: books.published.remove(event("OrderCancelled.v1", "late")),
        "order late is returned, with 0 times OrderCancelled.v1",
    ),
}


def twice(type_: str, order_id: str) -> BusEvent:
    """The same again, as an event of its own."""
    return replace(event(type_, order_id), id="another id")


def publish(books: Evidence, told: BusEvent) -> None:
    books.published.append(told)
    books.committed[told.id] = told


@pytest.mark.parametrize("wrong", WRONGS)
def test_books_that_are_wrong_are_found_out(wrong: str) -> None:
    cook, said = WRONGS[wrong]
    evidence = deepcopy(right_books())

    cook(evidence)

    assert said in faults(evidence)


def test_books_with_orders_that_were_cancelled_too_late_balance() -> None:
    assert faults(late_books()) == ""


@pytest.mark.parametrize("wrong", LATE_WRONGS)
def test_what_is_wrong_about_an_order_that_was_cancelled_too_late_is_found_out(wrong: str) -> None:
    cook, said = LATE_WRONGS[wrong]
    evidence = late_books()

    cook(evidence)

    assert said in faults(evidence)


def test_parcel_may_arrive_that_was_missed_before() -> None:
    evidence = right_books()
    publish(evidence, event("ShipmentOverdue.v1", "sold"))

    (parcels,) = (each for each in audit(evidence) if each.what == "Parcels")
    assert parcels.holds
    assert parcels.right["overdue"] == 0


def test_event_that_was_delivered_to_the_bus_twice_is_one_event() -> None:
    evidence = right_books()
    evidence.published.append(evidence.published[0])

    assert faults(evidence) == ""


def test_dead_letters_alone_do_not_unbalance_the_books() -> None:
    evidence = right_books()
    evidence.dead_letters["Checkout/RunCheckout/DeadLetters"] = [{"body": "{}", "attributes": {}}]

    assert faults(evidence) == ""


ALL_BOOKS: dict[str, tuple[Callable[[], Evidence], Callable[[Evidence], object]]] = {
    "right": (right_books, lambda books: None),
    "late": (late_books, lambda books: None),
    **{wrong: (right_books, cook) for wrong, (cook, _) in WRONGS.items()},
    **{wrong: (late_books, cook) for wrong, (cook, _) in LATE_WRONGS.items()},
}


@pytest.mark.parametrize("books", ALL_BOOKS)
def test_printed_figures_of_each_line_add_up_unless_a_fault_is_printed(books: str) -> None:
    make, cook = ALL_BOOKS[books]
    evidence = make()
    cook(evidence)
    checks = audit(evidence)

    assert_each_line_adds_up(printed(Run(evidence, checks, Journal(), Tally(), Stories({}), 1, [])))


def test_messages_that_may_come_twice_add_up_when_they_do() -> None:
    evidence = right_books()
    evidence.sent[Channel.EMAIL][ADDRESS] += 2
    evidence.may_repeat = frozenset({Channel.EMAIL})
    (mails,) = (each for each in audit(evidence) if each.what == "Messages by email")

    assert mails.holds
    assert mails.right == {"owed": 6, "sent again": 2}


def test_order_without_an_answer_that_was_taken_adds_up() -> None:
    evidence = right_books()
    evidence.accepted.remove("sold")
    evidence.unanswered.add("sold")
    (accepted,) = (each for each in audit(evidence) if each.what == "Orders accepted")

    assert accepted.holds
    assert accepted.left == {"by the API": 3, "without an answer": 1}


def test_different_sums_are_a_fault_even_if_no_item_is_wrong() -> None:
    money = Counter({"EUR": 7_815_950, "GBP": 53_775})

    differs = check("Money held", {"": money}, {"due": money, "given back": Counter(EUR=-1)}, ())

    assert differs.faults == (
        "78,159.50 EUR + 537.75 GBP against 78,159.50 EUR + 537.75 GBP due - 0.01 EUR given back, "
        "and no item explains the difference",
    )
