"""A consumer that the clock wakes: schedule, buffer, dead-letter queue and function."""

import json
from typing import Any

import msgspec
from aws_cdk import Duration, Names, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from lambdas.eventing.consumer import Consumer
from lambdas.eventing.event import Cause, CloudEvent, Event
from stacks.constructs.alarm import Alarm
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import QueueConsumer

_ATTEMPTS = 10

_DROPPED = {
    "InvocationDroppedCount": "The scheduler gave up waking a consumer.",
    "InvocationsFailedToBeSentToDeadLetterCount": "The scheduler could not even park a message.",
}
"""https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html"""


class ScheduledConsumer(QueueConsumer):
    """Has `consumer` handle `event` again and again; the options are those of `QueueConsumer`.

    What could not be delivered before the next time is parked with what could not be processed.
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
        **options: Any,
    ) -> None:
        super().__init__(scope, id_, platform=platform, consumer=consumer, **options)
        # Metrics of schedules are told apart by their group alone.
        group = scheduler.ScheduleGroup(
            self,
            "Group",
            schedule_group_name=Names.unique_resource_name(self, max_length=64, separator="-"),
            removal_policy=RemovalPolicy.DESTROY,
        )
        scheduler.CfnSchedule(
            self,
            "Schedule",
            description=f"Has {consumer.name} run",
            schedule_expression=f"rate({int(every.to_minutes())} minutes)",
            group_name=group.schedule_group_name,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self.queue.queue_arn,
                role_arn=self._role(group).role_arn,
                input=json.dumps(_message(event)),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(
                    arn=self.queue.parking.queue_arn
                ),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=every.to_seconds(),
                    maximum_retry_attempts=_ATTEMPTS,
                ),
            ),
        )
        for name, meaning in _DROPPED.items():
            Alarm(
                self,
                name,
                platform=platform,
                metric=cloudwatch.Metric(
                    namespace="AWS/Scheduler",
                    metric_name=name,
                    dimensions_map={"ScheduleGroup": group.schedule_group_name},
                    statistic="Sum",
                    period=Duration.minutes(5),
                ),
                threshold=1,
                meaning=meaning,
                page="a-schedule-cannot-deliver",
            )

    def _role(self, group: scheduler.ScheduleGroup) -> iam.Role:
        """What the scheduler acts as, for schedules of this group and nothing else.

        https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
        """
        role = iam.Role(
            self,
            "SchedulerRole",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={
                    "StringEquals": {
                        "aws:SourceAccount": Stack.of(self).account,
                        "aws:SourceArn": group.schedule_group_arn,
                    }
                },
            ),
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn, self.queue.parking.queue_arn],
            )
        )
        return role


def _message(event: Event) -> dict[str, Any]:
    """What the consumer reads: the event, with the id and time of the schedule's each execution.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    execution = "<aws.scheduler.execution-id>"
    envelope = CloudEvent.wrap(event, Cause(correlation_id=execution))
    detail: dict[str, Any] = msgspec.json.decode(envelope.to_json())
    return {"detail": {**detail, "id": execution, "time": "<aws.scheduler.scheduled-time>"}}
