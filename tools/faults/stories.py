"""Stories: what customers, carriers and staff do, each as short as its way through the shop allows.

A story does what is possible at the moment, and may be told again when more is: whatever it asks
for a second time is the same request. So it goes on after a fault where it had to stop.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lambdas.notifications.events import Channel
from lambdas.orders.domain import order_id_for
from tools.faults.shop import Shop

CUSTOMER = "customer-1"
CHECKOUT = "Checkout/RunCheckout/Function"
MUG, CUP = "MUG", "CUP"
SUPPLIED = {MUG: 100, CUP: 100}

_DEADLINE_DAYS = 6
"""Longer than the carrier has for a parcel."""

_SWEPT_MINUTES = 95
"""Longer than an order may wait for its checkout, and than a sweep takes to come."""


def open_shop(shop: Shop) -> None:
    """What stands before any story: stock, prices, and a customer who wants to hear of it all."""
    shop.receive(SUPPLIED, delivery="opening")
    shop.prefer(*Channel, customer=CUSTOMER)
    shop.settle()


def bought(shop: Shop) -> None:
    """Two orders, one delivered and one declined; the staff looks at the sales."""
    shop.browse(MUG, visit=shop.key("visit"))
    order_id = shop.place({MUG: 2, CUP: 1}, key=shop.key("bought"))
    shop.place({CUP: 1}, key=shop.key("declined"), token="tok_decline")
    shop.settle()
    shop.deliver(order_id)
    shop.settle()
    shop.sales()


def cancelled(shop: Shop) -> None:
    """A customer cancels what was confirmed: stock, money and parcel come back."""
    order_id = shop.place({MUG: 1}, key=shop.key("cancelled"))
    shop.settle()
    shop.cancel(order_id)
    shop.settle()


def given_back(shop: Shop) -> None:
    """Two orders are delivered and given back; one return is approved, the other one refused."""
    for key, approved in (("approved", True), ("refused", False)):
        order_id = shop.place({MUG: 1}, key=shop.key(key))
        shop.settle()
        shop.deliver(order_id)
        shop.settle()
        if shop.give_back(order_id).status == 202:
            shop.settle()
            if shop.returned(order_id) == "awaiting":
                shop.decide(order_id, approved=approved)
        shop.settle()


def overdue(shop: Shop) -> None:
    """A parcel is lost: on the day by which it should have come, the customer hears of it."""
    order_id = shop.place({MUG: 1}, key=shop.key("overdue"))
    shop.settle()
    if order_id not in {event.subject for event in shop.on_bus("ShipmentOverdue.v1")}:
        shop.pass_time(days=_DEADLINE_DAYS)
    shop.settle()


def expired(shop: Shop) -> None:
    """Checkout stands still for so long that a sweep closes the order that waits for it."""
    if order_id_for(CUSTOMER, shop.key("expired")) not in shop.known.accepted:
        shop.pause(CHECKOUT)
        shop.place({MUG: 1}, key=shop.key("expired"))
        shop.pass_time(minutes=_SWEPT_MINUTES)
        shop.resume(CHECKOUT)
    shop.settle()
    shop.deliver(order_id_for(CUSTOMER, shop.key("expired")))
    shop.settle()


def supplied(shop: Shop) -> None:
    """A supplier hands in a file with a new item, which is ordered once its price is known."""
    jug = shop.key("JUG")
    if jug not in shop.known.handed_in:
        shop.supply({jug: 5}, delivery=jug)
    shop.settle()
    if jug in shop.prices():
        order_id = shop.place({jug: 1}, key=shop.key("supplied"))
        shop.settle()
        shop.deliver(order_id)
    shop.settle()


@dataclass(frozen=True)
class Story:
    """A story, and the parts of the shop without which it would end otherwise."""

    tell: Callable[[Shop], None]
    about: tuple[str, ...] = ()
    """How the paths of those parts begin."""

    @property
    def name(self) -> str:
        """What the story is called."""
        return self.tell.__name__

    @property
    def says(self) -> str:
        """What happens in it."""
        return (self.tell.__doc__ or "").partition("\n")[0]


_ALL = (
    Story(supplied, ("Inventory/SupplierFiles", "Inventory/ImportStockFile", "Orders/KeepPrice")),
    Story(cancelled, ("Inventory/ReleaseClosedOrder", "Payments/RefundClosedOrder")),
    Story(bought, ("Checkout/", "Orders/FollowShipment", "Shipping/RequestShipment")),
    Story(given_back, ("Orders/FollowReturn", "Returns/")),
    Story(expired, ("Orders/SweepOrders",)),
    Story(overdue, ("Shipping/Reminders", "Shipping/WatchDeadline")),
)
STORIES = {story.name: story for story in _ALL}
"""All stories by name, in the order of what they cost, but for those that go other ways last."""
