"""What the viewer of the live page can do: act as anybody outside the shop, through the real API.

Everything is written into the books, so that an audit balances afterwards, too.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from typing import Any

from cdk_rehearsal import HttpResponse
from cdk_rehearsal.console import Action, Field
from lambdas.orders.events import Line
from tools.demo.books import Books
from tools.demo.carrier import callback, carrier_secret, send_callback
from tools.demo.customers import Customers, shop_id_of
from tools.demo.easypost_host import STATUSES
from tools.demo.orders_file import CustomerOrder
from tools.demo.staff import decision_body
from tools.demo.stripe_host import StripeHost, send_event
from tools.demo.supplier import SupplierFile, hand_in, reports
from tools.demo.visits import Visit, place

_RECENT = 12
_REPORT_S = 30
_PATIENCE_S = 30.0
_PAYMENTS = ("tok_approve", "tok_decline", "tok_timeout", "tok_flaky_2")
_ONCE, _TWICE, _FORGED = _WAYS = ("once", "twice", "with a forged signature")
_DISPUTED, _WON, _LOST, _BACK = _EVENTS = (
    "the customer disputes it",
    "the bank decides for the shop",
    "the bank decides for the customer",
    "its refunds come back",
)
_FILE = "sku,quantity,unit_cost_minor,currency\n{sku},100,950,EUR\n{sku}-NEW,ten,950,EUR\n"

Outcome = dict[str, Any]


@dataclass
class Viewer:
    """The viewer as a customer, clerk, supplier, carrier and payment provider."""

    books: Books
    customers: Customers
    visits: list[Visit]
    names: dict[str, str]
    """The customers' ids of orders by the shop's."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _own: set[str] = field(default_factory=set)

    def actions(self) -> list[Action]:
        """Returns all that the viewer can do."""
        order = Field("order", "Order", options=self._orders)
        item = Field("sku", "Item", next(iter(self._items()), ""), self._items)
        how = Field("how", "Send it", _ONCE, lambda: _WAYS, "choice")
        return [
            Action(
                "Order",
                "POST /orders",
                self._place,
                [
                    Field("customer", "Customer", "you"),
                    item,
                    Field("quantity", "Quantity", "1", kind="number"),
                    Field("payment", "Payment", _PAYMENTS[0], lambda: _PAYMENTS),
                    _by_hand("carrier", "Who carries the parcel", "the carrier"),
                ],
                "Customer",
            ),
            Action("Cancel", "DELETE /orders/{order_id}", self._cancel, [order], "Customer"),
            Action(
                "Return",
                "POST /orders/{order_id}/returns",
                self._give_back,
                [order, _by_hand("clerk", "Who decides", "the clerk")],
                "Customer",
            ),
            Action(
                "Decide about a return",
                "POST /returns/{order_id}/review, then …/decision",
                self._decide,
                [order, Field("decision", "Decision", "approve", _decisions, "choice")],
                "Staff",
            ),
            Action(
                "Upload a file",
                "Each row is imported or refused, and a report says why",
                self._upload,
                [Field("content", "CSV", _FILE.format(sku=item.value), kind="lines")],
                "Supplier",
            ),
            Action(
                "Report about a parcel",
                "A signed callback",
                self._report_parcel,
                [order, Field("report", "Report", "picked_up", lambda: STATUSES, "choice"), how],
                "Carrier",
            ),
            *(
                Action(
                    "Report about a payment",
                    "A signed event about money that was held",
                    partial(self._report_payment, stripe),
                    [order, Field("event", "Event", _DISPUTED, lambda: _EVENTS, "choice"), how],
                    "Payment provider",
                )
                for stripe in [self.books.stripe]
                if stripe
            ),
        ]

    def _orders(self) -> list[str]:
        """Returns the latest orders, the viewer's own first."""
        recent = [*islice(reversed(self.names), _RECENT)]
        own = (order_id for order_id, name in self.names.items() if name in self._own)
        return [*dict.fromkeys([*reversed([*own]), *recent])]

    def _items(self) -> list[str]:
        return sorted(self.books.right)

    # -- customer -------------------------------------------------------------------------

    def _place(self, customer: str, sku: str, quantity: int, payment: str, carrier: str) -> Outcome:
        price = self._price_of(sku)
        order = CustomerOrder(
            order_id=f"yours-{next(self._numbers)}",
            customer_id=customer,
            currency=price[1],
            payment_token=payment,
            lines=(Line(sku=sku, quantity=quantity, unit_price_minor=price[0]),),
        )
        self._own.add(order.order_id)
        order_id = shop_id_of(order)
        if carrier == "you":
            self.books.carrier.by_hand.add(order_id)
        self.visits.append(Visit(order, place))
        self.names[order_id] = order.order_id
        accepted = self._run(self.customers.place, order)
        outcome = self._answered("The order", order_id)
        return outcome if accepted else {**outcome, "trace": None}

    def _price_of(self, sku: str) -> tuple[int, str]:
        """Returns the price at which customers order an item."""
        for visit in self.visits:
            for line in visit.order.lines:
                if line.sku == sku:
                    return line.unit_price_minor, visit.order.currency
        return 100, "EUR"

    def _cancel(self, order: str) -> Outcome:
        known = self._order(order)
        if known is None:
            return _unknown(order)
        self._run(self.customers.cancel, known)
        return self._answered("The cancellation", shop_id_of(known))

    def _give_back(self, order: str, clerk: str) -> Outcome:
        known = self._order(order)
        if known is None:
            return _unknown(order)
        if clerk == "you":
            self.books.staff.by_hand.add(shop_id_of(known))
        self._run(self.customers.give_back, known)
        return self._answered("The return", shop_id_of(known))

    def _order(self, text: str) -> CustomerOrder | None:
        """Returns an order by the shop's id or the customer's."""
        wanted = self.names.get(text.strip(), text.strip())
        orders = (visit.order for visit in reversed(self.visits))
        return next((each for each in orders if each.order_id == wanted), None)

    def _answered(self, what: str, order_id: str) -> Outcome:
        answers = self.books.journal.answers
        answer = next(each for each in reversed(answers) if each.order_id == order_id)
        return _outcome(what, answer.status, answer.body, order_id)

    # -- staff and supplier ---------------------------------------------------------------

    def _decide(self, order: str, decision: str) -> Outcome:
        staff, approved = self.books.staff, decision == "approve"
        order_id = self._id(order)
        answer = self._run(staff.ask, "POST", f"/returns/{order_id}/review")
        if answer.status >= 400:
            return _outcome("The review", answer.status, answer.body, order_id)
        body = decision_body(approved=approved)
        answer = self._run(staff.ask, "POST", f"/returns/{order_id}/decision", body)
        if answer.status < 400:
            staff.decided[order_id] = approved
        return _outcome("The decision", answer.status, answer.body, order_id)

    def _upload(self, content: str) -> Outcome:
        file = SupplierFile(f"yours-{next(self._numbers)}.csv", content.encode())
        self._run(hand_in, self.books.shop, [file])
        self.books.take(file)
        for _ in range(_REPORT_S):
            self.books.shop.run_for(1.0)
            for key, report in reports(self.books.shop).items():
                if f"/{file.name}/" in key:
                    said = {name: value for name, value in report.items() if value}
                    text = f"The report on {file.name}: {report['result']}"
                    good = report["result"] != "refused"
                    return {"good": good, "text": text, "answer": json.dumps(said)}
        return {"good": False, "text": f"{file.name} is there, but has no report yet"}

    # -- carrier and payment provider -------------------------------------------------------

    def _report_parcel(self, order: str, report: str, how: str) -> Outcome:
        carrier, order_id = self.books.carrier, self._id(order)
        tracking_id = carrier.requested.get(order_id)
        if tracking_id is None:
            return {"good": False, "text": f"The shop has not asked for a parcel of {order}"}
        if how != _FORGED and not carrier.ledger.move(order_id, report):
            return {"good": False, "text": f"The parcel of {order} was recalled"}
        parcel = carrier.ledger.parcel_id(order_id)
        body = callback(parcel, tracking_id, report, f"{tracking_id}-{report}")
        secret = "a guess" if how == _FORGED else carrier_secret(self.books.shop)
        return self._sent(order_id, how, lambda: send_callback(self.books.shop, body, secret))

    def _report_payment(self, stripe: StripeHost, order: str, event: str, how: str) -> Outcome:
        shop, order_id = self.books.shop, self._id(order)
        if how == _FORGED:
            forged = _forged(order_id)
            return self._sent(order_id, how, lambda: send_event(shop, forged, secret="a guess"))
        before = len(stripe.events)
        try:
            _happen(stripe, order_id, event)
        except LookupError as error:
            return {"good": False, "text": str(error)}
        if len(stripe.events) == before:
            return {"good": False, "text": f"There is nothing to report: {event}"}
        sent = stripe.events[-1]

        def send() -> HttpResponse:
            """The host has sent it already: only what comes on top is sent here."""
            if sent["id"] not in stripe.answers:
                shop.scheduler.sleep(_PATIENCE_S)
                return stripe.answers[sent["id"]]
            return send_event(shop, sent)

        return self._sent(order_id, how, send)

    def _sent(self, order_id: str, how: str, send: Callable[[], HttpResponse]) -> Outcome:
        """Sends a callback. The shop must refuse a forged one, and take the others."""
        answers = [self._run(send) for _ in range(2 if how == _TWICE else 1)]
        statuses = " and ".join(str(each.status) for each in answers)
        good = all(each.status < 400 for each in answers)
        if how == _FORGED:
            good = answers[0].status == 401
            self.books.journal.record_access(
                f"forged callback about order {order_id}", refused=good
            )
        return {
            "good": good,
            "text": f"The callback, sent {how}: the API answers {statuses}",
            "answer": answers[-1].body,
            "trace": order_id,
        }

    def _id(self, text: str) -> str:
        order = self._order(text)
        return shop_id_of(order) if order else text.strip()

    def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return self.books.shop.spawn(work, *arguments, name="viewer").result()


def _by_hand(name: str, label: str, usually: str) -> Field:
    return Field(name, label, usually, lambda: (usually, "you"), "choice")


def _decisions() -> tuple[str, ...]:
    return ("approve", "refuse")


def _happen(stripe: StripeHost, order_id: str, event: str) -> None:
    """Lets something happen to a payment, once. Raises LookupError if there is none."""
    disputes = {*stripe.disputes_of(order_id).values()}
    if event == _BACK:
        stripe.fail_refunds(order_id)
    elif event == _DISPUTED and not disputes:
        stripe.dispute(order_id)
    elif event in (_WON, _LOST) and "needs_response" in disputes:
        stripe.close_dispute(order_id, won=event == _WON)


def _unknown(order: str) -> Outcome:
    return {"good": False, "text": f"No customer has placed the order {order!r}"}


def _forged(order_id: str) -> dict[str, Any]:
    subject = {"metadata": {"order_id": order_id}, "status": "succeeded"}
    return {
        "id": "evt_forged",
        "object": "event",
        "type": "charge.refunded",
        "data": {"object": subject},
    }


def _outcome(what: str, status: int, body: str, order_id: str) -> Outcome:
    return {
        "good": status < 400,
        "text": f"{what}: the API answers {status}",
        "answer": body,
        "trace": order_id,
    }
