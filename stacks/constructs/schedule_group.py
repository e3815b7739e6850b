"""A group of schedules, its role, and alarms on failed deliveries."""

from typing import cast

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from stacks.constructs.alarm import watch_metrics
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
    """The schedules of one consumer, because schedules have metrics only by group."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform) -> None:
        # Its schedules are useless without the stack's queues.
        super().__init__(
            scope,
            id_,
            schedule_group_name=name_of(scope, max_length=64),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.name = cast(scheduler.CfnScheduleGroup, self.node.default_child).ref
        """The name as a reference, so that users of the group depend on it."""
        watch_metrics(
            self,
            _METRICS,
            platform=platform,
            namespace="AWS/Scheduler",
            dimensions={"ScheduleGroup": self.name},
            page="a-schedule-cannot-deliver",
        )

    def role_for(self, consumer: QueueConsumer) -> iam.Role:
        """Returns the role of this group's schedules: it may send messages to `consumer`.

        The trust policy names the group, because the scheduler assumes the role for a group.
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
