"""Metrics for alarms and dashboards: those that handlers log, and ratios."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from stacks.constructs.platform import Platform

FIVE_MINUTES = Duration.minutes(5)
"""The period of metrics, unless they are rarer."""


def namespace(platform: Platform) -> str:
    """Returns the namespace of the stage's own metrics."""
    return f"Orderflow/{platform.environment.name}"


def service_metric(
    platform: Platform,
    *,
    context: str,
    name: str,
    statistic: str = "Sum",
    period: Duration = FIVE_MINUTES,
) -> cloudwatch.Metric:
    """Returns the metric that the handlers of a context count as `name`, over a period."""
    return cloudwatch.Metric(
        namespace=namespace(platform),
        metric_name=name,
        dimensions_map={"service": context},
        statistic=statistic,
        period=period,
    )


def sms_spending() -> cloudwatch.Metric:
    """Returns the account's spending on SMS in this month, in US dollars.

    https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
    """
    return cloudwatch.Metric(
        namespace="AWS/SNS",
        metric_name="SMSMonthToDateSpentUSD",
        statistic="Maximum",
        period=FIVE_MINUTES,
    )


def share(
    part: cloudwatch.IMetric, whole: cloudwatch.IMetric, *, label: str
) -> cloudwatch.MathExpression:
    """Returns `part` as a percentage of `whole` within five minutes; 0 if `whole` is under 20."""
    return cloudwatch.MathExpression(
        expression="IF(whole >= 20, 100 * part / whole, 0)",
        using_metrics={"part": part, "whole": whole},
        label=label,
        period=FIVE_MINUTES,
    )
