"""A small scenario that involves every context, and its results in each of them."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lambdas.notifications.events import Channel
from tests.flows.shop import FOREVER, Broken, Shop
from tools.demo.evidence import ORDERS, RETURNS, SHIPMENTS, Evidence

COUNTERS = ("received", "available", "reserved", "issued", "returned")
"""The units of an item."""

Results = Mapping[str, Counter[str]]
"""Counts by result and kind."""


@dataclass
class Scenario:
    """Orders of one customer: one is kept, one declined, one cancelled and one returned.

    All requests are idempotent. So a second `visit`, after a fault is fixed, continues where the
    first visit stopped. `wait` runs pending work.
    """

    shop: Shop
    name: str
    wait: Callable[[], None]
    orders: dict[str, str] = field(default_factory=dict)
    """Ids of the accepted orders."""

    @property
    def customer(self) -> str:
        """The id of the customer."""
        return f"customer-{self.name}"

    def open(self) -> None:
        """Restocks the items; the customer enables all notifications and views items."""
        self.shop.supply({self.name: 10}, delivery=self.name)
        self.shop.prefer(*Channel, customer=self.customer)
        self.shop.browse(self.name, visit=self.name, customer=self.customer)
        self.wait()

    def visit(self) -> None:
        """Puts the items on sale, and sends the customer's requests.

        A request that fails is made again by the next visit.
        """
        shop, customer = self.shop, self.customer
        if self.name in shop.stock():  # Staff put on sale what came in.
            shop.price([self.name])
            self.wait()
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
        """Orders one unit."""
        key = f"{self.name}-{what}"
        answer = self.shop.order({self.name: 1}, key=key, token=token, customer=self.customer)
        if answer.status == 202:
            self.orders[what] = answer.json()["order_id"]

    def status(self, what: str) -> str | None:
        """The status of an order, None if the shop did not accept it."""
        if what not in self.orders:
            return None
        return self.shop.status(self.orders[what], customer=self.customer)


def lose_a_parcel(scenario: Scenario) -> None:
    """Adds an order whose parcel is never delivered, and waits until it is overdue."""
    scenario.order("lost")
    scenario.wait()
    scenario.shop.pass_days(5.5)


def let_an_authorization_end(scenario: Scenario) -> None:
    """Adds an order whose parcel does not leave, and waits until its authorization ends."""
    scenario.order("late")
    scenario.wait()
    scenario.shop.pass_days(7)


def erase_a_customer(scenario: Scenario) -> None:
    """Has the data of another customer, without orders, erased."""
    customer = f"{scenario.customer}-leaver"
    scenario.shop.prefer(Channel.EMAIL, customer=customer)
    scenario.shop.erase(customer, f"{customer}@example.com")
    scenario.wait()


def break_a_checkout(scenario: Scenario) -> None:
    """Adds an order whose checkout never completes, and waits until it has expired."""
    scenario.shop.rehearsal.faults.fail(
        "Inventory/ReserveStock", times=FOREVER, error=Broken("down")
    )
    scenario.order("stuck")
    scenario.shop.pass_time(hours=2)


def results(shop: Shop, evidence: Evidence | None = None) -> Results:
    """The results of the application so far, context by context."""
    evidence = evidence or shop.evidence()
    orders = shop.items(ORDERS)
    shipments = shop.items(SHIPMENTS, "shipment")
    stock = Counter[str]()
    for item in evidence.stock.values():
        stock.update({name: getattr(item, name) for name in COUNTERS})
    return {
        "files": Counter(report["result"] for report in evidence.reports.values()),
        "stock": stock,
        "prices": Counter(item["kind"] for item in orders if item["kind"] == "price"),
        "orders": Counter(order.status for order in evidence.orders.values()),
        "history": Counter(what for item in orders for what in item.get("history", ())),
        "money": Counter(str(payment.state) for payment in evidence.payments.values()),
        "parcels": Counter(item["state"] for item in shipments),
        "overdue": Counter("overdue" for item in shipments if item["overdue"]),
        "erasures": Counter(evidence.erasures.values()),
        "returns": Counter(item["state"] for item in shop.items(RETURNS, "return")),
        **{channel.value: Counter(all=n.total()) for channel, n in evidence.sent.items()},
        "sales": Counter(units=evidence.sold_units.total()),
        "activity": Counter(acts=evidence.counted_activity.total()),
        "events": Counter({event.id: event.type for event in evidence.published}.values()),
    }
