"""Erase preferences: deletes a customer's addresses for messages. A step of an erasure."""

from lambdas.eventing import vault
from lambdas.eventing.declaration import DELETE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.notifications import notification_store
from lambdas.notifications.domain import Preferences
from lambdas.privacy.events import Erased, ErasureRequested


@task(ErasureRequested, uses=(DELETE, *vault.erases(Preferences)))
def handler(delivery: Delivery[ErasureRequested], _: Failure | None) -> Erased:
    """Deletes those that earlier releases stored in this table, too."""
    notification_store.erase_preferences(delivery.event.customer_id, delivery)
    return Erased(context="notifications", kinds=(Preferences.__name__,))
