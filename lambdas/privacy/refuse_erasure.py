"""Refuse an erasure: an order or a return of the customer is open."""

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.privacy import erasure_store
from lambdas.privacy.events import ErasureRefused, ErasureRequested


@task(ErasureRequested, publishes=(ErasureRefused,), uses=(GET, UPDATE))
def handler(delivery: Delivery[ErasureRequested], failure: Failure | None) -> None:
    """Does nothing if the request has ended already."""
    reason = failure.reason if failure else "unknown"
    if erasure_store.refuse(delivery.event, reason, delivery):
        telemetry.count("ErasuresRefused")
