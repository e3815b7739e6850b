"""Shipping: parcels, the carrier's call-backs, and deadlines."""

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
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
from stacks.constructs.acknowledge import SOLUTIONS, acknowledge
from stacks.constructs.alarm import Alarm
from stacks.constructs.api import Api
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.metric import service_metric
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queue_consumer import QueueConsumer
from stacks.constructs.reminders import Reminders

_DELIVERY_HOURS = 5 * 24
"""What the shop promises its customers, from the confirmation of an order to its delivery."""


class Shipping(Stack):
    """Has orders carried to their customers, and back. One shipment per order."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        shipments = OutboxTable(self, "Shipments", platform=platform, publishes=events.PUBLISHED)
        sandbox = dynamodb.TableV2(
            self,
            "SandboxCarrier",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            billing=dynamodb.Billing.on_demand(),
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=platform.environment.keeps_data,
            removal_policy=platform.environment.removal_policy,
        )
        secret = _carrier_secret(self, platform=platform)
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
        take.add_to_role_policy(
            iam.PolicyStatement(
                actions=["secretsmanager:GetSecretValue"], resources=[secret.secret_arn]
            )
        )
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


def _carrier_secret(scope: Construct, *, platform: Platform) -> secretsmanager.Secret:
    secret = secretsmanager.Secret(
        scope,
        "CarrierSecret",
        description="What the carrier signs its call-backs with",
        generate_secret_string=secretsmanager.SecretStringGenerator(
            password_length=64, exclude_punctuation=True
        ),
        removal_policy=platform.environment.removal_policy,
    )
    acknowledge(
        secret,
        {
            f"{SOLUTIONS}SMG4": "The carrier holds it, too: it changes by agreement, and the old "
            "key is believed beside the new one for as long as that takes."
        },
    )
    return secret
