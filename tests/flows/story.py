"""A small story that touches every context, and what each of them makes of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lambdas.notifications.events import Channel
from tests.flows.shop import FOREVER, Broken, Shop
from tools.demo.evidence import ORDERS, RETURNS, SHIPMENTS, Evidence

Results = Mapping[str, Counter[str]]
"""What there is, by the name of a result and then by kind."""


@dataclass
class Story:
    """One customer's orders: one is kept, one declined, one cancelled and one given back.

    All requests can be repeated. So `visit` again, after something was mended, carries on from
    wherever the first visit did not get any further. `wait` lets happen what is under way.
    """

    shop: Shop
    name: str
    wait: Callable[[], None]
    orders: dict[str, str] = field(default_factory=dict)
    """Ids of the orders that the shop took."""

    @property
    def customer(self) -> str:
        """Whose story it is."""
        return f"customer-{self.name}"

    def open(self) -> None:
        """The items come in; the customer wants to hear of everything, and looks around."""
        self.shop.supply({self.name: 10}, delivery=self.name)
        self.shop.prefer(*Channel, customer=self.customer)
        self.shop.browse(self.name, visit=self.name, customer=self.customer)
        self.wait()

    def visit(self) -> None:
        """Whoever does not get what they want now comes back later."""
        shop, customer = self.shop, self.customer
        for what in ("kept", "cancelled", "given back"):
            self.order(what)
        self.order("declined", token="tok_decline")
        self.wait()
        if self.status("cancelled") == "confirmed":
            shop.cancel(self.orders["cancelled"], customer=customer)
        self.wait()
        for what in ("kept", "given back"):
            shop.deliver(self.orders.get(what, ""))
        self.wait()
        given_back = self.orders.get("given back", "none")
        shop.give_back(given_back, customer=customer)
        self.wait()
        shop.decide(given_back, approved=True)
        self.wait()

    def order(self, what: str, token: str = "tok_approve") -> None:
        """Asks for one unit."""
        key = f"{self.name}-{what}"
        answer = self.shop.order({self.name: 1}, key=key, token=token, customer=self.customer)
        if answer.status == 202:
            self.orders[what] = answer.json()["order_id"]

    def status(self, what: str) -> str | None:
        """The status of an order, None if the shop did not take it."""
        if what not in self.orders:
            return None
        return self.shop.status(self.orders[what], customer=self.customer)


def lose_a_parcel(story: Story) -> None:
    """A parcel that the carrier never delivers is missed after days."""
    story.order("lost")
    story.wait()
    story.shop.pass_days(5.5)


def break_a_checkout(story: Story) -> None:
    """An order whose checkout does not come to an end expires after an hour."""
    story.shop.rehearsal.faults.fail("Inventory/ReserveStock", times=FOREVER, error=Broken("down"))
    story.order("stuck")
    story.shop.pass_time(hours=2)


def results(shop: Shop, evidence: Evidence | None = None) -> Results:
    """What the application has brought about so far, context by context."""
    evidence = evidence or shop.evidence()
    orders = shop.items(ORDERS)
    shipments = shop.items(SHIPMENTS, "shipment")
    stock = Counter[str]()
    for item in evidence.stock.values():
        stock.update(received=item.received, available=item.available, reserved=item.reserved)
    return {
        "files": Counter(report["result"] for report in evidence.reports.values()),
        "stock": stock,
        "prices": Counter(item["kind"] for item in orders if item["kind"] == "price"),
        "orders": Counter(order.status for order in evidence.orders.values()),
        "history": Counter(what for item in orders for what in item.get("history", ())),
        "money": Counter(str(payment.state) for payment in evidence.payments.values()),
        "parcels": Counter(item["state"] for item in shipments),
        "overdue": Counter("overdue" for item in shipments if item["overdue"]),
        "returns": Counter(item["state"] for item in shop.items(RETURNS, "return")),
        **{channel.value: Counter(all=n.total()) for channel, n in evidence.sent.items()},
        "sales": Counter(units=evidence.sold_units.total()),
        "activity": Counter(acts=evidence.counted_activity.total()),
        "events": Counter({event.id: event.type for event in evidence.published}.values()),
    }
