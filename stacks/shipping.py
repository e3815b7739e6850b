"""Shipping: parcels, the carrier's callbacks, and deadlines."""

from typing import Any

from aws_cdk import CfnOutput, Duration
from constructs import Construct

from lambdas.eventing.callback import CallbackSettings
from lambdas.shipping import (
    recall_shipment,
    request_shipment,
    take_carrier_event,
    watch_deadline,
)
from lambdas.shipping.settings import ReminderSettings, RequestSettings, Settings
from stacks.constructs.api import Api
from stacks.constructs.bus import DELIVERY_AGE, DELIVERY_ATTEMPTS
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.partner import carrier as carrier_of
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import WAITING_MB
from stacks.constructs.queue_consumer import QueueConsumer
from stacks.constructs.reminders import Reminders
from stacks.constructs.signing_secret import SigningSecret

_TIMEOUT = Duration.seconds(70)
"""For a request: a parcel is opened, its label bought and, after a cancellation, refunded (56
seconds at most)."""

_DELIVERY_HOURS = 5 * 24
"""The promised time from the confirmation of an order to its delivery."""


class Shipping(ContextStack):
    """Has orders carried to their customers, and back. One shipment per order."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(self, "Shipments", platform=platform)
        carrier = carrier_of(self, platform=platform)
        secret = self._carrier_secret()
        self.settings = Settings(
            table_name=self.table.settings.table_name,
            inbox_days=self.table.settings.inbox_days,
            carrier=platform.environment.carrier,
            carrier_resource=carrier.setting,
        )
        watch = self.consumer(QueueConsumer, "WatchDeadline", watch_deadline.handler)
        reminders = Reminders(self, "Reminders", platform=platform, consumer=watch)
        request = self.consumer(
            EventConsumer,
            "RequestShipment",
            request_shipment.handler,
            environment={
                **platform.environment.dispatch.as_environment(),
                **_request_settings(reminders, watch).as_environment(),
            },
            timeout=_TIMEOUT,
            memory_mb=WAITING_MB,
            seconds_per_order=0.45,
            batch_size=1,  # a call that waits for the carrier must not delay others
        )
        recall = self.consumer(
            EventConsumer, "RecallShipment", recall_shipment.handler, batch_size=1
        )
        take = self.function(
            "TakeCarrierEvent",
            take_carrier_event.handler,
            environment={
                **CallbackSettings(callback_secret_arn=secret.secret_arn).as_environment(),
                **ReminderSettings(schedule_group_name=reminders.group.name).as_environment(),
            },
        )
        self._alarms()

        # Each scan of a parcel is a callback, whether or not it is news.
        api.callback("/carrier/events", take, per_order=6)
        reminders.allow_creating(request.function)
        reminders.allow_deleting(take)
        secret.allow(take)
        for asks_the_carrier in (request.function, recall.function, take):
            carrier.allow(asks_the_carrier)

    def _carrier_secret(self) -> SigningSecret:
        secret = SigningSecret(
            self,
            "CarrierSecret",
            platform=self.platform,
            description="What the carrier signs its call-backs with",
            why_it_stays="The carrier holds it, too: it changes by agreement, and the old key is "
            "believed beside the new one for as long as that takes.",
        )
        CfnOutput(
            self,
            "CarrierSecretArn",
            value=secret.secret_arn,
            description="What the carrier signs its call-backs with",
        )
        return secret

    def _alarms(self) -> None:
        self.alarm(
            "Overdue",
            "OverdueShipments",
            threshold=5,
            meaning="Several parcels were not delivered in time.",
            page="shipments-are-overdue",
        )
        self.alarm(
            "TooLate",
            "RecallsTooLate",
            threshold=5,
            meaning="Several orders were cancelled when their parcels had left for good.",
            page="recalls-come-too-late",
        )
        self.alarm(
            "Failed",
            "FailedDeliveries",
            threshold=1,
            meaning="The carrier gave up delivering a parcel.",
            page="a-parcel-cannot-be-delivered",
        )
        self.alarm(
            "Forged",
            "ForgedCallbacks",
            threshold=5,
            meaning="Call-backs come with signatures that do not hold.",
            page="call-backs-are-refused",
        )


def _request_settings(reminders: Reminders, watch: QueueConsumer) -> RequestSettings:
    return RequestSettings(
        delivery_hours=_DELIVERY_HOURS,
        schedule_group_name=reminders.group.name,
        schedule_role_arn=reminders.role.role_arn,
        reminder_queue_arn=watch.queue.queue_arn,
        reminder_parking_arn=watch.queue.parking.queue_arn,
        # Both are also the scheduler's own maximum:
        # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
        reminder_attempts=DELIVERY_ATTEMPTS,
        reminder_age_s=int(DELIVERY_AGE.to_seconds()),
    )
