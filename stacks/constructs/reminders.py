"""Reminders: one-time schedules that a function creates for a consumer."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.constructs.acknowledge import SOLUTIONS, acknowledge
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import QueueConsumer
from stacks.constructs.schedule_group import SCHEDULER, ScheduleGroup


class Reminders(Construct):
    """A group of schedules that may only send messages to the queue of `consumer`.

    Each schedule has to name the `group`, the `role`, and the queue's dead-letter queue.
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, consumer: QueueConsumer
    ) -> None:
        super().__init__(scope, id_)
        self.group = ScheduleGroup(self, "Group", platform=platform)
        self.role = self.group.role_for(consumer)

    def allow_creating(self, function: lambda_.Function) -> None:
        """Grants `function` creating schedules in this group with its role."""
        self._allow(function, "scheduler:CreateSchedule")
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["iam:PassRole"],
                resources=[self.role.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": SCHEDULER}},
            )
        )

    def allow_deleting(self, function: lambda_.Function) -> None:
        """Grants `function` deleting schedules of this group."""
        self._allow(function, "scheduler:DeleteSchedule")

    def _allow(self, function: lambda_.Function, action: str) -> None:
        group = self.group.schedule_group_name
        schedules = Stack.of(self).format_arn(
            service="scheduler",
            resource="schedule",
            resource_name=f"{group}/*",
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        function.add_to_role_policy(iam.PolicyStatement(actions=[action], resources=[schedules]))
        arn = "arn:<AWS::Partition>:scheduler:<AWS::Region>:<AWS::AccountId>"
        acknowledge(
            function.role or function,
            {
                f"{SOLUTIONS}IAM5[Resource::{arn}:schedule/{group}/*]": "The group is named. Its "
                "schedules are made one by one, each with a name of its own."
            },
        )
