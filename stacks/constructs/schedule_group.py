"""A group of schedules: what it may do, and alarms for what it fails to deliver."""

from typing import cast

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from stacks.constructs.alarm import Alarm
from stacks.constructs.naming import name_of
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import QueueConsumer

SCHEDULER = "scheduler.amazonaws.com"

_METRICS = {
    "InvocationDroppedCount": "The scheduler gave up delivering what was scheduled.",
    "InvocationsFailedToBeSentToDeadLetterCount": "The scheduler could not even park what was "
    "scheduled: it is lost.",
}
"""https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html"""


class ScheduleGroup(scheduler.ScheduleGroup):
    """Schedules that wake one consumer: metrics of schedules are told apart by group alone."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform) -> None:
        # Without the stack's queues its schedules would have nowhere to go.
        super().__init__(
            scope,
            id_,
            schedule_group_name=name_of(scope, max_length=64),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.name = cast(scheduler.CfnScheduleGroup, self.node.default_child).ref
        """The name as a reference, so that whatever uses the group waits for it."""
        for name, meaning in _METRICS.items():
            Alarm(
                self,
                name,
                platform=platform,
                metric=cloudwatch.Metric(
                    namespace="AWS/Scheduler",
                    metric_name=name,
                    dimensions_map={"ScheduleGroup": self.name},
                    statistic="Sum",
                    period=Duration.minutes(5),
                ),
                threshold=1,
                meaning=meaning,
                page="a-schedule-cannot-deliver",
            )

    def role_for(self, consumer: QueueConsumer) -> iam.Role:
        """What the scheduler acts as for schedules of this group: it may wake `consumer`.

        The trust is in the group; the scheduler knows no single schedule when it takes the role.
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
        """
        role = iam.Role(
            self,
            "Role",
            description="Puts messages of schedules into a queue",
            assumed_by=iam.ServicePrincipal(
                SCHEDULER,
                conditions={
                    "StringEquals": {
                        "aws:SourceAccount": Stack.of(self).account,
                        "aws:SourceArn": self.schedule_group_arn,
                    }
                },
            ),
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["sqs:SendMessage"],
                resources=[consumer.queue.queue_arn, consumer.queue.parking.queue_arn],
            )
        )
        return role
