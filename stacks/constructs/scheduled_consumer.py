"""A consumer on a schedule: schedule, queue, dead-letter queue and function."""

import json
from typing import Any

import msgspec
from aws_cdk import Duration
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from lambdas.eventing.consumer import Consumer
from lambdas.eventing.event import Cause, CloudEvent, Event
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import QueueConsumer
from stacks.constructs.schedule_group import ScheduleGroup

_ATTEMPTS = 10


class ScheduledConsumer(QueueConsumer):
    """Sends `event` to `consumer` regularly; the options are those of `QueueConsumer`.

    The dead-letter queue also receives events that could not be delivered before the next one.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        consumer: Consumer[Any],
        event: Event,
        every: Duration,
        synthetic: bool = False,
        enabled: bool = True,
        **options: Any,
    ) -> None:
        """`synthetic` marks the event, and all that follows from it, as a test."""
        super().__init__(scope, id_, platform=platform, consumer=consumer, **options)
        group = ScheduleGroup(self, "Group", platform=platform)
        scheduler.CfnSchedule(
            self,
            "Schedule",
            description=f"Has {consumer.name} run",
            state="ENABLED" if enabled else "DISABLED",
            schedule_expression=f"rate({int(every.to_minutes())} minutes)",
            group_name=group.name,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self.queue.queue_arn,
                role_arn=group.role_for(self).role_arn,
                input=json.dumps(_message(event, synthetic=synthetic)),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(
                    arn=self.queue.parking.queue_arn
                ),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=every.to_seconds(),
                    maximum_retry_attempts=_ATTEMPTS,
                ),
            ),
        )


def _message(event: Event, *, synthetic: bool) -> dict[str, Any]:
    """Returns the message: the event, with the id and time of each execution of the schedule.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    execution = "<aws.scheduler.execution-id>"
    envelope = CloudEvent.wrap(event, Cause(correlation_id=execution), synthetic=synthetic)
    detail: dict[str, Any] = msgspec.json.decode(envelope.to_json())
    return {"detail": {**detail, "id": execution, "time": "<aws.scheduler.scheduled-time>"}}
