"""What an application costs while nobody uses it."""

from typing import Any

import pytest

from cdk_rehearsal import Assembly, IdleBill, RehearsalError, idle_bill, prices
from cdk_rehearsal.bills import HOURS

PRICES = prices("us-east-1")
QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {}}


def bill(*, free_tier: bool = False, **resources: Any) -> IdleBill:
    templates = {"Shop": {"Resources": resources}}
    return idle_bill(Assembly(templates), PRICES, free_tier=free_tier)


def of(type_: str, **properties: Any) -> dict[str, Any]:
    return {"Type": type_, "Properties": properties}


def alarm(*periods: int) -> dict[str, Any]:
    metrics = [
        {"Id": f"m{number}", "MetricStat": {"Metric": {"MetricName": "A"}, "Period": period}}
        for number, period in enumerate(periods)
    ]
    sum_ = {"Id": "sum", "Expression": "SUM(METRICS())"}
    return of("AWS::CloudWatch::Alarm", Metrics=[*metrics, sum_])


@pytest.mark.parametrize(
    ("resource", "usd"),
    [
        (of("AWS::CloudWatch::Alarm", MetricName="A", Namespace="B", Period=60), 0.10),
        (of("AWS::CloudWatch::Alarm", MetricName="A", Namespace="B", Period=10), 0.30),
        (alarm(60, 300), 0.20),
        (alarm(10, 60), 0.40),
        (of("AWS::CloudWatch::CompositeAlarm", AlarmRule="TRUE"), 0.50),
        (of("AWS::CloudWatch::Dashboard", DashboardBody="{}"), 3.00),
        (of("AWS::KMS::Key"), 1.00),
        (of("AWS::SecretsManager::Secret"), 0.40),
        (of("AWS::Kinesis::Stream", StreamModeDetails={"StreamMode": "ON_DEMAND"}), 0.04 * HOURS),
        (of("AWS::Kinesis::Stream", ShardCount=2), 2 * 0.015 * HOURS),
        (of("AWS::DynamoDB::Table", BillingMode="PAY_PER_REQUEST"), 0),
        (of("AWS::Lambda::Function"), 0),
        (QUEUE, 0),
    ],
)
def test_a_resource_costs_what_its_price_says(resource: Any, usd: float) -> None:
    found = bill(Resource=resource)
    assert found.usd == pytest.approx(usd)
    assert found.unpriced == []


@pytest.mark.parametrize(
    ("settings", "queue", "usd"),
    [
        # Five long polls of 20 seconds, all the time.
        ({}, {}, 5 * 3 * 60 * HOURS * 0.40 / 1_000_000),
        ({}, {"FifoQueue": True}, 5 * 3 * 60 * HOURS * 0.50 / 1_000_000),
        ({"Enabled": False}, {}, 0),
    ],
)
def test_a_queue_is_polled_all_the_time(settings: Any, queue: Any, usd: float) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"""
    arn = {"Fn::GetAtt": ["Queue", "Arn"]}
    mapping = of("AWS::Lambda::EventSourceMapping", EventSourceArn=arn, **settings)
    assert bill(Mapping=mapping, Queue=of("AWS::SQS::Queue", **queue)).usd == pytest.approx(usd)


def test_an_empty_stream_is_read_for_nothing() -> None:
    arn = {"Fn::GetAtt": ["Table", "StreamArn"]}
    mapping = of("AWS::Lambda::EventSourceMapping", EventSourceArn=arn)
    assert bill(Mapping=mapping, Table=of("AWS::DynamoDB::Table")).usd == 0


def test_the_free_tier_is_subtracted_once() -> None:
    six = alarm(*[60] * 6)
    assert bill(One=six, Other=six).usd == pytest.approx(1.20)
    assert bill(One=six, Other=six, free_tier=True).usd == pytest.approx(0.20)
    assert bill(One=six, free_tier=True).usd == 0


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        (of("AWS::EC2::NatGateway"), "AWS::EC2::NatGateway"),
        (of("AWS::Lambda::Function", SnapStart={"ApplyOn": "PublishedVersions"}), "with SnapStart"),
        (of("AWS::DynamoDB::Table", ProvisionedThroughput={"ReadCapacityUnits": 5}), "Provisioned"),
        (
            of("AWS::CloudWatch::Alarm", Metrics=[{"Expression": "SELECT MAX(A) FROM B"}]),
            "a query of metrics",
        ),
        (
            of("AWS::Lambda::EventSourceMapping", ProvisionedPollerConfig={"MinimumPollers": 2}),
            "with ProvisionedPollerConfig",
        ),
    ],
)
def test_a_missing_price_is_reported(resource: Any, says: str) -> None:
    (unpriced,) = bill(Resource=resource).unpriced
    assert says in unpriced


def test_the_dearest_come_first() -> None:
    lines = bill(Key=of("AWS::KMS::Key"), Board=of("AWS::CloudWatch::Dashboard"), A=alarm(60)).lines
    assert [line.usd for line in lines] == [3.00, 1.00, 0.10]


def test_an_unknown_region_is_an_error() -> None:
    with pytest.raises(RehearsalError, match=r"no prices of 'mars-1': choose one of us-east-1"):
        prices("mars-1")


def test_each_price_has_a_page() -> None:
    assert all(price.page.startswith("https://") and price.usd > 0 for price in PRICES.values())
