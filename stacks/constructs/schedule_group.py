"""A group of schedules, and alarms for what it fails to deliver."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from stacks.constructs.alarm import Alarm
from stacks.constructs.platform import Platform

_METRICS = {
    "InvocationDroppedCount": "The scheduler gave up delivering what was scheduled.",
    "InvocationsFailedToBeSentToDeadLetterCount": "The scheduler could not even park what was "
    "scheduled: it is lost.",
}
"""https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html"""


class ScheduleGroup(scheduler.ScheduleGroup):
    """Schedules with the same target: their metrics are told apart by their group alone."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform) -> None:
        # Without the stack's queues its schedules would have nowhere to go.
        super().__init__(scope, id_, removal_policy=RemovalPolicy.DESTROY)
        for name, meaning in _METRICS.items():
            Alarm(
                self,
                name,
                platform=platform,
                metric=cloudwatch.Metric(
                    namespace="AWS/Scheduler",
                    metric_name=name,
                    dimensions_map={"ScheduleGroup": self.schedule_group_name},
                    statistic="Sum",
                    period=Duration.minutes(5),
                ),
                threshold=1,
                meaning=meaning,
                page="a-schedule-cannot-deliver",
            )
