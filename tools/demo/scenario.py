"""Who does what, and when: customers come one by one, and in the sample some are fickle."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from zlib import crc32

from cdk_rehearsal import Process
from lambdas.notifications.events import Channel
from tools.demo.customers import Customers
from tools.demo.orders_file import Order
from tools.demo.partner import PARTNER

Behaviour = Callable[[Customers, Order], object]

_LOOK_AGAIN_S = 0.5
_LOOKS = 60
_CLOSED = {"rejected", "cancelled", "expired", "returned"}


@dataclass(frozen=True)
class Visit:
    """One customer's business with the shop."""

    order: Order
    behaviour: Behaviour


def place(customers: Customers, order: Order) -> None:
    """What nearly everybody does."""
    customers.place(order)


def give_back(customers: Customers, order: Order) -> None:
    """Waits for the parcel, and does not like what is in it."""
    if customers.place(order) and _seen(customers, order, {"delivered"}):
        customers.give_back(order)


def place_impatiently(customers: Customers, order: Order) -> None:
    """Presses the button three times: the same request at the same time."""
    twice = [customers.shop.spawn(customers.place, order, name="again") for _ in range(2)]
    customers.place(order)
    for process in twice:
        process.join()


def place_twice(customers: Customers, order: Order) -> None:
    """Sends the same request again later, as a client does that got no answer."""
    customers.place(order)
    customers.shop.scheduler.sleep(2)
    customers.place(order)


def place_another_with_the_same_key(customers: Customers, order: Order) -> None:
    """Reuses an idempotency key for something else, which the shop must not take for the same."""
    customers.place(order)
    customers.place(replace(order, lines=order.lines[:1] * 2))


def cancel_at_once(customers: Customers, order: Order) -> None:
    """Cancels while the checkout may be under way."""
    if customers.place(order):
        customers.cancel(order)


def cancel_when_confirmed(customers: Customers, order: Order) -> bool:
    """Looks until the order is confirmed, and cancels then; True if it did."""
    if not customers.place(order) or not _seen(customers, order, {"confirmed", "shipped"}):
        return False
    return customers.cancel(order)


def cancel_twice(customers: Customers, order: Order) -> None:
    """Cancels a confirmed order, and again to be sure."""
    if cancel_when_confirmed(customers, order):
        customers.cancel(order)


def place_and_be_spied_on(customers: Customers, order: Order) -> None:
    """Others look at the order and try to cancel it."""
    if customers.place(order):
        customers.pry(order, caller="somebody-else")
        customers.pry(order, caller=None)


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
"""How many customers of the sample behave in some other way than plainly."""


def wishes_of(customer_id: str) -> dict[Channel, str]:
    """How a customer wants to be told: half of them by e-mail, some otherwise, some not at all."""
    number = crc32(customer_id.encode())
    wishes = {}
    if number % 2:
        wishes[Channel.EMAIL] = f"customer-{number}@example.com"
    if number % 5 == 0:
        wishes[Channel.SMS] = f"+4915{number:010}"
    if number % 7 == 0:
        wishes[Channel.WEBHOOK] = f"https://{PARTNER}/orders/{number}"
    return wishes


def plain(orders: Sequence[Order]) -> list[Visit]:
    """Each order is placed, and that is all."""
    return [Visit(order, place) for order in orders]


def lively(orders: Sequence[Order], *, seed: int) -> list[Visit]:
    """The sample's customers: most of them plain, some impatient, fickle or curious.

    Only small baskets of customers who can pay are chosen, so that there is something to see.
    """
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


def open_doors(
    customers: Customers, visits: Sequence[Visit], *, per_second: float, seed: int
) -> tuple[Process, list[Process]]:
    """Has the customers come one after the other in virtual time, with a seeded jitter.

    Returns the process that lets them in, and the list of theirs, which grows as they come.
    """
    shop = customers.shop
    random = Random(seed)
    start = shop.clock.now()
    processes: list[Process] = []

    def let_in() -> None:
        for number, visit in enumerate(visits):
            arrival = start + (number + random.random()) / per_second
            shop.scheduler.sleep(max(0.0, arrival - shop.clock.now()))
            name = f"customer of {visit.order.order_id}"
            processes.append(shop.spawn(_visit, customers, visit, name=name))

    return shop.spawn(let_in, name="door"), processes


def _visit(customers: Customers, visit: Visit) -> None:
    """Looks around first, as everybody does."""
    customers.browse(visit.order)
    visit.behaviour(customers, visit.order)


def _seen(customers: Customers, order: Order, wanted: Set[str]) -> bool:
    """Looks again and again; True when the order is as wanted, False if it is not to be."""
    for _ in range(_LOOKS):
        customers.shop.scheduler.sleep(_LOOK_AGAIN_S)
        status = customers.status(order)
        if status in wanted:
            return True
        if status in _CLOSED:
            return False
    return False
