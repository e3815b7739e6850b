"""Notifications' table: the customer of each order and sent messages. Preferences: the vault."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from lambdas.eventing import aws, declaration, telemetry, vault
from lambdas.eventing.attributes import to_attributes
from lambdas.eventing.declaration import UPDATE
from lambdas.eventing.event import Cause, Delivery
from lambdas.eventing.personal import Deposit
from lambdas.eventing.transaction import (
    AlreadyProcessed,
    ConditionFailed,
    Key,
    Transaction,
    expiry,
    read,
)
from lambdas.notifications.domain import CALLS_S, Preferences, Told, claim_of, period
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.settings import settings
from lambdas.orders.events import OrderPlaced
from lambdas.shipping.events import ShipmentEvent

KEPT_DAYS = 365
"""How long the customer of an order and a sent message are kept. Longer than the inbox."""
LEASE_S = 60
"""How long one delivery alone may send a message, in seconds: longer than a sender may run, and
shorter than its queue hides the message, so that the next delivery may send it."""


class BeingSent(Exception):
    """Another delivery of the same request is sending the message. A retry shows whether it did."""


class OutOfTime(Exception):
    """Calls to the customer's webhook took too long in this period. A later one may succeed."""


class OwnerUnknown(LookupError):
    """An event names an order whose OrderPlaced has not arrived yet. A retry may succeed."""


def preferences(customer_id: str) -> Preferences:
    """Returns the preferences as of now; all channels are off if the customer never set any."""
    if found := vault.find(Preferences, claim_of(customer_id)):
        return found
    stored = read(settings(), _preferences_key(customer_id))
    return msgspec.convert(stored["wishes"], Preferences) if stored else Preferences()


def replace_preferences(customer_id: str, chosen: Preferences, cause: Cause) -> None:
    """Stores preferences in place of the customer's earlier ones."""
    transaction = Transaction(settings(), cause)
    transaction.change_vault(claim_of(customer_id), Deposit(chosen, days=None))
    transaction.delete(_preferences_key(customer_id))
    transaction.commit()


def erase_preferences(customer_id: str, cause: Cause) -> None:
    """Deletes the customer's preferences, with all addresses."""
    vault.erase(Preferences, customer_id)
    transaction = Transaction(settings(), cause)
    transaction.delete(_preferences_key(customer_id))
    transaction.commit()


def owner(event: Told) -> str:
    """Returns the id of the customer of the event's order. Raises OwnerUnknown."""
    if not isinstance(event, ShipmentEvent):
        return event.customer_id
    order = read(settings(), _order_key(event.order_id))
    if order is None:
        raise OwnerUnknown(f"order {event.order_id} is not known yet")
    return str(order["customer_id"])


def request(delivery: Delivery[Told], notification: NotificationRequested | None) -> None:
    """Stores the customer of the order, and publishes `notification` if there is one.

    The stored customer shows that OrderPlaced was processed, and the inbox shows it of other
    events. Raises AlreadyProcessed.
    """
    transaction = Transaction(settings(), delivery)
    key = _order_key(delivery.event.order_id)
    if isinstance(delivery.event, OrderPlaced):
        order = {
            "kind": "order",
            "customer_id": delivery.event.customer_id,
            "expires_at": expiry(KEPT_DAYS),
        }
        transaction.create(key, order)
    else:
        transaction.once(delivery.consumer, delivery.event_id)
    if notification:
        transaction.publish(key, notification)
    try:
        transaction.commit()
    except ConditionFailed:
        raise AlreadyProcessed from None


def owed(delivery: Delivery[NotificationRequested], channel: Channel) -> str | None:
    """Returns the address to send the message to; None if the customer no longer wants it there.

    No other delivery may send it for LEASE_S. Raises AlreadyProcessed if it was sent, or BeingSent.
    """
    request = delivery.event
    address = preferences(request.customer_id).address(channel, request.occasion)
    if address is None:
        telemetry.logger().info("no longer wanted", channel=channel.value)
        telemetry.count("UnwantedNotifications")
        return None
    _claim(delivery, channel)
    return address


def _claim(delivery: Delivery[NotificationRequested], channel: Channel) -> None:
    now = datetime.now(UTC)
    holder = str(uuid4())
    transaction = Transaction(settings(), delivery)
    transaction.put(
        _sent_key(delivery, channel),
        {
            "kind": "sending",
            "holder": holder,
            "held_until": _seconds(now + timedelta(seconds=LEASE_S)),
            "expires_at": expiry(KEPT_DAYS),
        },
        # A sent message has no `held_until`.
        condition="attribute_not_exists(pk) OR held_until < :now",
        values={":now": _seconds(now)},
    )
    try:
        transaction.commit()
    except ConditionFailed as failure:
        found = failure.found or {}
        if found.get("holder") == holder:
            return  # The answer to the first try got lost.
        if found.get("kind") == "sent":
            raise AlreadyProcessed from None
        raise BeingSent(f"{channel.value} of {delivery.event_id}") from None


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def record_sent(delivery: Delivery[NotificationRequested], channel: Channel) -> None:
    """Stores that the message is sent, so that no other delivery sends it."""
    request = delivery.event
    transaction = Transaction(settings(), delivery)
    sent = {
        "kind": "sent",
        "channel": channel.value,
        "order_id": request.order_id,
        "occasion": request.occasion,
        "customer_id": request.customer_id,
        "at": datetime.now(UTC).isoformat(),
        "expires_at": expiry(KEPT_DAYS),
    }
    transaction.put(_sent_key(delivery, channel), sent)
    transaction.commit()
    telemetry.count(f"SentBy{channel.value.capitalize()}")
    if channel is not Channel.WEBHOOK:  # Whose host may be slow or down for hours.
        waited = datetime.now(UTC) - delivery.envelope.time
        telemetry.measure("RequestedToSent", waited / timedelta(milliseconds=1))


def require_time(customer_id: str) -> None:
    """Raises OutOfTime if calls to the customer's webhook took CALLS_S or more in this period."""
    calls = read(settings(), _calls_key(customer_id))
    if calls and calls["took_ms"] >= CALLS_S * 1000:
        telemetry.count("PostponedWebhooks")
        raise OutOfTime(f"{CALLS_S:g} s of calls are used up")


@contextmanager
def timing(customer_id: str) -> Iterator[None]:
    """Adds the duration of a call to the customer's webhook to those of this period."""
    begun = datetime.now(UTC)
    try:
        yield
    finally:
        _add_call(customer_id, took=datetime.now(UTC) - begun)


def _add_call(customer_id: str, *, took: timedelta) -> None:
    """Adds a call. This is no transaction, because those of parallel calls would conflict."""
    declaration.check(UPDATE)
    pk, sk = _calls_key(customer_id)
    aws.dynamodb().update_item(
        TableName=settings().table_name,
        Key=to_attributes({"pk": pk, "sk": sk}),
        UpdateExpression="SET kind = :kind, expires_at = :expires_at ADD took_ms :took_ms",
        ExpressionAttributeValues=to_attributes(
            {
                ":kind": "calls",
                ":expires_at": expiry(1),
                ":took_ms": took // timedelta(milliseconds=1),
            }
        ),
    )


def _calls_key(customer_id: str) -> Key:
    return (f"CUSTOMER#{customer_id}", f"CALLS#{period(datetime.now(UTC))}")


def _preferences_key(customer_id: str) -> Key:
    """Returns the key under which earlier releases stored preferences."""
    return (f"CUSTOMER#{customer_id}", "PREFERENCES")


def _order_key(order_id: str) -> Key:
    return (f"ORDER#{order_id}", "ORDER")


def _sent_key(delivery: Delivery[NotificationRequested], channel: Channel) -> Key:
    return (f"ORDER#{delivery.event.order_id}", f"SENT#{delivery.event_id}#{channel.value}")
