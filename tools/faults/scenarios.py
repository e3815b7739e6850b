"""Scenarios: the shortest sequences of actions that lead through every part of the shop.

A scenario does what is possible at the moment, and can run again later: its requests are the same
each time. So it continues after a fault where it had to stop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from lambdas.notifications.events import Channel
from lambdas.orders.domain import order_id_for
from tools.demo import schedules
from tools.demo.orders_file import ADDRESS
from tools.demo.staff import require
from tools.demo.supplier import SUPPLIER
from tools.faults.shop import PRICE, RehearsedShop

CUSTOMER = "customer-1"
CHECKOUT = "Checkout/RunCheckout/Function"
MUG, CUP = "MUG", "CUP"
SUPPLIED = {MUG: 100, CUP: 100}

_PAST_DEADLINE = timedelta(days=1)
"""Longer than a reminder can be late, but too short for the order to be cancelled."""

_AUTHORIZED_DAYS = 7
"""As long as the provider holds an amount."""

_SWEPT_MINUTES = 95
"""Longer than an order may wait for its checkout, plus the time between two sweeps."""


def open_for_business(shop: RehearsedShop) -> None:
    """Supplies stock and prices, and sets the channels of the customer."""
    shop.receive(SUPPLIED, delivery="opening")
    shop.prefer(*Channel, customer=CUSTOMER)
    shop.settle()


def bought(shop: RehearsedShop) -> None:
    """One order is delivered, one is declined, and for one the bank asks to authenticate.

    The staff reads the sales.
    """
    shop.browse(MUG, visit=shop.key("visit"))
    order_id = shop.place({MUG: 2, CUP: 1}, key=shop.key("bought"))
    shop.place({CUP: 1}, key=shop.key("declined"), token="tok_decline")
    shop.place({CUP: 1}, key=shop.key("authenticates"), token="pm_card_authenticationRequired")
    shop.settle()
    shop.deliver(order_id)
    shop.settle()
    shop.sales()


def cancelled(shop: RehearsedShop) -> None:
    """A customer cancels a confirmed order: stock, money and parcel come back."""
    order_id = shop.place({MUG: 1}, key=shop.key("cancelled"))
    shop.settle()
    shop.cancel(order_id)
    shop.settle()


def given_back(shop: RehearsedShop) -> None:
    """Two orders are delivered and returned: one return is approved and one is refused."""
    for key, approved in (("approved", True), ("refused", False)):
        order_id = shop.place({MUG: 1}, key=shop.key(key))
        shop.settle()
        shop.deliver(order_id)
        shop.settle()
        _give_back(shop, order_id, approved=approved)


def _give_back(shop: RehearsedShop, order_id: str, *, approved: bool) -> None:
    if shop.give_back(order_id).status == 202:
        shop.settle()
        if shop.returned(order_id) == "awaiting":
            shop.decide(order_id, approved=approved)
    shop.settle()


def erased(shop: RehearsedShop) -> None:
    """A customer's order is delivered, and then all their personal data are erased.

    A first request comes too early: the order is open.
    """
    customer = shop.key("leaver")
    values = {"name": f"Name of {customer}", "street": f"Street of {customer}"}
    if not shop.known.erasure_requests.get(customer):
        shop.prefer(*Channel, customer=customer)
        address = {**ADDRESS, **values}
        key = shop.key("erased")
        order_id = shop.place({MUG: 1}, key=key, customer=customer, address=address)
        shop.settle()
        shop.erase(customer)
        shop.settle()
        shop.deliver(order_id)
        shop.settle()
        addresses = shop.known.preferences[customer].values()
        require(shop.erase(customer, *values.values(), *addresses), 202)
    shop.settle()


def overdue(shop: RehearsedShop) -> None:
    """A parcel is lost: the customer is notified at its deadline."""
    order_id = shop.place({MUG: 1}, key=shop.key("overdue"))
    shop.settle()
    for request in shop.on_bus("ShipmentRequested.v1", subject=order_id):
        shop.pass_until(datetime.fromisoformat(request.data["due_at"]) + _PAST_DEADLINE)
    shop.settle()


def expired(shop: RehearsedShop) -> None:
    """Checkout is down so long that a sweep closes the waiting order."""
    if order_id_for(CUSTOMER, shop.key("expired")) not in shop.known.accepted:
        shop.pause(CHECKOUT)
        shop.place({MUG: 1}, key=shop.key("expired"))
        shop.pass_time(minutes=_SWEPT_MINUTES)
        shop.resume(CHECKOUT)
    shop.settle()
    shop.deliver(order_id_for(CUSTOMER, shop.key("expired")))
    shop.settle()


def supplied(shop: RehearsedShop) -> None:
    """A supplier hands in a new item, staff see it and set its price, and a customer orders it."""
    jug = shop.key("JUG")
    if jug not in shop.known.supplied:
        shop.supply({jug: 5}, delivery=jug)
    shop.settle()
    if jug in shop.in_stock():
        shop.price([jug])
    shop.settle()
    if jug in shop.prices():
        order_id = shop.place({jug: 1}, key=shop.key("supplied"))
        shop.settle()
        shop.deliver(order_id)
    shop.settle()


def unshipped(shop: RehearsedShop) -> None:
    """A parcel does not leave: the order is cancelled before its authorization ends."""
    order_id = shop.place({MUG: 1}, key=shop.key("unshipped"))
    shop.settle()
    if order_id not in {event.subject for event in shop.on_bus("AuthorizationExpiring.v1")}:
        shop.pass_time(days=_AUTHORIZED_DAYS)
    shop.settle()


def disputed(shop: RehearsedShop) -> None:
    """A customer wins a dispute, staff refund a part of a payment, and a return's refund fails."""
    names = ("disputed", "part-refunded", "refund-fails")
    orders = [shop.place({MUG: 1}, key=shop.key(name)) for name in names]
    shop.settle()
    for order_id in orders:
        shop.deliver(order_id)
    shop.settle()
    stripe = shop.stripe
    if stripe and all(map(stripe.has_captured, orders)) and not stripe.disputes_of(orders[0]):
        stripe.dispute(orders[0])
        shop.settle()
        stripe.close_dispute(orders[0], won=False)
        stripe.refund(orders[1], PRICE // 2)
    _give_back(shop, orders[2], approved=True)
    if stripe:
        stripe.fail_refunds(orders[2])
    shop.settle()


def repriced(shop: RehearsedShop) -> None:
    """An item gets dearer: its price follows within bounds, and waits for approval beyond them."""
    pot = shop.key("POT")
    bounds = {"markup_percent": 50, "min_minor": 500, "max_minor": 1_000}
    require(shop.staff.ask("PUT", "/items/supplier", {"sku": pot, "supplier": SUPPLIER}), 200)
    if not shop.is_priced(pot):
        shop.price([pot], 900, bounds=bounds)
    for value in (1_000, 1_100, 1_200):  # Costs are 60 % of this.
        if (delivery := f"{pot}-{value}") not in shop.delivered:
            shop.supply({pot: 1}, delivery=delivery, price=value)
        shop.settle()
    shop.approve(pot)
    shop.settle()


def watched(shop: RehearsedShop) -> None:
    """A canary order is placed, and rejected."""
    schedules.enable(shop.rehearsal, schedules.CANARY)
    shop.pass_time(minutes=1)
    schedules.disable(shop.rehearsal, schedules.CANARY)
    shop.settle()


@dataclass(frozen=True)
class FaultScenario:
    """A scenario, and the parts of the shop that decide how it ends."""

    run: Callable[[RehearsedShop], None]
    about: tuple[str, ...]
    """Prefixes of the paths of those parts."""

    @property
    def name(self) -> str:
        """The name of the scenario."""
        return self.run.__name__


_ALL = (
    FaultScenario(
        supplied, ("Inventory/SupplierFiles", "Inventory/ImportStockFile", "Orders/KeepPrice")
    ),
    FaultScenario(repriced, ("Inventory/RepriceItem", "Inventory/DecidePrice")),
    FaultScenario(watched, ("Orders/PlaceCanary",)),
    FaultScenario(cancelled, ("Inventory/ReleaseClosedOrder", "Payments/RefundClosedOrder")),
    FaultScenario(
        bought,
        (
            *("Checkout/", "Orders/FollowShipment", "Shipping/RequestShipment"),
            "Inventory/IssueStock",
        ),
    ),
    FaultScenario(given_back, ("Orders/FollowReturn", "Returns/")),
    FaultScenario(erased, ("Privacy/", "Orders/CheckOrders", "Orders/EraseOrders")),
    FaultScenario(expired, ("Orders/SweepOrders",)),
    FaultScenario(disputed, ("Payments/CapturePayment", "Payments/TakeProviderEvent")),
    FaultScenario(unshipped, ("Orders/CancelUnpaidOrder", "Payments/SweepPayments")),
    FaultScenario(overdue, ("Shipping/Reminders", "Shipping/WatchDeadline")),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
"""All scenarios by name: the cheapest ones first, those with long waits last."""
