"""Whichever consumer is down, the others do their work, and everything is made up for later."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pytest

from cdk_rehearsal import Assembly
from tests.flows.shop import FOREVER, Broken, Shop
from tests.flows.story import Results, Story, break_a_checkout, lose_a_parcel, results
from tests.support.forks import in_a_fork

MESSAGES = {"email", "sms", "webhook"}
RETURN = {"events", "history", "money", "orders", "returns", "stock", *MESSAGES}
"""What lacks if an order cannot be given back."""

PARCEL = {"parcels", *RETURN}
CHECKOUT = {"sales", *PARCEL}
TAKES_WITH_IT: Mapping[str, Set[str]] = {
    "Analytics/AggregateSales/Function": {"activity", "sales"},
    "Checkout/RunCheckout/Function": CHECKOUT,
    "Inventory/ImportStockFile/Function": {"files", "prices", *CHECKOUT},
    "Inventory/ReleaseClosedOrder/Function": {"events", "stock"},
    "Inventory/Stock/Relay": {"prices", *CHECKOUT},
    "Notifications/AddressCustomer/Function": {"events", *MESSAGES},
    "Notifications/CallWebhook/Function": {"webhook"},
    "Notifications/Customers/Relay": {"events", *MESSAGES},
    "Notifications/SendEmail/Function": {"email"},
    "Notifications/SendSms/Function": {"sms"},
    "Orders/FollowReturn/Function": {"history", "orders"},
    "Orders/FollowShipment/Function": {"history", "orders"},
    "Orders/KeepPriceList/Function": {"prices", *CHECKOUT},
    "Orders/Orders/Relay": CHECKOUT,
    "Orders/SweepOrders/Function": {"events", "history", "money", "orders", *MESSAGES},
    "Payments/Payments/Relay": {"events"},
    "Payments/RefundClosedOrder/Function": {"events", "money"},
    "Returns/KeepOrder/Function": RETURN,
    "Returns/ResumeReturn/Function": RETURN,
    "Returns/Returns/Relay": RETURN,
    "Returns/StartReturn/Function": RETURN,
    "Shipping/RecallShipment/Function": {"events", "history", "parcels", "stock"},
    "Shipping/RequestShipment/Function": PARCEL,
    "Shipping/Shipments/Relay": PARCEL,
    "Shipping/WatchDeadline/Function": {"events", "history", "overdue", *MESSAGES},
}
"""By consumer: which results are not as they should be while it is down. All others are."""

ENDS_OTHERWISE: Mapping[str, Set[str]] = {
    # An order is cancelled before its parcel was asked for: then there never is one to recall.
    "Shipping/RequestShipment/Function": {"events", "history"},
}
"""What is not the same in the end as if nothing had been down, though the books balance."""

TAKES_LONGER: Mapping[str, Callable[[Story], None]] = {
    "Orders/SweepOrders/Function": break_a_checkout,
    "Shipping/WatchDeadline/Function": lose_a_parcel,
}
"""What happens to those that have nothing to do in the usual story."""


def _nothing(_: Story) -> None:
    """The usual story."""


@dataclass(frozen=True)
class Outcome:
    """What there was while a consumer was down, and after it was mended."""

    during: Results
    parked: frozenset[str]
    end: Results


@pytest.fixture(scope="module")
def fault_free(shop: Shop) -> Callable[[Callable[[Story], None]], Results]:
    """The results of the story when nothing is down."""

    @cache
    def of(more: Callable[[Story], None]) -> Results:
        return in_a_fork(lambda: _undisturbed(shop, more))

    return of


@pytest.fixture
def expected(fault_free: Callable[[Callable[[Story], None]], Results], consumer: str) -> Results:
    """What there would be if the consumer were not down."""
    return fault_free(TAKES_LONGER.get(consumer, _nothing))


def test_every_consumer_of_the_application_is_tried(assembly: Path) -> None:
    functions = {
        stack.path_of(mapping["Properties"]["FunctionName"]["Ref"])
        for stack in Assembly(assembly).stacks
        for mapping in stack.template["Resources"].values()
        if mapping["Type"] == "AWS::Lambda::EventSourceMapping"
    }

    assert functions == set(TAKES_WITH_IT)


@pytest.mark.parametrize("consumer", TAKES_WITH_IT)
def test_consumer_that_is_down_leaves_the_others_alone_and_catches_up(
    shop: Shop, expected: Results, consumer: str
) -> None:
    outcome = _disturbed(shop, consumer, TAKES_LONGER.get(consumer, _nothing))

    assert _differences(outcome.during, expected) == TAKES_WITH_IT[consumer]
    has_queue = _queue_of(consumer) in shop.rehearsal.queue_depths()
    assert (_dead_letters_of(consumer) in outcome.parked) == has_queue
    assert _differences(outcome.end, expected) == ENDS_OTHERWISE.get(consumer, set())


def _undisturbed(shop: Shop, more: Callable[[Story], None]) -> Results:
    story = Story(shop, "told", wait=shop.settle)
    story.open()
    story.visit()
    more(story)
    found = results(shop)
    _mend(shop)
    shop.assert_books_balance()
    return found


def _disturbed(shop: Shop, consumer: str, more: Callable[[Story], None]) -> Outcome:
    has_queue = _queue_of(consumer) in shop.rehearsal.queue_depths()
    # What a stream's consumer cannot process is tried for a day: nobody waits for that.
    wait = shop.settle if has_queue else partial(shop.pass_time, minutes=5)
    story = Story(shop, "told", wait=wait)
    shop.rehearsal.faults.fail(consumer, times=FOREVER, error=Broken("down"))
    story.open()
    story.visit()
    more(story)
    during, parked = results(shop), frozenset(shop.parked())

    _mend(shop, first=_dead_letters_of(consumer) if has_queue else None)
    story.visit()
    return Outcome(during, parked, results(shop, shop.assert_books_balance()))


def _queue_of(consumer: str) -> str:
    return f"{consumer.removesuffix('/Function')}/Queue"


def _dead_letters_of(consumer: str) -> str:
    return f"{consumer.removesuffix('/Function')}/DeadLetters"


def _differences(some: Results, others: Results) -> set[str]:
    return {name for name in others if some[name] != others[name]}


def _mend(shop: Shop, first: str | None = None) -> None:
    """Removes all causes, and brings back what was parked."""
    shop.rehearsal.faults.clear()
    if first:
        shop.rehearsal.redrive(first)
    shop.settle()
    shop.redrive()
