"""Addressing: each event becomes one request for the channels that its customer chose."""

import json

import pytest

from lambdas.notifications.domain import OCCASIONS, TOLD, Told, money
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.orders.events import OrderPlaced
from lambdas.shipping.events import OrderShipped
from tests.notifications.context import ALL_ON, ORDER, Notifications, samples
from tests.support.cloud import Commits, Crash, crash
from tests.support.messages import enveloped
from tests.support.orders import placed


def decoded(notifications: Notifications) -> list[NotificationRequested]:
    return notifications.table.events(NotificationRequested)


def test_an_order_is_notified_on_every_enabled_channel(notifications: Notifications) -> None:
    notifications.prefer(**ALL_ON)
    assert notifications.deliver(placed(order_id=ORDER)) == []
    assert decoded(notifications) == [
        NotificationRequested(
            order_id=ORDER,
            customer_id="customer-1",
            occasion="OrderPlaced",
            facts={"total": "12.50 EUR"},
            channels=(Channel.EMAIL, Channel.SMS, Channel.WEBHOOK),
        )
    ]


@pytest.mark.parametrize("event", samples(), ids=lambda event: type(event).__name__)
def test_each_event_becomes_one_request(notifications: Notifications, event: Told) -> None:
    if not isinstance(event, OrderPlaced):
        notifications.deliver(placed(order_id=ORDER))
    notifications.prefer(**ALL_ON)
    assert notifications.deliver(event) == []
    (request,) = decoded(notifications)
    assert request.occasion == type(event).__name__
    assert request.order_id == ORDER
    assert request.customer_id == "customer-1"


def test_the_samples_cover_every_notification_type() -> None:
    assert [type(event) for event in samples()] == list(TOLD)
    assert len(set(OCCASIONS)) == len(OCCASIONS)


def test_a_request_holds_no_personal_data(notifications: Notifications) -> None:
    notifications.prefer(**ALL_ON)
    notifications.deliver(*samples())
    published = " ".join(envelope.to_json() for envelope in notifications.requests())
    secrets = ("ada@", "4930123456", "hooks.example", "Lovelace", "St James", "tok_approve")
    assert not [secret for secret in secrets if secret in published]


def test_a_customer_without_preferences_gets_nothing(notifications: Notifications) -> None:
    assert notifications.deliver(*samples()) == []
    assert notifications.requests() == []


def test_a_request_names_only_channels_with_the_notification_type(
    notifications: Notifications,
) -> None:
    notifications.prefer(
        email={"address": "ada@example.com", "occasions": ["OrderShipped"]},
        sms={"phone": "+4930123456", "occasions": []},
        webhook={"url": "https://hooks.example.com/"},
    )
    notifications.deliver(placed(order_id=ORDER), OrderShipped(order_id=ORDER))
    assert {request.occasion: request.channels for request in decoded(notifications)} == {
        "OrderPlaced": (Channel.WEBHOOK,),
        "OrderShipped": (Channel.EMAIL, Channel.WEBHOOK),
    }


def test_requests_are_caused_by_their_events(notifications: Notifications) -> None:
    notifications.prefer(**ALL_ON)
    cause = enveloped(placed(order_id=ORDER))
    notifications.deliver(cause)
    (request,) = notifications.requests()
    assert request.causationid == cause.id
    assert request.correlationid == cause.correlationid
    assert request.subject == ORDER


def test_an_event_delivered_twice_is_requested_once(notifications: Notifications) -> None:
    notifications.prefer(**ALL_ON)
    event = enveloped(placed(order_id=ORDER))
    assert notifications.deliver(event, event) == []
    assert notifications.deliver(event) == []
    assert len(notifications.requests()) == 1


@pytest.mark.parametrize("event", samples(), ids=lambda event: type(event).__name__)
def test_an_event_that_an_earlier_release_processed_is_not_requested_again(
    notifications: Notifications, event: Told
) -> None:
    """It stored the customer of each order, and an inbox key for each event."""
    notifications.prefer(**ALL_ON)
    envelope = enveloped(event)
    inbox = f"INBOX#notifications.address_customer#{envelope.id}"
    for key, kind in (((f"ORDER#{ORDER}", "ORDER"), "order"), ((inbox, inbox), "inbox")):
        item = {"pk": key[0], "sk": key[1], "kind": kind, "customer_id": "customer-1"}
        notifications.table.put(item)
    assert notifications.deliver(envelope) == []
    assert notifications.requests() == []


def test_a_duplicate_without_a_message_is_counted_as_one(
    notifications: Notifications, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody who wants messages later does not get one about an event of the past."""
    events = [enveloped(event) for event in samples()]
    notifications.deliver(*events)
    notifications.prefer(**ALL_ON)
    capsys.readouterr()
    assert notifications.deliver(*events) == []
    assert notifications.requests() == []
    counted = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sum(counted["DuplicateEvents"]) == len(events)


def test_an_order_that_is_placed_again_under_another_id_is_requested_once(
    notifications: Notifications,
) -> None:
    notifications.prefer(**ALL_ON)
    assert notifications.deliver(placed(order_id=ORDER), placed(order_id=ORDER)) == []
    assert len(notifications.requests()) == 1


def test_a_crash_after_the_commit_causes_one_request(
    notifications: Notifications, commits: Commits
) -> None:
    notifications.prefer(**ALL_ON)
    event = enveloped(placed(order_id=ORDER))
    commits.after(1, crash)
    with pytest.raises(Crash):
        notifications.deliver(event)
    assert notifications.deliver(event) == []
    assert len(notifications.requests()) == 1


def test_an_event_that_overtakes_its_order_is_retried_until_the_order_is_known(
    notifications: Notifications,
) -> None:
    notifications.prefer(**ALL_ON)
    shipped = enveloped(OrderShipped(order_id=ORDER))
    assert notifications.deliver(shipped) == ["m1"]
    assert notifications.requests() == []
    assert notifications.deliver(placed(order_id=ORDER), shipped) == []
    assert [request.occasion for request in decoded(notifications)].count("OrderShipped") == 1


def test_an_event_that_overtakes_its_order_delays_no_other(notifications: Notifications) -> None:
    notifications.prefer(**ALL_ON)
    orphan = OrderShipped(order_id="unknown")
    assert notifications.deliver(orphan, placed(order_id=ORDER)) == ["m1"]
    assert [request.occasion for request in decoded(notifications)] == ["OrderPlaced"]


def test_only_an_orders_owner_is_stored_and_it_expires(
    notifications: Notifications,
) -> None:
    notifications.deliver(placed(order_id=ORDER))
    order = notifications.table.one("order")
    assert set(order) == {"pk", "sk", "kind", "customer_id", "expires_at"}


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (0, "EUR", "0.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (123450, "EUR", "1234.50 EUR"),
        (1250, "JPY", "1250 JPY"),
        (1250, "KWD", "1.250 KWD"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(minor: int, currency: str, shown: str) -> None:
    assert money(minor, currency) == shown
