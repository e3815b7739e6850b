"""Metrics that handlers write to their logs, as alarms and dashboards read them."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from stacks.constructs.platform import Platform


def namespace(platform: Platform) -> str:
    """Where the stage's own metrics are: stages in one account do not mix."""
    return f"Orderflow/{platform.environment.name}"


def service_metric(
    platform: Platform, *, context: str, name: str, statistic: str = "Sum"
) -> cloudwatch.Metric:
    """What the handlers of a context count under `name`, over five minutes."""
    return cloudwatch.Metric(
        namespace=namespace(platform),
        metric_name=name,
        dimensions_map={"service": context},
        statistic=statistic,
        period=Duration.minutes(5),
    )
