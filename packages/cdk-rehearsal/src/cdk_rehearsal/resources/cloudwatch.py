"""AWS::CloudWatch: alarms."""

from typing import Any

from moto.cloudwatch.models import (
    Dimension,
    Metric,
    MetricDataQuery,
    MetricStat,
    cloudwatch_backends,
)

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates

_NO_METRIC: dict[str, Any] = dict.fromkeys(
    (
        *("namespace", "metric_name", "comparison_operator", "evaluation_periods", "period"),
        *("threshold", "statistic"),
    )
)
"""What a composite alarm does not have."""


@creates("AWS::CloudWatch::Alarm")
def create_alarm(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an alarm on a metric or on metric math.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-alarm.html
    """
    properties.ignore("Tags", "ThresholdMetricId")
    core = deployment.core
    name = properties.take("AlarmName") or resource.generated_name(255)
    # Without a client: an application has hundreds of alarms.
    alarm = cloudwatch_backends[core.account][core.region].put_metric_alarm(
        name=name,
        namespace=properties.take("Namespace"),
        metric_name=properties.take("MetricName"),
        comparison_operator=properties.require("ComparisonOperator"),
        evaluation_periods=int(properties.require("EvaluationPeriods")),
        datapoints_to_alarm=properties.optional_integer("DatapointsToAlarm"),
        period=properties.integer("Period", 0),
        threshold=float(properties.take("Threshold", 0)),
        statistic=properties.take("Statistic"),
        description=properties.take("AlarmDescription"),
        dimensions=properties.take("Dimensions", []),
        alarm_actions=properties.take("AlarmActions", []),
        ok_actions=properties.take("OKActions", []),
        insufficient_data_actions=properties.take("InsufficientDataActions", []),
        unit=properties.take("Unit"),
        actions_enabled=properties.boolean("ActionsEnabled", True),
        treat_missing_data=properties.take("TreatMissingData"),
        evaluate_low_sample_count_percentile=properties.take("EvaluateLowSampleCountPercentile"),
        metric_data_queries=[_query(each) for each in properties.take("Metrics", [])],
    )
    # moto accepts only percentiles.
    alarm.extended_statistic = properties.take("ExtendedStatistic")
    resource.physical_id = name
    resource.attributes = {"Arn": alarm.alarm_arn}


@creates("AWS::CloudWatch::CompositeAlarm")
def create_composite_alarm(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates an alarm on the states of others. It suppresses no actions: none are rehearsed.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-compositealarm.html
    """
    properties.ignore("Tags", "ActionsSuppressor")
    properties.ignore("ActionsSuppressorExtensionPeriod", "ActionsSuppressorWaitPeriod")
    core = deployment.core
    name = properties.take("AlarmName") or resource.generated_name(255)
    alarm = cloudwatch_backends[core.account][core.region].put_metric_alarm(
        name=name,
        rule=str(properties.require("AlarmRule")),
        description=properties.take("AlarmDescription"),
        alarm_actions=properties.take("AlarmActions", []),
        ok_actions=properties.take("OKActions", []),
        insufficient_data_actions=properties.take("InsufficientDataActions", []),
        actions_enabled=properties.boolean("ActionsEnabled", True),
        **_NO_METRIC,
        dimensions=[],
        metric_data_queries=[],
    )
    resource.physical_id = name
    resource.attributes = {"Arn": alarm.alarm_arn}


def _query(query: dict[str, Any]) -> MetricDataQuery:
    stat = query.get("MetricStat")
    return MetricDataQuery(
        query_id=query["Id"],
        label=query.get("Label"),  # type: ignore[arg-type]
        period=query.get("Period"),  # type: ignore[arg-type]
        return_data=query.get("ReturnData", True),
        expression=query.get("Expression"),
        metric_stat=stat and _stat(stat),
    )


def _stat(stat: dict[str, Any]) -> MetricStat:
    metric = stat["Metric"]
    dimensions = [Dimension(each["Name"], each["Value"]) for each in metric.get("Dimensions", [])]
    return MetricStat(
        metric=Metric(metric["MetricName"], metric["Namespace"], dimensions),
        period=stat["Period"],
        stat=stat["Stat"],
        unit=stat.get("Unit"),  # type: ignore[arg-type]
    )
