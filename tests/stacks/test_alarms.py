"""Alarms: each watches an existing metric and fires at a low threshold within minutes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal import Assembly, Properties, Resource
from tests.stacks.hops import is_custom
from workspace.isolation import PROJECT

MINUTE_S = 60


@dataclass(frozen=True)
class Watch:
    """The dimensions, statistic, threshold and delay with which a metric is watched."""

    dimensions: str
    statistic: str
    at_most: float
    """The highest accepted threshold."""
    within_s: int = 5 * MINUTE_S
    """The longest accepted time until the alarm fires, once the threshold is reached."""


_BUS, _SUBSCRIBER = "EventBusName RuleName", "EventBus Subscriber"
_LATER = 15 * MINUTE_S
WATCHED: dict[tuple[str, str], Watch] = {
    ("AWS/ApiGateway", "4xx"): Watch("ApiId Stage", "Sum", 50, _LATER),
    ("AWS/ApiGateway", "5xx"): Watch("ApiId Stage", "Sum", 5),
    ("AWS/ApiGateway", "Count"): Watch("ApiId Stage", "Sum", 50, _LATER),
    ("AWS/ApiGateway", "Latency"): Watch("ApiId Stage", "p99", 3_000, _LATER),
    ("AWS/Events", "FailedInvocations"): Watch(_BUS, "Sum", 1),
    ("AWS/Events", "InvocationsSentToDlq"): Watch(_BUS, "Sum", 1),
    ("AWS/Events", "InvocationsFailedToBeSentToDlq"): Watch(_BUS, "Sum", 1),
    ("AWS/EventsV2", "EventsDropped"): Watch(_SUBSCRIBER, "Sum", 1),
    ("AWS/EventsV2", "OnFailureDestinationDelivered"): Watch(_SUBSCRIBER, "Sum", 1),
    ("AWS/EventsV2", "OnFailureDestinationFailed"): Watch(_SUBSCRIBER, "Sum", 1),
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
    ("Orderflow", "CanaryOrder"): Watch("service", "Maximum", 60_000, 30 * MINUTE_S),
    ("Orderflow", "DisputedPayments"): Watch("service", "Sum", 1),
    ("Orderflow", "EscalatedReturns"): Watch("service", "Sum", 1),
    ("Orderflow", "ExpiringAuthorizations"): Watch("service", "Sum", 1),
    ("Orderflow", "ExpiredOrders"): Watch("service", "Sum", 1),
    ("Orderflow", "FailedEvents"): Watch("service", "Sum", 5),
    ("Orderflow", "FailedDeliveries"): Watch("service", "Sum", 1),
    ("Orderflow", "FailedRefunds"): Watch("service", "Sum", 1),
    ("Orderflow", "ForgedCallbacks"): Watch("service", "Sum", 5),
    ("Orderflow", "OverdueShipments"): Watch("service", "Sum", 5),
    ("Orderflow", "RecallsTooLate"): Watch("service", "Sum", 5),
    ("Orderflow", "RefundsOutside"): Watch("service", "Sum", 1),
    ("Orderflow", "PricesProposed"): Watch("service", "Sum", 1),
    ("Orderflow", "StrayObjects"): Watch("service", "Sum", 1),
    ("Orderflow", "UncollectedPayments"): Watch("service", "Sum", 1),
    ("Orderflow", "OrdersPlaced"): Watch("service", "Sum", 50, _LATER),
    ("Orderflow", "OrdersRejected"): Watch("service", "Sum", 50, _LATER),
}
"""The watched metrics by namespace and name; each stage has its own namespace in `Orderflow`.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html
"""

BUDGETS: dict[tuple[str, str], tuple[float, int]] = {
    ("Orderflow", "PlacedToConfirmed"): (99.5, 30_000),
    ("Orderflow", "RequestedToSent"): (99, 60_000),
}
"""Objectives: the percentage of a metric's values that are below so many milliseconds."""
BURNS = {3_600: 14.4, 6 * 3_600: 6.0}
"""How many times faster than allowed a budget burns when an alarm fires, by its window in seconds.
https://sre.google/workbook/alerting-on-slos/"""


def watched(shop: Assembly) -> set[tuple[str, str]]:
    """Those of `WATCHED` that the templates can have: each kind of bus has its own namespace."""
    absent = "AWS/Events" if is_custom(shop) else "AWS/EventsV2"
    return {(namespace, name) for namespace, name in WATCHED if namespace != absent}


def metrics(alarm: Resource) -> Iterator[Properties]:
    """The metrics of an alarm: one metric, or those of an expression in the same format."""
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
            if name_of(metric) not in BUDGETS:
                yield alarm, metric, WATCHED[name_of(metric)]


def test_each_budget_has_an_alarm_for_each_rate_at_which_it_burns(
    shop: Assembly, stage: str
) -> None:
    """A share of bad values is reached when that percentile reaches the limit."""
    expected = {
        (name, f"p{round(100 - burn * (100 - percent), 2):g}", window, limit)
        for (_, name), (percent, limit) in BUDGETS.items()
        for window, burn in BURNS.items()
    }
    found = []
    for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
        properties = alarm.properties
        if properties.get("MetricName") not in {name for _, name in BUDGETS}:
            continue
        assert properties["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert properties["EvaluationPeriods"] == 1
        assert properties["Namespace"] == f"Orderflow/{stage}"
        assert [each["Name"] for each in properties["Dimensions"]] == ["service"]
        measured = (properties["MetricName"], properties["ExtendedStatistic"])
        found.append((*measured, properties["Period"], properties["Threshold"]))
    assert sorted(found) == sorted(expected)


def test_exactly_the_listed_metrics_are_watched(shop: Assembly) -> None:
    found = {name_of(metric) for _, metric, _ in watches(shop)}
    assert found == watched(shop)


def test_each_alarm_uses_the_dimensions_and_namespace_of_its_metric(
    shop: Assembly, stage: str
) -> None:
    """With other dimensions, the metric does not exist and the alarm never fires."""
    for alarm, metric, watch in watches(shop):
        names = [dimension["Name"] for dimension in metric.get("Dimensions", [])]
        assert names == watch.dimensions.split(), alarm
        if watch.dimensions == "service":
            assert metric["Namespace"] == f"Orderflow/{stage}", alarm


def test_each_alarm_has_a_low_threshold_and_fires_within_minutes(shop: Assembly) -> None:
    for alarm, metric, watch in watches(shop):
        properties = alarm.properties
        statistic = metric.get("Statistic", metric.get("ExtendedStatistic"))
        assert statistic == watch.statistic, alarm
        assert properties["ComparisonOperator"] == "GreaterThanOrEqualToThreshold", alarm
        assert 0 < properties["Threshold"] <= watch.at_most, alarm
        takes_s = metric["Period"] * properties["EvaluationPeriods"]
        assert takes_s <= watch.within_s, alarm


def test_no_alarm_is_switched_off(shop: Assembly) -> None:
    alarms = shop.of_type("AWS::CloudWatch::Alarm")
    assert alarms
    assert [each.path for each in alarms if not each.properties.get("ActionsEnabled", True)] == []


def test_custom_metrics_have_names_that_the_code_uses(shop: Assembly) -> None:
    """The code is searched as text for the quoted name."""
    code = "".join(path.read_text() for path in (PROJECT / "lambdas").rglob("*.py"))
    own = {name for namespace, name in (*WATCHED, *BUDGETS) if namespace == "Orderflow"}
    assert {name for name in own if f'"{name}"' not in code} == set()


def test_an_expression_watches_a_percentage_and_not_an_absolute_number(shop: Assembly) -> None:
    """A percentage suits busy and quiet days; below 20 requests, it is ignored."""
    expressions: list[dict[str, Any]] = [
        part
        for alarm in shop.of_type("AWS::CloudWatch::Alarm")
        for part in alarm.properties.get("Metrics", [])
        if "Expression" in part
    ]
    assert expressions
    for part in expressions:
        assert part["Expression"] == "IF(whole >= 20, 100 * part / whole, 0)"
