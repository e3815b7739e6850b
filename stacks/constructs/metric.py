"""Metrics as alarms and dashboards read them: those of handlers' logs, and shares."""

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


def sms_spending() -> cloudwatch.Metric:
    """What the account has spent on SMS since the month began, in US dollars.

    https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
    """
    return cloudwatch.Metric(
        namespace="AWS/SNS",
        metric_name="SMSMonthToDateSpentUSD",
        statistic="Maximum",
        period=Duration.minutes(5),
    )


def share(
    part: cloudwatch.IMetric, whole: cloudwatch.IMetric, *, label: str
) -> cloudwatch.MathExpression:
    """How many per cent of `whole` are `part` within five minutes; 0 where there is hardly any."""
    return cloudwatch.MathExpression(
        expression="IF(whole >= 20, 100 * part / whole, 0)",
        using_metrics={"part": part, "whole": whole},
        label=label,
        period=Duration.minutes(5),
    )
