"""How trouble begins at a place, and how it ends: what the rehearsal knows, and what others do."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cdk_rehearsal import Fault
from lambdas.eventing.event import Cause, CloudEvent
from lambdas.inventory.supplier_files import INCOMING
from lambdas.shipping.events import ShipmentDue
from tools.demo.supplier import BUCKET
from tools.faults.places import Place
from tools.faults.shop import Shop

Begin = Callable[[Shop, Place], None]

DOWN_HOURS = 3
POISON = "poison"
"""What stands in each poisoned message: whoever finds it parked may throw it away."""

_LARGEST = 1024 * 1024
"""Bytes, of a message as of a record.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("impossible", "Orders/SweepOrders/Queue"): "its message says nothing that could be impossible",
    ("lost", "Orders/SweepOrders/Schedule"): "what one sweep misses, the next one finds",
}
"""Where trouble cannot be told from what is right, by its name and the place's source, and why."""


def nothing(shop: Shop, place: Place) -> None:
    """Some trouble ends by itself, or with all faults of the rehearsal."""


def planning(fault: Fault) -> Begin:
    """Has the rehearsal let a fault act at a place."""

    def begin(shop: Shop, place: Place) -> None:
        shop.rehearsal.faults.plan(fault, **between(fault, place))

    return begin


def between(fault: Fault, place: Place) -> dict[str, Any]:
    """Where the rehearsal has to plan a fault for it to act at a place."""
    if place.kind == "call":
        operation = place.operation.partition(".")[2]
        known: dict[str, Any] = {"source": place.source, "operation": operation}
        return known | ({"target": place.target} if place.target else {})
    match fault.moment:
        case "before" | "after" | "clock":
            return {"target": place.target}
        case "receive" | "hide":
            return {"source": place.source}
        case "call":
            return {"source": place.target}
    return {"source": place.source, "target": place.target}


def pause(shop: Shop, place: Place) -> None:
    """Nobody reads the queue or stream for some hours."""
    shop.pause(place.target)
    shop.rehearsal.scheduler.spawn(_resume_later, shop, place.target)


def _resume_later(shop: Shop, function: str) -> None:
    shop.rehearsal.scheduler.sleep(DOWN_HOURS * 3600)
    shop.resume(function)


def replay(shop: Shop, place: Place) -> None:
    """Replays all that was archived to one rule."""
    shop.replay(place.source)
    shop.settle()


def poison(make: Callable[[Shop, Place], str]) -> Begin:
    """Puts a message among the others that nobody can make sense of."""

    def begin(shop: Shop, place: Place) -> None:
        body = make(shop, place)
        if place.kind == "queue":
            shop.rehearsal.queues.by_path(place.source).send(body)
        else:
            shop.rehearsal.client("kinesis").put_record(
                StreamName=shop.rehearsal.physical_id(place.source),
                Data=body.encode(),
                PartitionKey=POISON,
            )

    return begin


def no_json(shop: Shop, place: Place) -> str:
    """Not even JSON."""
    return f"{POISON}: this is not JSON"


def another_schema(shop: Shop, place: Place) -> str:
    """JSON, but of nothing that is known here."""
    return json.dumps({"detail": {"type": f"{POISON}.v1", "data": {"order_id": 42}}})


def too_large(shop: Shop, place: Place) -> str:
    """As large as the service admits: what was sent cannot be larger."""
    return json.dumps({"detail": {"type": POISON, "data": "x" * (_LARGEST - 100)}})


def impossible(shop: Shop, place: Place) -> str:
    """What comes here, but of an order, an item, a customer or a file that never was."""
    make = _NEVER_WAS.get(place.source)
    if make is not None:
        return json.dumps(make(shop))
    text = json.dumps({"detail": shop.last_event_for(place.source)})
    for name in ("id", "order_id", "subject", "sku", "customer_id"):
        text = re.sub(rf'("{name}"): "[^"]*"', rf'\1: "{POISON}-{name}"', text)
    return text.replace(f"{POISON}-subject", f"{POISON}-order_id")


def _missing_file(shop: Shop) -> Any:
    """A notification of a version that there is not, as when it was deleted in the meantime."""
    stored = {"key": f"{INCOMING}{POISON}.csv", "size": 1, "eTag": POISON, "versionId": POISON}
    named = {"bucket": {"name": shop.rehearsal.physical_id(BUCKET)}, "object": stored}
    return {"Records": [{"eventName": "ObjectCreated:Put", "s3": named}]}


def _missing_shipment(shop: Shop) -> Any:
    """A reminder of a shipment that nobody requested."""
    due = ShipmentDue(order_id=f"{POISON}-order_id", due_at=datetime.now(UTC) - timedelta(days=1))
    envelope = CloudEvent.wrap(due, Cause(correlation_id=POISON, causation_id=POISON))
    return {"detail": json.loads(envelope.to_json())}


_NEVER_WAS: dict[str, Callable[[Shop], Any]] = {
    "Inventory/ImportStockFile/Queue": _missing_file,
    "Shipping/WatchDeadline/Queue": _missing_shipment,
}
"""What comes into queues that neither a rule nor a topic fills."""
