"""Alarms: each watches what there is, fires soon and early enough, and tells somebody."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal import Assembly, Properties, Resource
from stacks.constructs.packaging import PROJECT

MINUTE_S = 60


@dataclass(frozen=True)
class Watch:
    """How a metric is watched: by which dimensions, how it is summed up, from what on, how soon."""

    dimensions: str
    statistic: str
    at_most: float
    """The threshold of one who waits longest before they tell."""
    within_s: int = 5 * MINUTE_S
    """The time until they tell at the latest, once it is reached."""


_BUS = "EventBusName RuleName"
_LATER = 15 * MINUTE_S
WATCHED: dict[tuple[str, str], Watch] = {
    ("AWS/ApiGateway", "4xx"): Watch("ApiId Stage", "Sum", 50, _LATER),
    ("AWS/ApiGateway", "5xx"): Watch("ApiId Stage", "Sum", 5),
    ("AWS/ApiGateway", "Count"): Watch("ApiId Stage", "Sum", 50, _LATER),
    ("AWS/ApiGateway", "Latency"): Watch("ApiId Stage", "p99", 3_000, _LATER),
    ("AWS/Events", "FailedInvocations"): Watch(_BUS, "Sum", 1),
    ("AWS/Events", "InvocationsSentToDlq"): Watch(_BUS, "Sum", 1),
    ("AWS/Events", "InvocationsFailedToBeSentToDlq"): Watch(_BUS, "Sum", 1),
    ("AWS/Kinesis", "PutRecords.FailedRecords"): Watch("StreamName", "Sum", 1, _LATER),
    ("AWS/Kinesis", "WriteProvisionedThroughputExceeded"): Watch("StreamName", "Sum", 1, _LATER),
    ("AWS/Lambda", "Errors"): Watch("FunctionName", "Sum", 5),
    ("AWS/Lambda", "IteratorAge"): Watch("FunctionName", "Maximum", 300_000),
    ("AWS/Lambda", "Throttles"): Watch("FunctionName", "Sum", 5, _LATER),
    ("AWS/SNS", "NumberOfNotificationsFailed"): Watch("TopicName", "Sum", 1),
    ("AWS/SNS", "NumberOfNotificationsRedrivenToDlq"): Watch("TopicName", "Sum", 1),
    ("AWS/SNS", "NumberOfNotificationsFailedToRedriveToDlq"): Watch("TopicName", "Sum", 1),
    ("AWS/SNS", "SMSMonthToDateSpentUSD"): Watch("", "Maximum", 1),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): Watch("QueueName", "Maximum", 900),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): Watch("QueueName", "Maximum", 1, MINUTE_S),
    ("AWS/Scheduler", "InvocationDroppedCount"): Watch("ScheduleGroup", "Sum", 1),
    ("AWS/Scheduler", "InvocationsFailedToBeSentToDeadLetterCount"): Watch(
        "ScheduleGroup", "Sum", 1
    ),
    ("AWS/States", "ExecutionThrottled"): Watch("StateMachineArn", "Sum", 5),
    ("AWS/States", "ExecutionsAborted"): Watch("StateMachineArn", "Sum", 1),
    ("AWS/States", "ExecutionsFailed"): Watch("StateMachineArn", "Sum", 5),
    ("AWS/States", "ExecutionsTimedOut"): Watch("StateMachineArn", "Sum", 5),
    ("Orderflow", "EscalatedReturns"): Watch("service", "Sum", 1),
    ("Orderflow", "ExpiredOrders"): Watch("service", "Sum", 1),
    ("Orderflow", "ForgedCallbacks"): Watch("service", "Sum", 5),
    ("Orderflow", "OverdueShipments"): Watch("service", "Sum", 5),
    ("Orderflow", "RecallsTooLate"): Watch("service", "Sum", 5),
    ("Orderflow", "StrayObjects"): Watch("service", "Sum", 1),
    ("Orderflow", "PlacedToConfirmed"): Watch("service", "p90", 60_000, _LATER),
    ("Orderflow", "OrdersPlaced"): Watch("service", "Sum", 50, _LATER),
    ("Orderflow", "OrdersRejected"): Watch("service", "Sum", 50, _LATER),
}
"""All that is watched, by namespace and name; a stage has a namespace of its own in `Orderflow`.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html
"""


def metrics(alarm: Resource) -> Iterator[Properties]:
    """What an alarm watches: one metric, or those of an expression, in the same words."""
    if "MetricName" in alarm.properties:
        yield alarm.properties
    for part in alarm.properties.get("Metrics", []):
        if stated := part.get("MetricStat"):
            yield {**stated["Metric"], "Statistic": stated["Stat"], "Period": stated["Period"]}


def name_of(metric: Properties) -> tuple[str, str]:
    namespace: str = metric["Namespace"]
    own = namespace.startswith("Orderflow/")
    return ("Orderflow" if own else namespace, metric["MetricName"])


def watches(shop: Assembly) -> Iterator[tuple[Resource, Properties, Watch]]:
    for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
        found = list(metrics(alarm))
        assert found, alarm
        for metric in found:
            yield alarm, metric, WATCHED[name_of(metric)]


def test_all_that_is_listed_is_watched_and_nothing_else(shop: Assembly) -> None:
    found = {name_of(metric) for _, metric, _ in watches(shop)}
    assert found == WATCHED.keys()


def test_each_watches_the_stage_and_by_the_dimensions_that_its_metric_has(
    shop: Assembly, stage: str
) -> None:
    """With other dimensions there is no such metric, and the alarm never fires."""
    for alarm, metric, watch in watches(shop):
        names = [dimension["Name"] for dimension in metric.get("Dimensions", [])]
        assert names == watch.dimensions.split(), alarm
        if watch.dimensions == "service":
            assert metric["Namespace"] == f"Orderflow/{stage}", alarm


def test_each_fires_when_something_is_wrong_and_soon(shop: Assembly) -> None:
    for alarm, metric, watch in watches(shop):
        properties = alarm.properties
        statistic = metric.get("Statistic", metric.get("ExtendedStatistic"))
        assert statistic == watch.statistic, alarm
        assert properties["ComparisonOperator"] == "GreaterThanOrEqualToThreshold", alarm
        assert 0 < properties["Threshold"] <= watch.at_most, alarm
        takes_s = metric["Period"] * properties["EvaluationPeriods"]
        assert takes_s <= watch.within_s, alarm
        assert properties.get("ActionsEnabled", True) is True, alarm


def test_a_metric_of_ones_own_is_named_as_the_code_counts_it(shop: Assembly) -> None:
    """The code is read as text: a name is there, or a part of one that is put together."""
    code = "".join(path.read_text() for path in (PROJECT / "lambdas").rglob("*.py"))
    own = {name for namespace, name in WATCHED if namespace == "Orderflow"}
    assert {name for name in own if f'"{name}"' not in code} == set()


def test_an_expression_watches_a_share_and_not_a_number(shop: Assembly) -> None:
    """So that it means the same on a busy and on a quiet day, and nothing at night."""
    expressions: list[dict[str, Any]] = [
        part
        for alarm in shop.of_type("AWS::CloudWatch::Alarm")
        for part in alarm.properties.get("Metrics", [])
        if "Expression" in part
    ]
    assert expressions
    for part in expressions:
        assert part["Expression"] == "IF(whole >= 20, 100 * part / whole, 0)"
