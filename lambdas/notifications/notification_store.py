"""Notifications' table: customers' preferences, whose order is whose, and what was sent."""

from datetime import UTC, datetime, timedelta

import msgspec

from lambdas.eventing import telemetry
from lambdas.eventing.event import Cause, Delivery
from lambdas.eventing.transaction import (
    AlreadyProcessed,
    ConditionFailed,
    Key,
    Transaction,
    expiry,
    read,
)
from lambdas.notifications.domain import Preferences, Told
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.settings import settings
from lambdas.orders.events import OrderPlaced
from lambdas.shipping.events import ShipmentEvent

KEPT_DAYS = 365
"""How long the owner of an order, and what was sent, are remembered. Longer than the inbox."""
LEASE_S = 60
"""For so long nobody else sends what one is sending: longer than a sender may run, and shorter than
its queue hides the message, so that whoever gets it next may send it."""


class BeingSent(Exception):
    """Another delivery of the same request is sending the message. Trying later tells if it did."""


class OwnerUnknown(LookupError):
    """An event names an order of which OrderPlaced has not come yet. Trying later may help."""


def preferences(customer_id: str) -> Preferences:
    """What the customer wants as of now; nothing, if they never said."""
    stored = read(settings(), _preferences_key(customer_id))
    return msgspec.convert(stored["wishes"], Preferences) if stored else Preferences()


def replace_preferences(customer_id: str, wishes: Preferences, cause: Cause) -> None:
    """Puts `wishes` in the place of all that the customer said before."""
    transaction = Transaction(settings(), cause)
    item = {"kind": "preferences", "wishes": msgspec.to_builtins(wishes)}
    transaction.put(_preferences_key(customer_id), item)
    transaction.commit()


def owner(event: Told) -> str:
    """The id of the customer whom `event` is for. Raises OwnerUnknown."""
    if not isinstance(event, ShipmentEvent):
        return event.customer_id
    order = read(settings(), _order_key(event.order_id))
    if order is None:
        raise OwnerUnknown(f"order {event.order_id} is not known yet")
    return str(order["customer_id"])


def request(delivery: Delivery[Told], notification: NotificationRequested | None) -> None:
    """Keeps whose order it is, and publishes `notification` if there is one.

    Raises AlreadyProcessed.
    """
    transaction = Transaction.reacting_to(delivery, settings())
    key = _order_key(delivery.event.order_id)
    if isinstance(delivery.event, OrderPlaced):
        order = {
            "kind": "order",
            "customer_id": delivery.event.customer_id,
            "expires_at": expiry(KEPT_DAYS),
        }
        transaction.put(key, order)
    if notification:
        transaction.publish(key, notification)
    transaction.commit()


def owed(delivery: Delivery[NotificationRequested], channel: Channel) -> str | None:
    """Where to send the message now; None if the customer does not want it there any more.

    Nobody else gets to send it meanwhile. Raises AlreadyProcessed if it was sent, BeingSent.
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
    key = _sent_key(delivery, channel)
    transaction = Transaction(settings(), delivery)
    transaction.put(
        key,
        {
            "kind": "sending",
            "held_until": _seconds(now + timedelta(seconds=LEASE_S)),
            "expires_at": expiry(KEPT_DAYS),
        },
        # What is sent is not held by anybody.
        condition="attribute_not_exists(pk) OR held_until < :now",
        values={":now": _seconds(now)},
    )
    try:
        transaction.commit()
    except ConditionFailed:
        found = read(settings(), key) or {}
        if found.get("kind") == "sent":
            raise AlreadyProcessed from None
        raise BeingSent(f"{channel.value} of {delivery.event_id}") from None


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def record_sent(delivery: Delivery[NotificationRequested], channel: Channel) -> None:
    """Remembers that the message is sent. Raises AlreadyProcessed if somebody else sent it too."""
    request = delivery.event
    transaction = Transaction.reacting_to(delivery, settings())
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


def _preferences_key(customer_id: str) -> Key:
    return (f"CUSTOMER#{customer_id}", "PREFERENCES")


def _order_key(order_id: str) -> Key:
    return (f"ORDER#{order_id}", "ORDER")


def _sent_key(delivery: Delivery[NotificationRequested], channel: Channel) -> Key:
    return (f"ORDER#{delivery.event.order_id}", f"SENT#{delivery.event_id}#{channel.value}")
