"""How faults begin at a site and end: outages, replays and poison messages."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cdk_rehearsal import FAULTS, Arrival, Exchange, Fault, FaultSite
from lambdas.eventing.event import Cause, CloudEvent
from lambdas.inventory.supplier_files import INCOMING
from lambdas.shipping.events import ShipmentDue
from tools.demo.carrier import signed as signed_by_carrier
from tools.demo.stripe_host import signed as signed_by_provider
from tools.demo.supplier import BUCKET
from tools.faults.shop import RehearsedShop
from tools.faults.state import ParkedMessage

Begin = Callable[[RehearsedShop, FaultSite], None]

POISON = "poison"
"""A text in each poison message. Recovery discards parked messages that contain it."""

SIGNED: Mapping[str, Callable[[str, str], Mapping[str, str]]] = {
    "POST /carrier/events": signed_by_carrier,
    "POST /payments/events": signed_by_provider,
}
"""The routes whose callers sign. A function of a body and a key returns the headers."""

_OUTAGE_S = 3 * 3600
_WEEK_DAYS = 7
_WEEKS_DAYS = 13
_MONTH_DAYS = 30
_LARGEST = 1024 * 1024
"""Bytes of the largest message of SQS. Each stream of Kinesis accepts a record of this size.
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""


def nothing(shop: RehearsedShop, site: FaultSite) -> None:
    """Does nothing: the end of a fault that ends by itself or with the rehearsal's faults."""


def pause(shop: RehearsedShop, site: FaultSite) -> None:
    """Pauses the poller of a queue or stream for some hours."""

    def resume_later() -> None:
        shop.rehearsal.scheduler.sleep(_OUTAGE_S)
        shop.resume(site.target)

    shop.pause(site.target)
    shop.rehearsal.scheduler.spawn(resume_later)


def wait_for_weeks(shop: RehearsedShop, site: FaultSite) -> None:
    """Lets weeks pass until the redrive: idempotency keys of partners are forgotten by then.

    Dead-letter queues keep messages for 14 days.
    """
    shop.pass_time(days=_WEEKS_DAYS)


def mute(shop: RehearsedShop, site: FaultSite) -> None:
    """Lets a host act on a request of a function, and then answer none of its requests any more."""
    acted = False

    def answer(exchange: Exchange) -> Any:
        nonlocal acted
        acted = acted or exchange.operation == site.operation
        response = exchange.answer()
        return None if acted else response

    muted = Fault("host-mute", FAULTS["host-mute"].says, "web", answer, None)
    shop.rehearsal.faults.plan(muted, source=site.source)


def wait_for_a_month(shop: RehearsedShop, site: FaultSite) -> None:
    """Lets a month pass until the redrive. Partners have forgotten everything but their ledgers.

    Queues keep messages for 14 days at most. So each week an operator exports the parked messages,
    and in the end puts them into their dead-letter queues again (docs/runbook.md).
    """
    exported: defaultdict[str, list[ParkedMessage]] = defaultdict(list)
    for passed in range(0, _MONTH_DAYS, _WEEK_DAYS):
        for path in shop.parked():
            exported[path] += shop.take_messages(path)
        shop.pass_days(min(_WEEK_DAYS, _MONTH_DAYS - passed))
    for path, messages in exported.items():
        for message in messages:
            shop.rehearsal.queues.by_path(path).send(message.body, message.attributes)


def replay_after_a_month(shop: RehearsedShop, site: FaultSite) -> None:
    """Delivers all retained events again to one consumer, a month after the last one."""
    wait_for_a_month(shop, site)
    replay(shop, site)


def forge(arrival: Arrival) -> Any:
    """Delivers forgeries in place of a partner's request, and returns the last answer.

    One has another body, one is signed with another key, and one is not signed.
    """
    sign = SIGNED[f"{arrival.method} {arrival.path}"]
    signature = sign(arrival.body.decode(), "a guess")
    unsigned = {name: each for name, each in arrival.headers.items() if name not in signature}
    other = {**json.loads(arrival.body), "id": "another"}
    arrival.deliver(body=json.dumps(other).encode())
    arrival.deliver(headers={**unsigned, **signature})
    return arrival.deliver(headers=unsigned)


def replay(shop: RehearsedShop, site: FaultSite) -> None:
    """Delivers all retained events again to one consumer."""
    shop.replay(site.source)
    shop.settle()


def poison(make: Callable[[RehearsedShop, FaultSite], str]) -> Begin:
    """Returns a function that puts a message with this body into a queue or stream."""

    def begin(shop: RehearsedShop, site: FaultSite) -> None:
        body = make(shop, site)
        if site.kind == "queue":
            shop.rehearsal.queues.by_path(site.source).send(body)
        else:
            shop.rehearsal.client("kinesis").put_record(
                StreamName=shop.rehearsal.physical_id(site.source),
                Data=body.encode(),
                PartitionKey=POISON,
            )

    return begin


def no_json(shop: RehearsedShop, site: FaultSite) -> str:
    """Returns a text that is not JSON."""
    return f"{POISON}: this is not JSON"


def another_schema(shop: RehearsedShop, site: FaultSite) -> str:
    """Returns JSON of an unknown event type."""
    return json.dumps({"detail": {"type": f"{POISON}.v1", "data": {"order_id": 42}}})


def too_large(shop: RehearsedShop, site: FaultSite) -> str:
    """Returns an unknown event of the largest size that the service accepts."""
    return json.dumps({"detail": {"type": POISON, "data": "x" * (_LARGEST - 100)}})


def impossible(shop: RehearsedShop, site: FaultSite) -> str:
    """Returns a valid message about an order, item, customer or file that does not exist."""
    make = _OTHER_MESSAGES.get(site.source)
    if make is not None:
        return json.dumps(make(shop))
    event = shop.last_event_for(site.source)
    if event is None:
        return another_schema(shop, site)
    text = json.dumps({"detail": event})
    for name in ("id", "order_id", "subject", "sku", "customer_id"):
        text = re.sub(rf'("{name}"): "[^"]*"', rf'\1: "{POISON}-{name}"', text)
    return text.replace(f"{POISON}-subject", f"{POISON}-order_id")


def _missing_file(shop: RehearsedShop) -> Any:
    """Returns a notification about a version that was deleted in the meantime."""
    stored = {"key": f"{INCOMING}{POISON}.csv", "size": 1, "eTag": POISON, "versionId": POISON}
    named = {"bucket": {"name": shop.rehearsal.physical_id(BUCKET)}, "object": stored}
    return {"Records": [{"eventName": "ObjectCreated:Put", "s3": named}]}


def _missing_shipment(shop: RehearsedShop) -> Any:
    """Returns a reminder about an unknown shipment."""
    due = ShipmentDue(order_id=f"{POISON}-order_id", due_at=datetime.now(UTC) - timedelta(days=1))
    envelope = CloudEvent.wrap(due, Cause(correlation_id=POISON, causation_id=POISON))
    return {"detail": json.loads(envelope.to_json())}


_OTHER_MESSAGES: dict[str, Callable[[RehearsedShop], Any]] = {
    "Inventory/ImportStockFile/Queue": _missing_file,
    "Shipping/WatchDeadline/Queue": _missing_shipment,
}
"""Messages of the queues that neither a rule nor a topic fills."""
