"""Complete an erasure: stores the proof, and publishes it."""

import msgspec

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Results, concluding_task
from lambdas.privacy import erasure_store
from lambdas.privacy.events import CustomerErased, Erased, ErasureRequested


@concluding_task(ErasureRequested, publishes=(CustomerErased,), uses=(GET, UPDATE))
def handler(delivery: Delivery[ErasureRequested], results: Results) -> None:
    """Does nothing if the request has ended already."""
    erased = tuple(msgspec.convert(results[step], Erased) for step in sorted(results))
    if erasure_store.complete(delivery.event, erased, delivery):
        telemetry.count("ErasuresCompleted")
