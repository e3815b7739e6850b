"""CloudWatch: alarms and metrics."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal import FAULTS, Rehearsal
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def alarm(template: Cloud, name: str = "Alarm", **properties: Any) -> None:
    template.add(
        name,
        "AWS::CloudWatch::Alarm",
        **{
            "Namespace": "Shop",
            "MetricName": "Orders",
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            **properties,
        },
    )


def put(shop: Rehearsal, value: float, name: str = "Orders") -> None:
    datum: Any = {"MetricName": name, "Value": value, "Timestamp": shop_time(shop)}
    shop.client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[datum])


def shop_time(shop: Rehearsal) -> datetime:
    return datetime.fromtimestamp(shop.clock.now(), UTC)


def described(shop: Rehearsal, name: str = "Alarm") -> dict[str, Any]:
    (found,) = shop.client("cloudwatch").describe_alarms(
        AlarmNames=[shop.physical_id(f"Shop/{name}")]
    )["MetricAlarms"]
    return dict(found)


def state(shop: Rehearsal, name: str = "Alarm") -> str:
    return str(described(shop, name)["StateValue"])


def values(
    shop: Rehearsal, namespace: str, name: str, stat: str = "Sum", **dimensions: str
) -> list[float]:
    """The values of a metric per minute since the start."""
    answer = shop.client("cloudwatch").get_metric_data(
        StartTime=START - timedelta(minutes=1),
        EndTime=shop_time(shop) + timedelta(minutes=1),
        ScanBy="TimestampAscending",
        MetricDataQueries=[
            {
                "Id": "m",
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": name,
                        "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                    },
                    "Period": 60,
                    "Stat": stat,
                },
            }
        ],
    )
    return list(answer["MetricDataResults"][0]["Values"])


# AWS's own examples. X is a breaching value, 0 another one, and - is missing; the newest is last:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
INSUFFICIENT = "INSUFFICIENT_DATA"
RETAINED = "retained"
EXAMPLES = [
    (3, 3, "0 - X - X", "OK", "OK", "OK", "OK"),
    (3, 3, "0 - - - -", "OK", "OK", "OK", "OK"),
    (3, 3, "- - - - -", INSUFFICIENT, RETAINED, "ALARM", "OK"),
    (3, 3, "0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    (3, 3, "- - - - X", INSUFFICIENT, RETAINED, "ALARM", "OK"),
    (3, 3, "X - - - -", "ALARM", RETAINED, "ALARM", "OK"),
    (2, 3, "0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    (2, 3, "0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"),
    (2, 3, "0 - X - -", "OK", "OK", "ALARM", "OK"),
    (2, 3, "- - - - 0", "OK", "OK", "ALARM", "OK"),
    (2, 3, "- - - - X", INSUFFICIENT, RETAINED, "ALARM", "OK"),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example[0]} {example[2]}")
def test_missing_values_are_treated_as_in_the_examples_of_aws(
    template: Cloud, rehearse: Rehearse, example: tuple[int, int, str, str, str, str, str]
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html"""
    needed, periods, points, *states = example
    for treatment in TREATMENTS:
        alarm(
            template,
            treatment,
            EvaluationPeriods=periods,
            DatapointsToAlarm=needed,
            TreatMissingData=treatment,
        )
    shop = rehearse(start=START)
    before = {}
    for point in points.split():
        before = {treatment: state(shop, treatment) for treatment in TREATMENTS}
        if point != "-":
            put(shop, 1 if point == "X" else 0)
        shop.run_for(60)
    expected = dict(zip(TREATMENTS, states, strict=True))
    found = {treatment: state(shop, treatment) for treatment in TREATMENTS}
    if expected["ignore"] == RETAINED:
        expected["ignore"] = before["ignore"]
    assert found == expected


def test_an_alarm_returns_when_its_metric_does(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html"""
    alarm(template, TreatMissingData="notBreaching")
    shop = rehearse(start=START)
    assert state(shop) == "OK"
    shop.run_for(30)
    put(shop, 2)
    assert state(shop) == "OK"
    shop.run_for(30)
    assert state(shop) == "ALARM"
    found = described(shop)
    assert found["StateUpdatedTimestamp"] == START + timedelta(minutes=1)
    assert "[2.0]" in found["StateReason"]
    shop.run_for(120)
    assert state(shop) == "ALARM", "values of the evaluation range are evaluated again"
    shop.run_for(60)
    assert state(shop) == "OK"
    assert described(shop)["StateUpdatedTimestamp"] == START + timedelta(minutes=4)


def test_an_alarm_that_ignores_missing_values_keeps_its_state(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html"""
    alarm(template, TreatMissingData="ignore")
    shop = rehearse(start=START)
    put(shop, 2)
    shop.run_for(60)
    assert state(shop) == "ALARM"
    shop.run_for(3600)
    assert state(shop) == "ALARM"


def test_a_state_that_a_client_sets_lasts_until_the_next_minute(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html"""
    alarm(template, TreatMissingData="notBreaching")
    shop = rehearse(start=START)
    assert state(shop) == "OK"
    shop.client("cloudwatch").set_alarm_state(
        AlarmName=shop.physical_id("Shop/Alarm"), StateValue="ALARM", StateReason="a drill"
    )
    assert state(shop) == "ALARM"
    shop.run_for(60)
    assert state(shop) == "OK"


def test_the_time_of_a_change_does_not_depend_on_when_somebody_asks(
    template: Cloud, rehearse: Rehearse
) -> None:
    alarm(template, TreatMissingData="notBreaching")
    shop = rehearse(start=START)
    put(shop, 2)
    shop.run_for(3600)
    found = described(shop)
    assert (found["StateValue"], found["StateUpdatedTimestamp"]) == (
        "OK",
        START + timedelta(minutes=4),
    )


@pytest.mark.parametrize(
    ("comparison", "alarming"),
    [
        ("GreaterThanOrEqualToThreshold", {2.0, 3.0}),
        ("GreaterThanThreshold", {3.0}),
        ("LessThanThreshold", {1.0}),
        ("LessThanOrEqualToThreshold", {1.0, 2.0}),
    ],
)
def test_values_are_compared_with_the_threshold(
    template: Cloud, rehearse: Rehearse, comparison: str, alarming: set[float]
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-alarm.html"""
    for name in ("1", "2", "3"):
        alarm(template, f"A{name}", MetricName=name, Threshold=2, ComparisonOperator=comparison)
    shop = rehearse(start=START)
    for value in (1.0, 2.0, 3.0):
        put(shop, value, f"{value:g}")
    shop.run_for(60)
    assert {value for value in (1.0, 2.0, 3.0) if state(shop, f"A{value:g}") == "ALARM"} == alarming


def test_a_longer_period_moves_minute_by_minute(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html"""
    alarm(template, Period=300, Threshold=2, TreatMissingData="notBreaching")
    shop = rehearse(start=START)
    shop.run_for(240)
    put(shop, 1)
    shop.run_for(120)
    put(shop, 1)
    assert state(shop) == "OK"
    shop.run_for(60)
    assert state(shop) == "ALARM", "both within the five minutes that end now"


def test_an_alarm_on_metric_math(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html"""

    def of(id_: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": "Shop", "MetricName": name}
        stat = {"Metric": metric, "Period": 60, "Stat": "Sum"}
        return {"Id": id_, "MetricStat": stat, "ReturnData": False}

    template.add(
        "Alarm",
        "AWS::CloudWatch::Alarm",
        Metrics=[
            {"Id": "share", "Expression": "IF(whole >= 4, percent, 0)"},
            {"Id": "percent", "Expression": "100 * part / whole", "ReturnData": False},
            of("part", "Rejected"),
            of("whole", "Placed"),
        ],
        EvaluationPeriods=1,
        Threshold=50,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    shop = rehearse(start=START)
    put(shop, 3, "Placed")
    put(shop, 3, "Rejected")
    shop.run_for(60)
    assert state(shop) == "OK", "too few"
    put(shop, 4, "Placed")
    put(shop, 2, "Rejected")
    shop.run_for(60)
    assert state(shop) == "ALARM"


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"Namespace": "AWS/EC2", "MetricName": "CPUUtilization"}, "AWS/EC2 CPUUtilization"),
        ({"Statistic": None, "ExtendedStatistic": "tm99"}, "statistic tm99"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "GreaterThanUpperThreshold"),
        (
            {
                "Namespace": None,
                "MetricName": None,
                "Metrics": [
                    {"Id": "e", "Expression": "ANOMALY_DETECTION_BAND(m)"},
                    {
                        "Id": "m",
                        "ReturnData": False,
                        "MetricStat": {
                            "Metric": {"Namespace": "Shop", "MetricName": "Orders"},
                            "Period": 60,
                            "Stat": "Sum",
                        },
                    },
                ],
            },
            "ANOMALY_DETECTION_BAND",
        ),
    ],
)
def test_an_alarm_that_is_not_evaluated_says_so(
    template: Cloud, rehearse: Rehearse, properties: dict[str, Any], reason: str
) -> None:
    alarm(template, **properties)
    template.resources["Alarm"]["Properties"] = {
        name: value
        for name, value in template.resources["Alarm"]["Properties"].items()
        if value is not None
    }
    shop = rehearse(start=START)
    put(shop, 1)
    shop.run_for(60)
    found = described(shop)
    assert found["StateValue"] == "INSUFFICIENT_DATA"
    assert reason in found["StateReason"]


def test_alarms_are_described_by_all_conditions_and_in_pages(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html"""
    template.add("Topic", "AWS::SNS::Topic")
    loud: dict[str, Any] = {"AlarmActions": [ref("Topic")]}
    for name, properties in {
        "LoudBad": {"Threshold": 0, **loud},
        "LoudGood": loud,
        "QuietBad": {"Threshold": 0},
    }.items():
        alarm(template, name, AlarmName=name, **properties)
    shop = rehearse(start=START)
    put(shop, 0)
    shop.run_for(60)
    cloudwatch = shop.client("cloudwatch")

    def named(**conditions: Any) -> list[str]:
        return [
            each["AlarmName"] for each in cloudwatch.describe_alarms(**conditions)["MetricAlarms"]
        ]

    assert named() == ["LoudBad", "LoudGood", "QuietBad"]
    assert named(StateValue="ALARM") == ["LoudBad", "QuietBad"]
    assert named(StateValue="ALARM", AlarmNamePrefix="Loud") == ["LoudBad"]
    assert named(ActionPrefix="arn:aws:sns") == ["LoudBad", "LoudGood"]
    assert named(AlarmTypes=["CompositeAlarm"]) == []
    pages = cloudwatch.get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 2})
    assert [len(page["MetricAlarms"]) for page in pages] == [2, 1]


def test_put_values_are_queried_by_period_and_statistic(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""
    template.queue("Any")
    shop = rehearse(start=START)
    for value in (1, 2, 6):
        put(shop, value)
    shop.run_for(60)
    put(shop, 5)
    for stat, found in {
        "Sum": [9, 5],
        "Average": [3, 5],
        "Maximum": [6, 5],
        "Minimum": [1, 5],
        "SampleCount": [3, 1],
        "p50": [2, 5],
        "p99": [6, 5],
    }.items():
        assert values(shop, "Shop", "Orders", stat) == found
    cloudwatch = shop.client("cloudwatch")
    span = {"StartTime": START, "EndTime": START + timedelta(minutes=5)}
    metric = {"Namespace": "Shop", "MetricName": "Orders", "Period": 300}
    (point,) = cloudwatch.get_metric_statistics(**span, **metric, Statistics=["Sum", "Maximum"])[
        "Datapoints"
    ]
    assert (point["Timestamp"], point["Sum"], point["Maximum"]) == (START, 14, 6)
    (point,) = cloudwatch.get_metric_statistics(**span, **metric, ExtendedStatistics=["p90"])[
        "Datapoints"
    ]
    assert point["ExtendedStatistics"] == {"p90": 6}
    later = {"StartTime": START + timedelta(minutes=1), "EndTime": START + timedelta(minutes=6)}
    (point, *_) = cloudwatch.get_metric_statistics(**later, **metric, Statistics=["Sum"])[
        "Datapoints"
    ]
    assert (point["Timestamp"], point["Sum"]) == (START, 14), "periods begin at their multiples"
    assert [each["MetricName"] for each in cloudwatch.list_metrics()["Metrics"]] == ["Orders"]


def test_a_set_of_statistics_counts_as_its_values(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html"""
    template.queue("Any")
    shop = rehearse(start=START)
    statistics = {"SampleCount": 4, "Sum": 20, "Minimum": 1, "Maximum": 9}
    datum = {"MetricName": "Orders", "StatisticValues": statistics}
    shop.client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[datum])
    for stat, value in {"Sum": 20, "Minimum": 1, "Maximum": 9, "SampleCount": 4}.items():
        assert values(shop, "Shop", "Orders", stat) == [value]


def test_queries_that_the_rehearsal_cannot_answer_are_refused(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.queue("Any")
    shop = rehearse(start=START)
    for namespace, name, stat in (
        ("AWS/EC2", "CPUUtilization", "Sum"),
        ("AWS/Lambda", "Unknown", "Sum"),
        ("Shop", "Orders", "tm99"),
    ):
        with pytest.raises(ClientError, match="rehearsal"):
            values(shop, namespace, name, stat)
    with pytest.raises(ClientError, match="DescribeAlarms"):
        shop.client("cloudwatch").describe_alarm_history()


EMITTER = """
    import json, time
    def handler(event, context):
        print(json.dumps({
            "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
                {"Namespace": "Shop", "Dimensions": [["service"]],
                 "Metrics": [{"Name": "Sold"}, {"Name": "Took"}]}]},
            "service": "orders", "Sold": 2, "Took": [1, 5]}))
        print('{"_aws": "no metrics"}')
        time.sleep(event["sleeps"])
        if event["fails"]: raise ValueError("no")
"""


def test_functions_and_the_metrics_in_their_logs(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    template.function("Emitter", EMITTER, Timeout=30, ReservedConcurrentExecutions=2)
    shop = rehearse(start=START)
    name = shop.physical_id("Shop/Emitter")
    calls = [
        shop.spawn(shop.invoke, "Shop/Emitter", {"sleeps": 10, "fails": fails})
        for fails in (True, False, False)
    ]
    shop.run_for(30)
    assert [call.error is None for call in calls] == [True, True, False]
    found = {
        metric: values(shop, "AWS/Lambda", metric, stat, FunctionName=name)
        for metric, stat in {
            "Invocations": "Sum",
            "Errors": "Sum",
            "Throttles": "Sum",
            "Duration": "Maximum",
            "ConcurrentExecutions": "Maximum",
        }.items()
    }
    assert found == {
        "Invocations": [2],
        "Errors": [1],
        "Throttles": [1],
        "Duration": [10_000],
        "ConcurrentExecutions": [2],
    }
    assert values(shop, "Shop", "Sold", service="orders") == [4]
    assert values(shop, "Shop", "Took", "Maximum", service="orders") == [5]
    assert values(shop, "Shop", "Sold") == []


def test_queues_are_sampled_while_they_have_messages(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html"""
    template.queue("Queue", VisibilityTimeout=300)
    shop = rehearse(start=START)
    url = shop.physical_id("Shop/Queue")
    sqs = shop.client("sqs")
    for body in "ab":
        sqs.send_message(QueueUrl=url, MessageBody=body)
    shop.run_for(90)
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    shop.run_for(60)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    shop.run_for(60)
    sqs.purge_queue(QueueUrl=url)
    shop.run_for(300)
    queue = url.rpartition("/")[2]

    def of(name: str) -> list[float]:
        return values(shop, "AWS/SQS", name, "Maximum", QueueName=queue)

    assert of("ApproximateNumberOfMessagesVisible") == [2, 1, 1, 0]
    assert of("ApproximateNumberOfMessagesNotVisible") == [0, 1, 0, 0]
    assert of("ApproximateAgeOfOldestMessage") == [60, 120, 180, 0]


def test_samples_are_no_work(template: Cloud, rehearse: Rehearse) -> None:
    template.queue("Queue")
    shop = rehearse(start=START)
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Queue"), MessageBody="a")
    shop.run_until_idle()
    assert shop_time(shop) == START


def test_requests_to_an_api(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html"""
    from rehearsal.test_http_api import api, route

    api(template)
    template.function("Fails", "import time\ndef handler(event, _): time.sleep(2); raise KeyError")
    route(template, "GET /fails", "Fails", open_=True)
    shop = rehearse(start=START)
    for path in ("/fails", "/missing", "/missing"):
        shop.http.request("GET", path)
    dimensions = {"ApiId": shop.physical_id("Shop/Api"), "Stage": "$default"}
    found = {
        name: values(shop, "AWS/ApiGateway", name, stat, **dimensions)
        for name, stat in {"Count": "Sum", "4xx": "Sum", "5xx": "Sum", "Latency": "Maximum"}.items()
    }
    assert found == {"Count": [3], "4xx": [2], "5xx": [1], "Latency": [2000]}


def test_executions_of_a_workflow(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"""
    template.function("Any", "def handler(event, context): pass")
    states = {
        "Check": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.good", "BooleanEquals": True, "Next": "Good"}],
            "Default": "Bad",
        },
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail"},
    }
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        DefinitionString=json.dumps({"StartAt": "Check", "States": states}),
        RoleArn=arn("Role"),
    )
    shop = rehearse(start=START)
    machine = shop.physical_id("Shop/Machine")
    for good in (True, True, False):
        shop.client("stepfunctions").start_execution(
            stateMachineArn=machine, input=json.dumps({"good": good})
        )
    shop.run_until_idle()
    found = [
        values(shop, "AWS/States", f"Executions{what}", StateMachineArn=machine)
        for what in ("Started", "Succeeded", "Failed", "TimedOut")
    ]
    assert found == [[3], [2], [1], []]


def test_deliveries_of_a_rule(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html"""
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.queue("Queue")
    template.queue("Dead")
    for name, more in {"Kept": {"DeadLetterConfig": {"Arn": arn("Dead")}}, "Lost": {}}.items():
        template.add(
            name,
            "AWS::Events::Rule",
            EventBusName=ref("Bus"),
            EventPattern={"source": ["shop"]},
            Targets=[{"Arn": arn("Queue"), "Id": "T", **more}],
        )
    shop = rehearse(start=START)
    shop.faults.plan(FAULTS["gone"], target="Shop/Queue")
    shop.client("events").put_events(
        Entries=[{"EventBusName": "bus", "Source": "shop", "DetailType": "D", "Detail": "{}"}]
    )
    shop.run_until_idle()

    def of(rule: str, name: str) -> list[float]:
        dimensions = {"EventBusName": "bus", "RuleName": shop.physical_id(f"Shop/{rule}")[4:]}
        return values(shop, "AWS/Events", name, **dimensions)

    for rule in ("Kept", "Lost"):
        assert of(rule, "FailedInvocations") == [1]
        assert of(rule, "InvocationsFailedToBeSentToDlq") == []
    assert of("Kept", "InvocationsSentToDlq") == [1]
    assert of("Lost", "InvocationsSentToDlq") == []


RULES = [
    ("ALARM(Bad)", "ALARM"),
    ('ALARM("Good")', "OK"),
    ("NOT OK(Bad)", "ALARM"),
    ("INSUFFICIENT_DATA(None)", "ALARM"),
    ("ALARM(Bad) AND ALARM(Good)", "OK"),
    ("ALARM(Good) AND ALARM(Bad) OR TRUE", "ALARM"),
    ("ALARM(Good) AND (ALARM(Bad) OR TRUE)", "OK"),
    ("ALARM(arn:aws:cloudwatch:eu-central-1:123456789012:alarm:Bad)", "ALARM"),
    ("AT_LEAST(2, ALARM, (Bad, Good, None))", "OK"),
    ("AT_LEAST(2, NOT ALARM, (Bad, Good, None))", "ALARM"),
    ("AT_LEAST(34%, ALARM, (Bad, Good, None))", "OK"),
    ("AT_LEAST(33%, ALARM, (Bad, Good, None))", "ALARM"),
]
BROKEN_RULES = [
    ("ALARM(Unknown)", "there is no alarm Unknown"),
    ("ALARM(Bad) AND", "the end is unexpected"),
    ("ALARM(Bad", "no more before ')'"),
    ("ALARM(Bad) ALARM(Good)", "has ALARM before ''"),
    ("BAD(Bad)", "BAD is unexpected"),
    ("AT_LEAST(some, ALARM, (Bad))", "no such number"),
    ("ALARM(Composite)", "depend on each other"),
]


def composite(template: Cloud, rehearse: Rehearse, rule: str) -> dict[str, Any]:
    alarms: dict[str, dict[str, Any]] = {
        "Good": {},
        "Bad": {"Threshold": 0},
        "None": {"MetricName": "Nothing"},
    }
    for name, properties in alarms.items():
        alarm(template, name, AlarmName=name, **properties)
    template.add(
        "Composite",
        "AWS::CloudWatch::CompositeAlarm",
        AlarmName="Composite",
        AlarmRule=rule,
        AlarmDescription="Something is wrong",
        ActionsSuppressor="Good",
        ActionsSuppressorWaitPeriod=60,
        ActionsSuppressorExtensionPeriod=60,
    )
    shop = rehearse(start=START)
    put(shop, 0)
    shop.run_for(60)
    (found,) = shop.client("cloudwatch").describe_alarms(AlarmTypes=["CompositeAlarm"])[
        "CompositeAlarms"
    ]
    return dict(found)


@pytest.mark.parametrize(("rule", "expected"), RULES)
def test_a_composite_alarm_follows_from_the_states_of_others(
    template: Cloud, rehearse: Rehearse, rule: str, expected: str
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-combining.html"""
    found = composite(template, rehearse, rule)
    assert (found["StateValue"], found["AlarmRule"]) == (expected, rule)
    assert found["AlarmDescription"] == "Something is wrong"


@pytest.mark.parametrize(("rule", "reason"), BROKEN_RULES)
def test_a_rule_that_cannot_be_evaluated_is_named(
    template: Cloud, rehearse: Rehearse, rule: str, reason: str
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html"""
    found = composite(template, rehearse, rule)
    assert found["StateValue"] == "INSUFFICIENT_DATA"
    assert reason in found["StateReason"]
