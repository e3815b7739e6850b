"""How many orders per second each hop carries: small applications, counted by hand."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from cdk_rehearsal import (
    QUOTAS,
    Assembly,
    Batches,
    Capacity,
    Hop,
    Hottest,
    Load,
    RehearsalError,
    capacity_of,
    quotas_of,
)
from cdk_rehearsal.limits import TABLE

NOTHING = Load(
    orders=10,
    busy_s={"Shop/Act": 0.5},
    batches={},
    requests={},
    units={},
    hottest={},
    calls={},
    starts={},
    transitions={},
    routed=0.0,
    schedule_s=0.0,
    schedules=0.0,
    outside={},
)
ACCOUNT = ("all functions", "lambda.concurrent_executions")


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def ref(name: str, attribute: str = "Arn") -> dict[str, Any]:
    return {"Fn::GetAtt": [name, attribute]}


ACT = resource("Lambda::Function")


def mapped(source: dict[str, Any], **options: Any) -> dict[str, Any]:
    mapping = resource(
        "Lambda::EventSourceMapping",
        FunctionName={"Ref": "Act"},
        EventSourceArn=ref("Source"),
        **options,
    )
    return {"Act": ACT, "Source": source, "Mapping": mapping}


def carried(
    resources: dict[str, Any], quotas: dict[str, Any] | None = None, **load: Any
) -> Capacity:
    template = {"Resources": {"Act": ACT, **resources}}
    measured = msgspec.structs.replace(NOTHING, **load)
    return capacity_of(Assembly({"Shop": template}), measured, quotas_of(quotas or {}))


def rates(found: Capacity) -> dict[tuple[str, str], float]:
    return {(hop.name, hop.limit): round(hop.orders_per_second, 6) for hop in found.hops}


def test_all_functions_share_the_concurrency_of_the_account() -> None:
    found = carried({}, busy_s={"Shop/Act": 0.3, "Shop/Other": 0.2})
    assert rates(found) == {ACCOUNT: 1000 / 0.5}
    assert found.bottleneck.remedy == "quota"


def test_a_reserved_concurrency_is_the_functions_own() -> None:
    reserved = resource("Lambda::Function", ReservedConcurrentExecutions=10)
    found = carried({"Act": reserved}, busy_s={"Shop/Act": 0.5, "Shop/Other": 0.2})
    assert rates(found) == {
        ("Shop/Act", "ReservedConcurrentExecutions"): 10 / 0.5,
        ACCOUNT: (1000 - 10) / 0.2,
    }


def test_a_queue_carries_full_batches_as_often_as_its_mapping_has_room() -> None:
    resources = mapped(resource("SQS::Queue"), BatchSize=5, ScalingConfig={"MaximumConcurrency": 3})
    batches = {"Shop/Act": Batches(items=2.0, base_s=0.1, item_s=0.02)}
    name = ("Shop/Act", "ScalingConfig.MaximumConcurrency")
    # A batch of 5 takes 0.2 s, so 3 at once handle 75 messages, of which an order has 2.
    assert rates(carried(resources, batches=batches))[name] == 37.5


def test_a_queue_without_a_maximum_is_limited_by_the_account_only() -> None:
    batches = {"Shop/Act": Batches(items=2.0, base_s=0.1, item_s=0.02)}
    # A batch of 10 takes 0.3 s, of which an order has a fifth.
    found = carried(mapped(resource("SQS::Queue")), batches=batches)
    assert rates(found) == {ACCOUNT: round(1000 / 0.06, 6)}


def test_the_accounts_concurrency_is_used_up_by_full_batches() -> None:
    resources = {**mapped(resource("SQS::Queue"), BatchSize=5), "Route": ACT}
    batches = {"Shop/Act": Batches(items=2.0, base_s=0.1, item_s=0.02)}
    busy_s = {"Shop/Act": 0.24, "Shop/Route": 0.42}
    # Alone, each message takes 0.12 s; five take 0.2 s.
    assert rates(carried(resources, batches=batches, busy_s=busy_s))[ACCOUNT] == 1000 / 0.5


def test_batches_take_no_longer_than_they_were_measured() -> None:
    """The line through small batches may be wrong about large ones."""
    batches = {"Shop/Act": Batches(items=2.0, base_s=0.0, item_s=0.5)}
    found = carried(mapped(resource("SQS::Queue")), batches=batches)
    assert rates(found) == {ACCOUNT: 2000.0}


@pytest.mark.parametrize(
    ("stream", "shards", "limit"),
    [
        (resource("Kinesis::Stream", ShardCount=2), 2, "ShardCount"),
        (
            resource("Kinesis::Stream", StreamModeDetails={"StreamMode": "ON_DEMAND"}),
            4,
            "kinesis.new_stream_shards",
        ),
    ],
    ids=["provisioned", "on-demand"],
)
def test_a_stream_carries_what_its_shards_take_and_what_is_read_of_them(
    stream: dict[str, Any], shards: int, limit: str
) -> None:
    resources = mapped(stream, BatchSize=100, ParallelizationFactor=2)
    batches = {"Shop/Act": Batches(items=10.0, base_s=0.5, item_s=0.005)}
    found = carried(resources, batches=batches)
    assert rates(found) == {
        ("Shop/Act", limit): shards * 2 * 100 / 1.0 / 10,
        ("Shop/Source", limit): shards * 1000 / 10,
        ACCOUNT: 1000 / (10 * 1.0 / 100),
    }
    grows = {hop.name for hop in found.hops if hop.grows}
    assert grows == ({"Shop/Act", "Shop/Source"} if limit != "ShardCount" else set())


@pytest.mark.parametrize(
    ("warm", "units"), [({}, 4000), ({"WarmThroughput": {"WriteUnitsPerSecond": 12_000}}, 12_000)]
)
def test_a_table_has_a_limit_when_it_is_new_and_one_in_the_end(
    warm: dict[str, Any], units: int
) -> None:
    table = resource("DynamoDB::Table", BillingMode="PAY_PER_REQUEST", **warm)
    resources = mapped(table, BatchSize=100)
    batches = {"Shop/Act": Batches(items=1.0, base_s=1.0, item_s=0.01)}
    found = carried(resources, units={"Shop/Source": 20.0}, batches=batches)
    assert rates(found) == {
        # A partition takes 1,000 units, and each has a shard of the stream, read by one batch.
        ("Shop/Act", "WarmThroughput"): units / 1000 * 100 / 2.0,
        ("Shop/Source", "WarmThroughput"): units / 20,
        ("Shop/Source", "dynamodb.table_write_units"): 40_000 / 20,
        ACCOUNT: 1000 / (2.0 / 100),
    }


def test_an_index_has_the_limits_of_a_table() -> None:
    indexes = [{"IndexName": "Open"}]
    table = resource(
        "DynamoDB::GlobalTable", BillingMode="PAY_PER_REQUEST", GlobalSecondaryIndexes=indexes
    )
    found = carried({"Table": table}, units={"Shop/Table index Open": 4.0})
    assert rates(found)["Shop/Table index Open", "dynamodb.table_write_units"] == 10_000


def test_a_key_that_orders_share_carries_a_thousand_units() -> None:
    found = carried({}, hottest={"Shop/Sales": Hottest(8.0, "hour")})
    assert found.bottleneck.name == "Shop/Sales"
    assert found.bottleneck.orders_per_second == 125
    assert found.bottleneck.remedy == "design"
    assert "key hour" in found.bottleneck.why


def test_a_route_has_its_own_limit_or_else_the_stages() -> None:
    stage = resource(
        "ApiGatewayV2::Stage",
        ApiId={"Ref": "Api"},
        DefaultRouteSettings={"ThrottlingRateLimit": 50},
        RouteSettings={"POST /orders": {"ThrottlingRateLimit": 500}},
    )
    requests = {"Shop/Api POST /orders": 1.25, "Shop/Api POST /events": 2.0}
    found = carried({"Api": resource("ApiGatewayV2::Api"), "Stage": stage}, requests=requests)
    assert rates(found) == {
        ("POST /events", "ThrottlingRateLimit"): 50 / 2,
        ("POST /orders", "ThrottlingRateLimit"): 500 / 1.25,
        ("API", "apigateway.requests_per_second"): round(10_000 / 3.25, 6),
        ACCOUNT: 2000.0,
    }


def test_standard_workflows_have_limits_of_starts_and_transitions() -> None:
    standard = resource("StepFunctions::StateMachine")
    express = resource("StepFunctions::StateMachine", StateMachineType="EXPRESS")
    found = carried(
        {"Return": standard, "Checkout": express},
        starts={"Shop/Return": 0.5, "Shop/Checkout": 3.0},
        transitions={"Shop/Return": 4.0, "Shop/Checkout": 30.0},
        calls={"stepfunctions:StartSyncExecution": 1.0},
    )
    assert rates(found) == {
        ("Standard workflows", "stepfunctions.standard_starts_per_second"): 150 / 0.5,
        ("Standard workflows", "stepfunctions.transitions_per_second"): 800 / 4,
        # Synchronous executions have no quota: 2 of the 3 are others.
        ("Express workflows", "stepfunctions.express_starts_per_second"): 6000 / 2,
        ACCOUNT: 2000.0,
    }


def test_a_classic_bus_has_limits_of_calls_and_of_deliveries() -> None:
    found = carried({}, calls={"events:PutEvents": 4.0}, routed=30.0)
    assert rates(found) == {
        ("events:PutEvents", "events.puts_per_second"): 600,
        ("rules", "events.invocations_per_second"): 150,
        ACCOUNT: 2000.0,
    }


def test_schedules_are_limited_in_how_many_begin_and_how_many_live() -> None:
    found = carried({}, schedules=2.0, schedule_s=2 * 500_000.0)
    assert rates(found) == {
        ("schedules", "scheduler.schedules"): 10,
        ("schedules", "scheduler.invocations_per_second"): 500,
        ("schedules", "scheduler.creations_per_second"): 2500,
        ACCOUNT: 2000.0,
    }


def test_a_quota_that_aws_sets_for_each_account_counts_once_it_is_given() -> None:
    calls = {"sesv2:SendEmail": 2.0, "sns:SMS": 0.5}
    unknown = carried({}, calls=calls)
    assert unknown.unlimited == calls
    assert rates(unknown) == {ACCOUNT: 2000.0}
    stated = {"ses": {"sends_per_second": 14}, "sns": {"sms_per_second": 20}}
    known = carried({}, stated, calls=calls)
    assert rates(known)["sns:SMS", "sns.sms_per_second"] == 40
    assert known.unlimited == {}
    assert rates(known)["sesv2:SendEmail", "ses.sends_per_second"] == 7


def test_calls_without_a_stated_limit_are_listed() -> None:
    found = carried({}, outside={"pay.example": 3.0}, calls={"eventbridgev2:PutEvents": 5.0})
    assert found.unlimited == {"requests to pay.example": 3.0, "eventbridgev2:PutEvents": 5.0}


@pytest.mark.parametrize(
    "given",
    [{"lambda.concurrent_executions": 100}, {"lambda": {"concurrent_executions": 100}}],
    ids=["by name", "by service"],
)
def test_a_quota_of_the_account_moves_the_bottleneck(given: dict[str, Any]) -> None:
    hottest = {"Shop/Sales": Hottest(1.0, "hour")}
    assert carried({}, hottest=hottest).bottleneck.name == "Shop/Sales"
    moved = carried({}, given, hottest=hottest).bottleneck
    assert (moved.name, moved.orders_per_second) == ("all functions", 200)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lambda": {"concurent_executions": 1}}, "no limit 'lambda.concurent_executions': give"),
        ({"scheduler.live": 1}, "scheduler.schedules"),
        ({"lambda.concurrent_executions": "many"}, "give a whole number"),
        ({"dynamodb.partition_write_units": 2000}, "which AWS grants nobody"),
        ({"lambda": 5}, "no limit 'lambda'"),
    ],
    ids=["misspelt", "unknown", "no number", "too much", "no name"],
)
def test_a_wrong_quota_is_an_error(given: dict[str, Any], says: str) -> None:
    with pytest.raises(RehearsalError, match=re.escape(says)):
        quotas_of(given)


def test_hops_are_sorted_and_those_that_do_not_carry_a_rate_are_told() -> None:
    found = carried({}, hottest={"A": Hottest(10.0, "a"), "B": Hottest(50.0, "b")})
    assert [hop.name for hop in found.hops] == ["B", "A", "all functions"]
    assert [hop.name for hop in found.short_of(100)] == ["B"]
    assert [hop.name for hop in found.short_of(100.5)] == ["B", "A"]


def test_the_bottleneck_is_not_what_grows_by_itself() -> None:
    table = resource("DynamoDB::Table", BillingMode="PAY_PER_REQUEST")
    found = carried({"Table": table}, units={"Shop/Table": 10.0})
    assert found.hops[0].grows
    assert found.bottleneck.name == "all functions"


def test_an_application_without_a_limit_is_an_error() -> None:
    with pytest.raises(RehearsalError, match="no limit was found"):
        carried({}, busy_s={})


def test_each_quota_says_what_is_limited_and_where_aws_says_so() -> None:
    for name in QUOTAS.keys() - TABLE.keys():
        limit = QUOTAS[name]
        assert re.fullmatch(r"https://docs\.aws\.amazon\.com/\S+\.html", limit.page), name
        assert limit.value > 0
        assert limit.says[0].isupper()
        assert not limit.says.endswith(".")


def test_a_hop_as_json_has_all_that_the_table_shows() -> None:
    report = carried({}).as_json()
    assert report["bottleneck"] == "all functions"
    assert msgspec.convert(report["hops"][0], Hop).limit == "lambda.concurrent_executions"
