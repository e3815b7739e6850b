"""Alarms: each notifies the alarm topic and names its page in the runbook."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from stacks.constructs.platform import Platform
from stacks.constructs.runbook import RUNBOOK


class Alarm(cloudwatch.Alarm):
    """Fires when `metric` reaches `threshold` for `periods` periods.

    Missing data count as good, or as bad if the metric is `expected`: CloudWatch looks back three
    periods for the last value before it counts one as missing.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        metric: cloudwatch.IMetric,
        threshold: float,
        meaning: str,
        page: str,
        periods: int = 1,
        expected: bool = False,
    ) -> None:
        super().__init__(
            scope,
            id_,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING
            if expected
            else cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=f"{meaning} What to do: {RUNBOOK}#{page}",
        )
        self.add_alarm_action(actions.SnsAction(platform.alarm_topic))


def watch_metrics(
    scope: Construct,
    meanings: Mapping[str, str],
    *,
    platform: Platform,
    namespace: str,
    dimensions: Mapping[str, str],
    page: str,
    threshold: float = 1,
) -> list[Alarm]:
    """Returns an alarm for each metric of an AWS service in `meanings`: its sum in five minutes."""
    return [
        Alarm(
            scope,
            name,
            platform=platform,
            metric=cloudwatch.Metric(
                namespace=namespace,
                metric_name=name,
                dimensions_map=dimensions,
                statistic="Sum",
                period=Duration.minutes(5),
            ),
            threshold=threshold,
            meaning=meaning,
            page=page,
        )
        for name, meaning in meanings.items()
    ]
