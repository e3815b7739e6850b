"""While any one consumer is down, the others work; after its recovery, nothing is missing."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import pytest

from cdk_rehearsal import Assembly
from tests.flows.scenario import (
    Results,
    Scenario,
    break_a_checkout,
    erase_a_customer,
    let_an_authorization_end,
    lose_a_parcel,
    results,
)
from tests.flows.shop import FOREVER, Broken, Shop
from tests.support.forks import in_a_fork

MESSAGES = {"email", "sms", "webhook"}
RETURN = {"events", "history", "money", "orders", "returns", "stock", *MESSAGES}
"""Results that are missing if an order cannot be returned."""

PARCEL = {"parcels", *RETURN}
CHECKOUT = {"sales", *PARCEL}
AFFECTED: Mapping[str, Set[str]] = {
    "Analytics/AggregateSales/Function": {"activity", "sales"},
    "Checkout/RunCheckout/Function": CHECKOUT,
    "Inventory/ImportStockFile/Function": {"files", "prices", *CHECKOUT},
    "Inventory/IssueStock/Function": {"events", "stock"},
    "Inventory/ReleaseClosedOrder/Function": {"events", "stock"},
    "Inventory/RepriceItem/Function": set(),
    "Inventory/Stock/Relay": {"prices", *CHECKOUT},
    "Notifications/AddressCustomer/Function": {"events", *MESSAGES},
    "Notifications/CallWebhook/Function": {"webhook"},
    "Notifications/Customers/Relay": {"events", *MESSAGES},
    "Notifications/SendEmail/Function": {"email"},
    "Notifications/SendSms/Function": {"sms"},
    "Orders/CancelUnpaidOrder/Function": {
        "events",
        "history",
        "money",
        "orders",
        "parcels",
        "stock",
        *MESSAGES,
    },
    "Orders/FollowReturn/Function": {"history", "orders"},
    "Orders/FollowShipment/Function": {"history", "orders"},
    "Orders/KeepPriceList/Function": {"prices", *CHECKOUT},
    "Orders/Orders/Relay": CHECKOUT,
    "Orders/PlaceCanary/Function": {"history"},
    "Orders/SweepOrders/Function": {"events", "history", "money", "orders", *MESSAGES},
    "Payments/CapturePayment/Function": {"events", "money"},
    "Payments/Payments/Relay": {"events"},
    "Payments/RefundClosedOrder/Function": {"events", "money"},
    "Payments/SweepPayments/Function": {
        "events",
        "history",
        "money",
        "orders",
        "parcels",
        "stock",
        *MESSAGES,
    },
    "Privacy/Erasures/Relay": {"erasures", "events"},
    "Privacy/StartErasure/Function": {"erasures", "events"},
    "Returns/KeepOrder/Function": RETURN,
    "Returns/ResumeReturn/Function": RETURN,
    "Returns/Returns/Relay": RETURN,
    "Returns/StartReturn/Function": RETURN,
    "Shipping/RecallShipment/Function": {"events", "history", "parcels", "stock"},
    "Shipping/RequestShipment/Function": PARCEL,
    "Shipping/Shipments/Relay": PARCEL,
    "Shipping/WatchDeadline/Function": {"events", "history", "overdue", *MESSAGES},
}
"""The results that differ from a run without faults while a consumer is down. No others do."""

DIFFERENT_AT_THE_END: Mapping[str, Set[str]] = {
    # The order comes back before its money is captured: it is released, and not refunded.
    "Payments/CapturePayment/Function": {"events", "money"},
    # The order is cancelled before its parcel is requested, so that there is no parcel to recall.
    "Shipping/RequestShipment/Function": {"events", "history"},
}
"""The results that differ even after the recovery, although the audit passes."""


def place_a_canary(scenario: Scenario) -> None:
    """Sends what the schedule sends in stages where it is enabled."""
    shop = scenario.shop.rehearsal
    sent = shop.resource("Orders/PlaceCanary/Schedule").properties["Target"]["Input"]
    now = datetime.fromtimestamp(shop.clock.now(), UTC)
    body = sent.replace("<aws.scheduler.execution-id>", "canary-1")
    shop.client("sqs").send_message(
        QueueUrl=shop.physical_id("Orders/PlaceCanary/Queue"),
        MessageBody=body.replace("<aws.scheduler.scheduled-time>", now.isoformat()),
    )
    scenario.wait()


ADDITIONAL_STEPS: Mapping[str, Callable[[Scenario], None]] = {
    "Orders/CancelUnpaidOrder/Function": let_an_authorization_end,
    "Orders/PlaceCanary/Function": place_a_canary,
    "Privacy/Erasures/Relay": erase_a_customer,
    "Privacy/StartErasure/Function": erase_a_customer,
    "Orders/SweepOrders/Function": break_a_checkout,
    "Payments/SweepPayments/Function": let_an_authorization_end,
    "Shipping/WatchDeadline/Function": lose_a_parcel,
}
"""Additional steps for consumers that have nothing to do in the usual scenario."""


def _nothing(_: Scenario) -> None:
    """Adds no step."""


@dataclass(frozen=True)
class Outcome:
    """The results while a consumer was down, and after its recovery."""

    during: Results
    parked: frozenset[str]
    end: Results


@pytest.fixture(scope="module")
def fault_free(shop: Shop) -> Callable[[Callable[[Scenario], None]], Results]:
    """The results of a scenario without faults, by its additional steps."""

    @cache
    def of(more: Callable[[Scenario], None]) -> Results:
        return in_a_fork(lambda: _undisturbed(shop, more))

    return of


@pytest.fixture
def expected(fault_free: Callable[[Callable[[Scenario], None]], Results], consumer: str) -> Results:
    """The results if the consumer were not down."""
    return fault_free(ADDITIONAL_STEPS.get(consumer, _nothing))


def test_every_consumer_of_the_application_is_tried(assembly: Path) -> None:
    functions = {
        stack.path_of(mapping["Properties"]["FunctionName"]["Ref"])
        for stack in Assembly(assembly).stacks
        for mapping in stack.template["Resources"].values()
        if mapping["Type"] == "AWS::Lambda::EventSourceMapping"
    }

    assert functions == set(AFFECTED)


@pytest.mark.parametrize("consumer", AFFECTED)
def test_a_consumer_that_is_down_does_not_affect_the_others_and_catches_up(
    shop: Shop, expected: Results, consumer: str
) -> None:
    outcome = _disturbed(shop, consumer, ADDITIONAL_STEPS.get(consumer, _nothing))

    assert _differences(outcome.during, expected) == AFFECTED[consumer]
    has_queue = _queue_of(consumer) in shop.rehearsal.queue_depths()
    assert (_dead_letters_of(consumer) in outcome.parked) == has_queue
    assert _differences(outcome.end, expected) == DIFFERENT_AT_THE_END.get(consumer, set())


def _undisturbed(shop: Shop, more: Callable[[Scenario], None]) -> Results:
    scenario = Scenario(shop, "told", wait=shop.settle)
    scenario.open()
    scenario.visit()
    more(scenario)
    found = results(shop)
    _recover(shop)
    shop.assert_books_balance()
    return found


def _disturbed(shop: Shop, consumer: str, more: Callable[[Scenario], None]) -> Outcome:
    has_queue = _queue_of(consumer) in shop.rehearsal.queue_depths()
    # A stream retries a failing batch for a day, which is too long to wait.
    wait = shop.settle if has_queue else partial(shop.pass_time, minutes=5)
    scenario = Scenario(shop, "told", wait=wait)
    shop.rehearsal.faults.fail(consumer, times=FOREVER, error=Broken("down"))
    scenario.open()
    scenario.visit()
    more(scenario)
    during, parked = results(shop), frozenset(shop.parked())

    _recover(shop, first=_dead_letters_of(consumer) if has_queue else None)
    scenario.visit()
    return Outcome(during, parked, results(shop, shop.assert_books_balance()))


def _queue_of(consumer: str) -> str:
    return f"{consumer.removesuffix('/Function')}/Queue"


def _dead_letters_of(consumer: str) -> str:
    return f"{consumer.removesuffix('/Function')}/DeadLetters"


def _differences(some: Results, others: Results) -> set[str]:
    return {name for name in others if some[name] != others[name]}


def _recover(shop: Shop, first: str | None = None) -> None:
    """Removes all faults, and redrives all parked messages."""
    shop.rehearsal.faults.clear()
    if first:
        shop.rehearsal.redrive(first)
    shop.settle()
    shop.redrive()
