"""Address the customer: turns an event about an order into a message on the customer's channels."""

from lambdas.eventing import vault
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.notifications import notification_store
from lambdas.notifications.domain import TOLD, Preferences, Told, facts
from lambdas.notifications.events import NotificationRequested


@consumer(*TOLD, publishes=(NotificationRequested,), uses=(GET, PUT, *vault.redeems(Preferences)))
def handler(delivery: Delivery[Told]) -> None:
    """Publishes the message if the customer wants it.

    Raises OwnerUnknown for an event that overtook its OrderPlaced: it is delivered again.
    """
    event = delivery.event
    occasion = type(event).__name__
    customer_id = notification_store.owner(event)
    channels = notification_store.preferences(customer_id).channels(occasion)
    notification = NotificationRequested(
        order_id=event.order_id,
        customer_id=customer_id,
        occasion=occasion,
        facts=facts(event),
        channels=channels,
    )
    notification_store.request(delivery, notification if channels else None)
