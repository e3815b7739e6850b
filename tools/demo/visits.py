"""The customers' visits: in the sample, some customers are impatient, fickle or curious."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from zlib import crc32

from cdk_rehearsal import Process
from lambdas.notifications.events import Channel
from tools.demo.customers import Customers
from tools.demo.orders_file import CustomerOrder
from tools.demo.partner import PARTNER

Behaviour = Callable[[Customers, CustomerOrder], object]

_LOOK_AGAIN_S = 0.5
_LOOKS = 60
_CLOSED = {"rejected", "cancelled", "expired", "returned"}


@dataclass(frozen=True)
class Visit:
    """A customer's order, and how the customer behaves."""

    order: CustomerOrder
    behaviour: Behaviour


def place(customers: Customers, order: CustomerOrder) -> None:
    """Places the order, as most customers do."""
    customers.place(order)


def give_back(customers: Customers, order: CustomerOrder) -> None:
    """Waits for the parcel, and requests a return."""
    if customers.place(order) and _reaches(customers, order, {"delivered"}):
        customers.give_back(order)


def place_impatiently(customers: Customers, order: CustomerOrder) -> None:
    """Sends the same request three times at once."""
    twice = [customers.shop.spawn(customers.place, order, name="again") for _ in range(2)]
    customers.place(order)
    for process in twice:
        process.join()


def place_twice(customers: Customers, order: CustomerOrder) -> None:
    """Repeats the request later, like a client without an answer."""
    customers.place(order)
    customers.shop.scheduler.sleep(2)
    customers.place(order)


def place_another_with_the_same_key(customers: Customers, order: CustomerOrder) -> None:
    """Uses an idempotency key for another order."""
    customers.place(order)
    customers.place(replace(order, lines=order.lines[:1] * 2))


def cancel_at_once(customers: Customers, order: CustomerOrder) -> None:
    """Cancels while the checkout may be in progress."""
    if customers.place(order):
        customers.cancel(order)


def cancel_when_confirmed(customers: Customers, order: CustomerOrder) -> bool:
    """Cancels after the confirmation. Returns whether the order is cancelled."""
    if not customers.place(order) or not _reaches(customers, order, {"confirmed", "shipped"}):
        return False
    return customers.cancel(order)


def cancel_twice(customers: Customers, order: CustomerOrder) -> None:
    """Cancels after the confirmation, and repeats that."""
    if cancel_when_confirmed(customers, order):
        customers.cancel(order)


def place_and_be_spied_on(customers: Customers, order: CustomerOrder) -> None:
    """Places an order that others request and try to cancel."""
    if customers.place(order):
        customers.try_access(order, caller="somebody-else")
        customers.try_access(order, caller=None)


_SAMPLE: tuple[tuple[int, Behaviour], ...] = (
    (10, place_impatiently),
    (8, place_twice),
    (2, place_another_with_the_same_key),
    (6, cancel_at_once),
    (6, cancel_when_confirmed),
    (2, cancel_twice),
    (2, place_and_be_spied_on),
    (9, give_back),
)
"""The number of customers in the sample with each unusual behaviour."""


def preferences_of(customer_id: str) -> dict[Channel, str]:
    """Returns a customer's addresses: half have e-mail, some SMS or webhook, some none."""
    number = crc32(customer_id.encode())
    addresses = {}
    if number % 2:
        addresses[Channel.EMAIL] = f"customer-{number}@example.com"
    if number % 5 == 0:
        addresses[Channel.SMS] = f"+4915{number:010}"
    if number % 7 == 0:
        addresses[Channel.WEBHOOK] = f"https://{PARTNER}/orders/{number}"
    return addresses


def plain_visits(orders: Sequence[CustomerOrder]) -> list[Visit]:
    """Returns visits that only place an order."""
    return [Visit(order, place) for order in orders]


def sample_visits(orders: Sequence[CustomerOrder], *, seed: int) -> list[Visit]:
    """Returns the sample's visits. Unusual ones have a small order that is paid."""
    eligible = [
        order.order_id
        for order in orders
        if order.payment_token == "tok_approve" and len(order.lines) <= 5
    ]
    chosen = iter(Random(seed).sample(eligible, len(eligible)))
    behaviours = {
        order_id: behaviour for count, behaviour in _SAMPLE for order_id in islice(chosen, count)
    }
    return [Visit(order, behaviours.get(order.order_id, place)) for order in orders]


def start_visits(
    customers: Customers, visits: Sequence[Visit], *, per_second: float, seed: int
) -> tuple[Process, list[Process]]:
    """Starts the visits one after the other in virtual time, with a seeded jitter.

    Returns the process that starts them, and the growing list of their own processes.
    """
    shop = customers.shop
    random = Random(seed)
    start = shop.clock.now()
    processes: list[Process] = []

    def start_each() -> None:
        for number, visit in enumerate(visits):
            arrival = start + (number + random.random()) / per_second
            shop.scheduler.sleep(max(0.0, arrival - shop.clock.now()))
            processes.append(start_visit(customers, visit))

    return shop.spawn(start_each, name="visits"), processes


def start_visit(customers: Customers, visit: Visit) -> Process:
    """Starts a visit, and returns its process."""
    name = f"customer of {visit.order.order_id}"
    return customers.shop.spawn(_visit, customers, visit, name=name)


def _visit(customers: Customers, visit: Visit) -> None:
    customers.browse(visit.order)
    visit.behaviour(customers, visit.order)


def _reaches(customers: Customers, order: CustomerOrder, wanted: Set[str]) -> bool:
    """Polls an order's status. Returns whether it is one of `wanted` before it is closed."""
    for _ in range(_LOOKS):
        customers.shop.scheduler.sleep(_LOOK_AGAIN_S)
        status = customers.status(order)
        if status in wanted:
            return True
        if status in _CLOSED:
            return False
    return False
