"""The shipping context as its callers see it."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import time_machine

from lambdas.eventing import aws
from lambdas.eventing.attributes import Item
from lambdas.eventing.callback import CallbackSettings
from lambdas.eventing.event import CloudEvent, E
from lambdas.shipping import (
    recall_shipment,
    request_shipment,
    take_carrier_event,
    watch_deadline,
)
from lambdas.shipping.sandbox_carrier import SandboxCarrier
from lambdas.shipping.settings import Dispatch, RequestSettings, Settings
from tests.support.cloud import Cloud, Queue, Table, Vault
from tests.support.messages import CONTEXT, Answer, Call, batch, enveloped, failed
from tests.support.orders import ADDRESS, cancelled, confirmed, line
from tools.demo.carrier import signed
from tools.demo.easypost_host import STATUSES

ROUTE = "POST /carrier/events"
SECRET = "key-of-the-carrier"
HOURS = 120
SETTINGS = Settings(
    table_name="shipping",
    inbox_days=22,
    carrier="sandbox",
    carrier_resource="carrier",
)
DISPATCH = Dispatch(
    sender_name="The Shop",
    sender_street="Store Street 1",
    sender_postal_code="20357",
    sender_city="Hamburg",
    sender_country="DE",
    sender_phone="+49401234567",
    unit_weight_g=400,
    box_length_cm=30,
    box_width_cm=20,
    box_height_cm=15,
)
REQUESTS = RequestSettings(
    delivery_hours=HOURS,
    schedule_group_name="reminders",
    schedule_role_arn="arn:aws:iam::123456789012:role/reminders",
    reminder_queue_arn="arn:aws:sqs:eu-central-1:123456789012:reminders",
    reminder_parking_arn="arn:aws:sqs:eu-central-1:123456789012:reminders-parking",
    reminder_attempts=185,
    reminder_age_s=86_400,
)
ENVIRONMENT = {
    **SETTINGS.as_environment(),
    **DISPATCH.as_environment(),
    **REQUESTS.as_environment(),
}


@dataclass(frozen=True)
class Shipping:
    """Calls the context's functions as Lambda does, and plays the carrier."""

    table: Table
    carrier_table: Table
    """The carrier's table."""
    vault: Vault
    parking: Queue
    confirmed: dict[str, CloudEvent] = field(default_factory=dict)
    """The event of each order, the same for each delivery."""
    reminders: dict[str, str] = field(default_factory=dict)
    """The scheduled event of each order: it may be on its way when its schedule is deleted."""
    calls: list[Call] = field(default_factory=list)
    """The carrier's calls so far."""

    @classmethod
    def in_cloud(cls, cloud: Cloud) -> "Shipping":
        """Creates the context and the carrier with empty tables."""
        table = cloud.table(SETTINGS.table_name)
        carrier_table = cloud.table(SETTINGS.carrier_resource, sort_key=False)
        parking = cloud.queue("parking")
        aws.scheduler().create_schedule_group(Name=REQUESTS.schedule_group_name)
        secret = aws.secrets().create_secret(Name="carrier", SecretString=SECRET)
        cloud.configure(
            {
                **ENVIRONMENT,
                **CallbackSettings(callback_secret_arn=secret["ARN"]).as_environment(),
                "DEAD_LETTER_QUEUE_URL": parking.url,
            }
        )
        return cls(table, carrier_table, cloud.vault(), parking)

    def confirm(
        self, order_id: str = "order-1", *, postal_code: str = "SW1Y", deposit: bool = True
    ) -> bool:
        """Delivers the event of an order for three units, the same each time; False on failure.

        The vault has its address, or is left as it is without a `deposit`.
        """
        event = confirmed(line("MUG", 2), line("PEN", 1), order_id=order_id)
        address = msgspec.structs.replace(ADDRESS, postal_code=postal_code)
        if deposit:
            self.vault.deposit(event.claim, address)
        message = self.confirmed.setdefault(
            order_id, enveloped(event, correlation_id=f"correlation-of-{order_id}")
        )
        try:
            return failed(request_shipment.handler(batch(message), CONTEXT)) == []
        finally:
            with suppress(aws.scheduler().exceptions.ResourceNotFoundException):
                self.reminders[order_id] = self.schedule(order_id)["Target"]["Input"]

    def cancel(self, order_id: str = "order-1", *, confirmed: bool = True) -> bool:
        """Delivers the event of a cancelled order. False if it failed."""
        message = enveloped(cancelled(order_id, confirmed=confirmed))
        return failed(recall_shipment.handler(batch(message), CONTEXT)) == []

    def remind(self, order_id: str = "order-1") -> bool:
        """Delivers the scheduled event of an order. False if it failed."""
        return failed(watch_deadline.handler(batch(self.reminders[order_id]), CONTEXT)) == []

    def report(
        self,
        kind: str,
        order_id: str = "order-1",
        *,
        event_id: str | None = None,
        **changed: Any,
    ) -> Answer:
        """The carrier reports on an order's parcel; `changed` replaces fields of the tracker."""
        event = {
            "id": event_id or f"{kind}-{len(self.calls)}",
            "description": "tracker.updated",
            "created_at": "2026-01-08T09:30:00Z",
        }
        tracker = {
            "shipment_id": order_id,
            "tracking_code": self.parcel(order_id).get("tracking_id", "unknown"),
            "status": STATUSES.get(kind, kind),
            **changed,
        }
        return self.call(json.dumps({**event, "result": tracker}))

    def call(self, body: str, *, secret: str = SECRET) -> Answer:
        """The carrier calls back with a signed body."""
        self.calls.append(Call(route=ROUTE, body=body, headers=signed(body, secret)))
        return self.calls[-1].send(take_carrier_event.handler)

    def hand_over(self, order_id: str = "order-1") -> None:
        """The carrier delivers the parcel without reporting it."""
        SandboxCarrier(self.carrier_table.name).hand_over(order_id)

    def schedule(self, order_id: str = "order-1") -> dict[str, Any]:
        """The schedule of an order."""
        return dict(
            aws.scheduler().get_schedule(
                GroupName=REQUESTS.schedule_group_name, Name=f"shipment-{order_id}"
            )
        )

    def schedules(self) -> list[str]:
        """The names of all schedules."""
        found = aws.scheduler().list_schedules(GroupName=REQUESTS.schedule_group_name)
        return [schedule["Name"] for schedule in found["Schedules"]]

    def shipment(self, order_id: str = "order-1") -> Item:
        """The shop's record of an order's parcel, or nothing."""
        found = [item for item in self.table.items("shipment") if item["pk"].endswith(order_id)]
        return found[0] if found else {}

    def state(self, order_id: str = "order-1") -> Any:
        """The state of an order's shipment."""
        return self.shipment(order_id).get("state")

    def parcel(self, order_id: str = "order-1") -> Item:
        """The carrier's record of an order's parcel, or nothing."""
        found = [item for item in self.carrier_table.items("parcel") if item["pk"] == order_id]
        return found[0] if found else {}

    def published(self, order_id: str = "order-1") -> list[str]:
        """The names of the published events about an order, by time."""
        envelopes = [item for item in self.table.envelopes() if item.subject == order_id]
        envelopes.sort(key=lambda envelope: envelope.time)
        return [envelope.type.removesuffix(".v1") for envelope in envelopes]

    def event(self, event_type: type[E]) -> E:
        """The only event of its type."""
        (event,) = self.table.events(event_type)
        return event


def later(hours: float = HOURS + 1) -> time_machine.travel:
    """A context manager in which hours have passed: by default, more than the delivery time."""
    return time_machine.travel(datetime.now(UTC) + timedelta(hours=hours))
