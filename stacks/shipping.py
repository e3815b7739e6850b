"""Shipping: parcels, the carrier's call-backs, and deadlines."""

from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from lambdas.eventing.callback import CallbackSettings
from lambdas.shipping import (
    events,
    recall_shipment,
    request_shipment,
    take_carrier_event,
    watch_deadline,
)
from lambdas.shipping.settings import RequestSettings, Settings
from stacks.constructs.alarm import Alarm
from stacks.constructs.api import Api
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.metric import service_metric
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queue_consumer import QueueConsumer
from stacks.constructs.reminders import Reminders
from stacks.constructs.rule import DELIVERY_AGE, DELIVERY_ATTEMPTS
from stacks.constructs.sandbox_table import SandboxTable
from stacks.constructs.signing_secret import SigningSecret

_DELIVERY_HOURS = 5 * 24
"""What the shop promises its customers, from the confirmation of an order to its delivery."""


class Shipping(Stack):
    """Has orders carried to their customers, and back. One shipment per order."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        shipments = OutboxTable(self, "Shipments", platform=platform, publishes=events.PUBLISHED)
        sandbox = SandboxTable(self, "SandboxCarrier", platform=platform)
        secret = SigningSecret(
            self,
            "CarrierSecret",
            platform=platform,
            description="What the carrier signs its call-backs with",
            why_it_stays="The carrier holds it, too: it changes by agreement, and the old key is "
            "believed beside the new one for as long as that takes.",
        )
        settings = Settings(
            table_name=shipments.settings.table_name,
            inbox_days=shipments.settings.inbox_days,
            carrier_table_name=sandbox.table_name,
        )

        watch = QueueConsumer(
            self,
            "WatchDeadline",
            platform=platform,
            consumer=watch_deadline.handler,
            table=shipments,
            operations=["GetItem", "PutItem"],
            settings=settings,
        )
        reminders = Reminders(self, "Reminders", platform=platform, consumer=watch)
        request = EventConsumer(
            self,
            "RequestShipment",
            platform=platform,
            consumer=request_shipment.handler,
            table=shipments,
            operations=["GetItem", "PutItem"],
            settings=RequestSettings(
                table_name=settings.table_name,
                inbox_days=settings.inbox_days,
                carrier_table_name=settings.carrier_table_name,
                delivery_hours=_DELIVERY_HOURS,
                schedule_group_name=reminders.group.name,
                schedule_role_arn=reminders.role.role_arn,
                reminder_queue_arn=watch.queue.queue_arn,
                reminder_parking_arn=watch.queue.parking.queue_arn,
                # Both are also the scheduler's own bounds:
                # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
                reminder_attempts=DELIVERY_ATTEMPTS,
                reminder_age_s=int(DELIVERY_AGE.to_seconds()),
            ),
        )
        recall = EventConsumer(
            self,
            "RecallShipment",
            platform=platform,
            consumer=recall_shipment.handler,
            table=shipments,
            operations=["GetItem", "PutItem"],
            settings=settings,
        )
        take = PythonFunction(
            self,
            "TakeCarrierEvent",
            platform=platform,
            handler=take_carrier_event.handler,
            settings=settings,
            environment=CallbackSettings(callback_secret_arn=secret.secret_arn).as_environment(),
        )
        api.callback("/carrier/events", take)

        reminders.allow(request.function)
        shipments.allow(take, "GetItem", "PutItem")
        secret.allow(take)
        for asks_the_carrier in (request.function, recall.function):
            sandbox.grant(asks_the_carrier, "dynamodb:UpdateItem")

        Alarm(
            self,
            "Overdue",
            platform=platform,
            metric=service_metric(platform, context="shipping", name="OverdueShipments"),
            threshold=5,
            meaning="Several parcels were not delivered in time.",
            page="shipments-are-overdue",
        )
        Alarm(
            self,
            "TooLate",
            platform=platform,
            metric=service_metric(platform, context="shipping", name="RecallsTooLate"),
            threshold=5,
            meaning="Several orders were cancelled when their customers had them already.",
            page="recalls-come-too-late",
        )
        Alarm(
            self,
            "Forged",
            platform=platform,
            metric=service_metric(platform, context="shipping", name="ForgedCallbacks"),
            threshold=5,
            meaning="Call-backs come with signatures that do not hold.",
            page="call-backs-are-refused",
        )
        CfnOutput(
            self,
            "CarrierSecretArn",
            value=secret.secret_arn,
            description="What the carrier signs its call-backs with",
        )
