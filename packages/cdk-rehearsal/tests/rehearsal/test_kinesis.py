"""Kinesis Data Streams: shards, Lambda's mapping with its tumbling windows, a rule's target."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, RehearsalError, UnsupportedTemplateError
from cdk_rehearsal.limits import LIMITS
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.crossing import crosses
from rehearsal.worlds import World, eventually

START = 1767600000  # 2026-01-05T08:00:00Z, where a rehearsal begins

# Prints each event with the texts of its records; fails on texts that begin with "raise" or, one
# by one, with "bad"; counts the texts in the state.
CONSUMER = """
    import base64, json, time
    def handler(event, context):
        texts = [base64.b64decode(r["kinesis"]["data"]).decode() for r in event["Records"]]
        state = event.get("state") or {}
        print(json.dumps({
            "texts": texts, "state": state, "shard": event.get("shardId"),
            "window": event.get("window"), "final": event.get("isFinalInvokeForWindow"),
            "early": event.get("isWindowTerminatedEarly")}))
        if "sleep" in str(texts): time.sleep(1)
        if any(text.startswith("raise") for text in texts): raise ValueError("poison")
        failed = [text.startswith("bad") for text in texts]
        good = texts[: failed.index(True)] if True in failed else texts
        return {
            "state": {"count": state.get("count", 0) + len(good)},
            "batchItemFailures": [
                {"itemIdentifier": record["kinesis"]["sequenceNumber"]}
                for record, bad in zip(event["Records"], failed) if bad]}
"""
REPORTS: dict[str, Any] = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}
# Partition keys, by the shard of two that their MD5 falls into.
FIRST, SECOND = "a", "1"


def consume(template: Cloud, code: str = CONSUMER, shards: int = 1, **mapping: Any) -> None:
    template.add("Stream", "AWS::Kinesis::Stream", ShardCount=shards)
    template.queue("Lost")
    template.function("Function", code, Timeout=20)
    mapping.setdefault("StartingPosition", "TRIM_HORIZON")
    mapping.setdefault("DestinationConfig", {"OnFailure": {"Destination": arn("Lost")}})
    template.mapping("Mapping", arn("Stream"), "Function", **mapping)


def put(shop: World, *texts: str, key: str = FIRST) -> None:
    for text in texts:
        shop.client("kinesis").put_record(
            StreamName=shop.physical_id("Shop/Stream"), PartitionKey=key, Data=text.encode()
        )


def events(shop: World) -> list[dict[str, Any]]:
    """What the function was invoked with."""
    lines = shop.logs("Shop/Function").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def batches(shop: World) -> list[list[str]]:
    return [event["texts"] for event in events(shop)]


def lost(shop: Rehearsal) -> list[dict[str, Any]]:
    return [json.loads(message["body"]) for message in shop.messages("Shop/Lost")]


def outcomes(shop: Rehearsal) -> list[str]:
    records = shop.meter.of("delivery", source="Shop/Stream", target="Shop/Function")
    return [record.detail["outcome"] for record in records]


def windows(*, seconds: int = 60, **mapping: Any) -> dict[str, Any]:
    return {"TumblingWindowInSeconds": seconds, "MaximumRetryAttempts": 2, **mapping}


# -- streams ------------------------------------------------------------------------------


def test_records_keep_their_order_in_a_shard(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html"""
    consume(template, BatchSize=3)
    shop = aws()
    put(shop, *"abcdefg")
    shop.run_until_idle()
    found = batches(shop)
    assert [text for texts in found for text in texts] == [*"abcdefg"]
    assert max(map(len, found)) <= 3
    if isinstance(shop, Rehearsal):
        assert found == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_shards_are_processed_side_by_side_and_each_one_in_order(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html"""
    consume(template, shards=2, BatchSize=1)
    shop = rehearse()
    put(shop, "sleep1", "sleep2", key=FIRST)
    put(shop, "sleep3", "sleep4", key=SECOND)
    shop.run_until_idle()
    moments = [record.time - START for record in shop.meter.of("invocation")]
    assert moments == [1, 1, 2, 2]
    texts = [text for (text,) in batches(shop)]
    assert texts.index("sleep1") < texts.index("sleep2")
    assert texts.index("sleep3") < texts.index("sleep4")


def test_a_poisoned_shard_does_not_hold_up_another(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html"""
    consume(template, shards=2, BatchSize=1, MaximumRecordAgeInSeconds=600)
    shop = rehearse()
    put(shop, "raise", "behind", key=FIRST)
    put(shop, "beside", key=SECOND)
    shop.run_for(60)
    assert ["beside"] in batches(shop)
    assert ["behind"] not in batches(shop)


def test_a_function_gets_records_as_lambda_hands_them_over(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html"""
    consume(template, "import json\ndef handler(event, context): print(json.dumps(event))")
    shop = rehearse()
    shop.run_for(1.25)
    answer = shop.client("kinesis").put_record(
        StreamARN=shop.resource("Shop/Stream").attributes["Arn"], PartitionKey="k", Data=b"\xff{"
    )
    shop.run_until_idle()
    event = json.loads(shop.logs("Shop/Function"))
    assert event == {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "k",
                    "sequenceNumber": answer["SequenceNumber"],
                    "data": base64.b64encode(b"\xff{").decode(),
                    "approximateArrivalTimestamp": START + 1.25,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000000:{answer['SequenceNumber']}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": shop.resource("Shop/Role").attributes["Arn"],
                "awsRegion": "eu-central-1",
                "eventSourceARN": shop.resource("Shop/Stream").attributes["Arn"],
            }
        ]
    }


def test_sequence_numbers_are_as_long_as_real_ones_and_shards_share_none(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html
    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html
    """
    consume(template, shards=2)
    shop = rehearse()
    answer = shop.client("kinesis").put_records(
        StreamName=shop.physical_id("Shop/Stream"),
        Records=[{"Data": b"", "PartitionKey": key} for key in (FIRST, FIRST, SECOND, SECOND)],
    )
    numbers = [record["SequenceNumber"] for record in answer["Records"]]
    assert [len(number) for number in numbers] == [56] * 4
    assert len(set(numbers)) == 4
    assert numbers[0] < numbers[1]
    assert numbers[2] < numbers[3]
    shop.run_until_idle()
    assert [len(texts) for texts in batches(shop)] == [2, 2]


def test_a_handler_that_puts_a_record_is_on_the_record(template: Cloud, rehearse: Rehearse) -> None:
    consume(template)
    template.function(
        "Producer",
        """
        import boto3, os
        def handler(event, context):
            boto3.client("kinesis").put_records(
                StreamARN=os.environ["STREAM"],
                Records=[{"PartitionKey": text, "Data": text.encode()} for text in event])
        """,
        Environment={"Variables": {"STREAM": arn("Stream")}},
    )
    shop = rehearse()
    shop.invoke("Shop/Producer", ["x", "y"])
    shop.run_until_idle()
    assert sorted(text for texts in batches(shop) for text in texts) == ["x", "y"]
    (call,) = shop.meter.of("call", source="Shop/Producer")
    assert (call.target, call.detail["operation"]) == ("Shop/Stream", "PutRecords")


def test_a_stream_on_demand_has_four_shards(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/streams/latest/dev/how-do-i-size-a-stream.html"""
    template.add(
        "Stream",
        "AWS::Kinesis::Stream",
        StreamModeDetails={"StreamMode": "ON_DEMAND"},
        StreamEncryption={"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"},
        RetentionPeriodHours=168,
    )
    shop = aws()
    summary = shop.client("kinesis").describe_stream_summary(
        StreamName=shop.physical_id("Shop/Stream")
    )["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 4
    assert summary["RetentionPeriodHours"] == 168
    assert summary["StreamARN"] == shop.resource("Shop/Stream").attributes["Arn"]


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "ShardCount is missing"),
        ({"ShardCount": 1, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}, "no ShardCount"),
        ({"ShardCount": 1, "StreamModeDetails": {"StreamMode": "FREE"}}, "no StreamMode FREE"),
        ({"ShardCount": 1, "RetentionPeriodHours": 12}, "RetentionPeriodHours is from 24"),
        ({"ShardCount": 1, "MaxRecordSizeInKiB": 10240}, "unknown property MaxRecordSizeInKiB"),
    ],
)
def test_a_stream_that_is_not_understood_is_an_error(
    template: Cloud, rehearse: Rehearse, properties: dict[str, Any], message: str
) -> None:
    template.add("Stream", "AWS::Kinesis::Stream", **properties)
    with pytest.raises(UnsupportedTemplateError, match=f"Stream .*{message}"):
        rehearse()


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"ParallelizationFactor": 2}, "ParallelizationFactor = 2"),
        ({"StartingPosition": "AT_TIMESTAMP"}, "StartingPosition = 'AT_TIMESTAMP'"),
        ({"TumblingWindowInSeconds": 901}, "TumblingWindowInSeconds is from 0 to 900"),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"data": ["x"]}'}]}}, "filter for data"),
    ],
)
def test_a_mapping_that_is_not_understood_is_an_error(
    template: Cloud, rehearse: Rehearse, properties: dict[str, Any], message: str
) -> None:
    consume(template, **properties)
    with pytest.raises(RehearsalError, match=message):
        rehearse()


# -- the mapping --------------------------------------------------------------------------


@pytest.mark.parametrize("position", ["LATEST", "TRIM_HORIZON"])
def test_a_mapping_starts_with_the_first_record_after_its_creation(
    template: Cloud, rehearse: Rehearse, position: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html"""
    consume(template, StartingPosition=position)
    shop = rehearse()
    put(shop, "a")
    shop.run_until_idle()
    assert batches(shop) == [["a"]]


def test_a_batching_window_gathers_records(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html"""
    consume(template, BatchSize=3, MaximumBatchingWindowInSeconds=5)
    shop = rehearse()
    put(shop, "a")
    shop.run_for(3)
    put(shop, "b")
    shop.run_until_idle()
    put(shop, "c", "d", "e")
    shop.run_for(0)
    assert batches(shop) == [["a", "b"], ["c", "d", "e"]]


@pytest.fixture
def wide_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards that take in one second what takes seconds on AWS, so that it is one batch."""
    monkeypatch.setitem(LIMITS, "kinesis.shard_bytes", 10_000_000)


@pytest.mark.usefixtures("wide_shards")
def test_a_batch_stays_below_the_limit_of_a_payload(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html"""
    consume(template, "def handler(event, context): print(len(event['Records']))")
    shop = rehearse()
    put(shop, *["x" * 1_000_000] * 6)
    shop.run_until_idle()
    assert shop.logs("Shop/Function").split() == ["4", "2"]


def test_filters_look_into_the_json_of_the_data(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html"""
    pattern = {"data": {"detail-type": [{"prefix": "Order"}], "gone": [{"exists": False}]}}
    consume(template, FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    shop = aws()
    wanted = '{"detail-type": "OrderPlaced.v1"}'
    put(shop, '{"detail-type": "ItemPriced.v1"}', wanted, "no JSON", '"OrderPlaced"', "")
    put(shop, '{"detail-type": "OrderPlaced.v1", "gone": 1}')
    shop.run_until_idle()
    assert batches(shop) == [[wanted]]


def test_what_is_not_json_passes_only_filters_that_look_elsewhere(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html"""
    absent = {"data": {"kind": [{"exists": False}]}}
    mine = {"partitionKey": [SECOND]}
    filters = [{"Pattern": json.dumps(pattern)} for pattern in (absent, mine)]
    consume(template, FilterCriteria={"Filters": filters})
    shop = aws()
    put(shop, "no JSON", "{}")
    put(shop, "no JSON, but mine", key=SECOND)
    shop.run_until_idle()
    assert [text for texts in batches(shop) for text in texts] == ["{}", "no JSON, but mine"]


def test_reported_failures_are_tried_again_from_the_lowest_on(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html"""
    consume(template, MaximumRetryAttempts=1, **REPORTS)
    shop = rehearse()
    put(shop, "a", "bad1", "b", "bad2", "c")
    shop.run_until_idle()
    assert batches(shop) == [["a", "bad1", "b", "bad2", "c"], ["bad1", "b", "bad2", "c"]]
    assert outcomes(shop) == ["partial", "failed"]
    assert lost(shop)[0]["KinesisBatchInfo"]["batchSize"] == 4


def test_bisecting_isolates_a_bad_record(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"""
    consume(template, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1)
    shop = rehearse()
    put(shop, "a", "b", "raise", "c")
    shop.run_until_idle()
    assert batches(shop) == [
        ["a", "b", "raise", "c"],
        ["a", "b"],
        ["raise", "c"],
        ["raise"],
        ["raise"],
        ["c"],
    ]
    assert [report["KinesisBatchInfo"]["batchSize"] for report in lost(shop)] == [1]


def test_a_batch_is_given_up_after_its_retries_and_its_report_leads_to_the_records(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"""
    consume(template, MaximumRetryAttempts=2, BatchSize=2)
    shop = rehearse()
    put(shop, "raise")
    shop.run_for(0.5)
    put(shop, "a", "b")
    shop.run_until_idle()
    assert batches(shop) == [["raise"]] * 3 + [["a", "b"]]
    (report,) = lost(shop)
    assert report["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert report["requestContext"]["approximateInvokeCount"] == 3
    assert report["responseContext"]["functionError"] == "Unhandled"
    info = report["KinesisBatchInfo"]
    assert info["approximateArrivalOfFirstRecord"] == "2026-01-05T08:00:00.000Z"
    assert info["streamArn"] == shop.resource("Shop/Stream").attributes["Arn"]
    kinesis = shop.client("kinesis")
    iterator = kinesis.get_shard_iterator(
        StreamARN=info["streamArn"],
        ShardId=info["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=info["startSequenceNumber"],
    )["ShardIterator"]
    (record,) = kinesis.get_records(
        ShardIterator=iterator, StreamARN=info["streamArn"], Limit=info["batchSize"]
    )["Records"]
    assert record["Data"] == b"raise"
    (letter,) = shop.meter.of("dead_letter", source="Shop/Stream", target="Shop/Lost")
    assert letter.detail["records"] == [info["startSequenceNumber"]]


def test_without_a_destination_what_is_given_up_is_discarded(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"""
    consume(template, MaximumRetryAttempts=0, DestinationConfig={})
    shop = rehearse()
    put(shop, "raise")
    shop.run_until_idle()
    (record,) = shop.meter.of("discarded", source="Shop/Stream")
    assert record.detail["condition"] == "RetryAttemptsExhausted"


def test_records_that_are_too_old_are_given_up(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html"""
    consume(template, MaximumRecordAgeInSeconds=120)
    shop = rehearse()
    put(shop, "raise")
    shop.run_until_idle()
    (report,) = lost(shop)
    assert report["requestContext"]["condition"] == "RecordAgeExceeded"
    assert 120 <= shop.meter.of("dead_letter")[0].time - START <= 190


@pytest.mark.parametrize("bound", [-1, 604_800])
def test_records_are_tried_at_most_until_the_stream_forgets_them(
    template: Cloud, rehearse: Rehearse, bound: int
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html"""
    consume(template, MaximumRecordAgeInSeconds=bound)
    # Not the usual 24, and no more: each minute is a try.
    template.resources["Stream"]["Properties"]["RetentionPeriodHours"] = 25
    shop = rehearse()
    put(shop, "raise")
    shop.run_until_idle(limit_s=100_000)
    assert 25 * 3600 <= shop.meter.of("dead_letter")[0].time - START <= 25 * 3600 + 70


def test_a_fault_of_the_function_is_a_failed_batch(template: Cloud, rehearse: Rehearse) -> None:
    consume(template)
    shop = rehearse()
    shop.faults.fail("Shop/Function", when="after")
    put(shop, "a")
    shop.run_until_idle()
    assert outcomes(shop) == ["failed", "delivered"]
    assert batches(shop) == [["a"], ["a"]]


# -- tumbling windows ---------------------------------------------------------------------


def test_state_is_carried_through_a_window_and_its_end_is_an_invocation_of_its_own(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, **windows(BatchSize=2))
    shop = rehearse()
    shop.run_for(10)
    put(shop, "a", "b", "c")
    shop.run_until_idle()
    assert shop.scheduler.now() == START + 60
    window = {"start": "2026-01-05T08:00:00Z", "end": "2026-01-05T08:01:00Z"}
    shard = "shardId-000000000000"
    common = {"window": window, "shard": shard, "early": False}
    assert events(shop) == [
        {"texts": ["a", "b"], "state": {}, "final": False, **common},
        {"texts": ["c"], "state": {"count": 2}, "final": False, **common},
        {"texts": [], "state": {"count": 3}, "final": True, **common},
    ]


def test_each_window_begins_with_an_empty_state(template: Cloud, rehearse: Rehearse) -> None:
    """Also where one batch could hold the records of two windows.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    consume(template, **windows(Enabled=False))
    shop = rehearse()
    put(shop, "a", "b")
    shop.run_for(59.9)
    put(shop, "c")
    shop.run_for(0.1)
    put(shop, "d")
    shop.client("lambda").update_event_source_mapping(
        UUID=shop.physical_id("Shop/Mapping"), Enabled=True
    )
    shop.run_until_idle()
    assert [(e["texts"], e["state"], e["window"]["start"]) for e in events(shop)] == [
        (["a", "b", "c"], {}, "2026-01-05T08:00:00Z"),
        ([], {"count": 3}, "2026-01-05T08:00:00Z"),
        (["d"], {}, "2026-01-05T08:01:00Z"),
        ([], {"count": 1}, "2026-01-05T08:01:00Z"),
    ]


def test_no_window_opens_without_a_record_that_passes_the_filters(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    pattern = {"data": {"wanted": [True]}}
    consume(template, **windows(FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]}))
    shop = rehearse()
    put(shop, "{}")
    shop.run_for(300)
    assert shop.scheduler.idle
    assert events(shop) == []


def test_a_retry_sees_the_state_of_the_failed_try(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, **windows(BatchSize=1))
    shop = rehearse()
    put(shop, "a")
    shop.run_for(1)
    shop.faults.fail("Shop/Function", when="after", times=2)
    put(shop, "b")
    shop.run_until_idle()
    assert [(event["texts"], event["state"]) for event in events(shop)] == [
        (["a"], {}),
        (["b"], {"count": 1}),
        (["b"], {"count": 1}),
        (["b"], {"count": 1}),
        ([], {"count": 2}),
    ]


def test_what_follows_a_partial_success_sees_its_state(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, **windows(**REPORTS))
    shop = rehearse()
    put(shop, "a", "b", "bad", "c")
    shop.run_until_idle()
    retries = [(["bad", "c"], {"count": 2})] * 2
    assert [(event["texts"], event["state"]) for event in events(shop)] == [
        (["a", "b", "bad", "c"], {}),
        *retries,
        ([], {"count": 2}),
    ]
    assert lost(shop)[0]["KinesisBatchInfo"]["batchSize"] == 2


def test_an_answer_that_reports_its_first_record_leaves_the_state_as_it_was(
    template: Cloud, rehearse: Rehearse
) -> None:
    """And at the end of a window, where there are no records, a report of any is a failure.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    consume(
        template,
        """
        numbers = []
        def handler(event, context):
            print(len(event["Records"]), event["state"])
            numbers.extend(r["kinesis"]["sequenceNumber"] for r in event["Records"])
            failed = numbers[1 if event["isFinalInvokeForWindow"] else 0]
            return {"state": {"tries": 1}, "batchItemFailures": [{"itemIdentifier": failed}]}
        """,
        **windows(MaximumRetryAttempts=1, **REPORTS),
    )
    shop = rehearse()
    put(shop, "a", "b")
    shop.run_until_idle()
    assert shop.logs("Shop/Function").splitlines() == ["2 {}", "2 {}", "0 {}", "0 {}"]
    assert [report["KinesisBatchInfo"]["batchSize"] for report in lost(shop)] == [2, 2]


@pytest.mark.usefixtures("wide_shards")
def test_a_batch_leaves_room_for_the_state(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    consume(
        template,
        """
        def handler(event, context):
            print(len(event["Records"]))
            return {"state": {"text": 1_000_000 * "x"}}
        """,
        **windows(),
    )
    shop = rehearse()
    put(shop, *["x" * 1_000_000] * 7)
    shop.run_until_idle()
    assert shop.logs("Shop/Function").split() == ["3", "3", "1", "0"]


def test_halves_of_a_bisected_batch_pass_the_state_on(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, **windows(BisectBatchOnFunctionError=True))
    shop = rehearse()
    put(shop, "a", "b", "raise", "c")
    shop.run_until_idle()
    assert [(e["texts"], e["state"]) for e in events(shop) if "raise" not in e["texts"]] == [
        (["a", "b"], {}),
        (["c"], {"count": 2}),
        ([], {"count": 3}),
    ]


def test_an_answer_without_state_is_a_failure(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, "def handler(event, context): return {}", **windows())
    shop = rehearse()
    put(shop, "a")
    shop.run_until_idle()
    # Three tries of the record, and three of the window's end.
    assert outcomes(shop) == ["failed"] * 6
    assert ["functionError" in report["responseContext"] for report in lost(shop)] == [False] * 2


def test_a_window_that_cannot_be_closed_holds_up_the_shard_within_the_bound_of_retries(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(
        template,
        CONSUMER.replace("if any(", 'if event["isFinalInvokeForWindow"] or any('),
        **windows(BisectBatchOnFunctionError=True),
    )
    shop = rehearse()
    put(shop, "a", "b")
    shop.run_for(60)
    put(shop, "c")
    shop.run_for(20)
    assert [(event["texts"], event["state"], event["final"]) for event in events(shop)] == [
        (["a", "b"], {}, False),
        *[([], {"count": 2}, True)] * 3,
        (["c"], {}, False),
    ]
    (report,) = lost(shop)
    assert report["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert report["KinesisBatchInfo"]["batchSize"] == 2


def test_a_window_is_as_young_as_its_youngest_record(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, TumblingWindowInSeconds=300, MaximumRecordAgeInSeconds=60)
    shop = rehearse()
    put(shop, "a")
    shop.run_for(295)
    put(shop, "b")
    shop.run_until_idle()
    assert [(event["texts"], event["final"]) for event in events(shop)] == [
        (["a"], False),
        (["b"], False),
        ([], True),
    ]
    assert lost(shop) == []


@crosses("lambda.window_state_bytes")
def test_a_state_over_a_megabyte_ends_the_window_early(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(
        template,
        """
        def handler(event, context):
            state = event["state"]
            print(len(event["Records"]), len(state.get("text", "")),
                event["isWindowTerminatedEarly"], event["isFinalInvokeForWindow"])
            more = 600_000 * "x" * len(event["Records"])
            return {"state": {"text": state.get("text", "") + more}}
        """,
        **windows(BatchSize=1),
    )
    shop = rehearse()
    put(shop, "a", "b", "c")
    shop.run_until_idle()
    assert shop.logs("Shop/Function").splitlines() == [
        "1 0 False False",
        "1 600000 False False",
        "0 1200000 True False",
        "1 0 False False",
        "0 600000 False True",
    ]


def test_each_shard_has_windows_of_its_own(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, shards=2, **windows())
    shop = rehearse()
    put(shop, "a", "b", key=FIRST)
    put(shop, "c", key=SECOND)
    shop.run_until_idle()
    finals = {event["shard"]: event["state"] for event in events(shop) if event["final"]}
    assert sorted(state["count"] for state in finals.values()) == [1, 2]
    assert sorted(finals) == ["shardId-000000000000", "shardId-000000000001"]


def test_a_batching_window_does_not_reach_beyond_a_tumbling_one(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, **windows(seconds=10, MaximumBatchingWindowInSeconds=60))
    shop = rehearse()
    shop.run_for(4)
    put(shop, "a")
    shop.run_until_idle()
    assert [record.time - START for record in shop.meter.of("invocation")] == [10, 10]


def test_a_disabled_mapping_closes_its_window_when_it_is_enabled_again(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""
    consume(template, **windows())
    shop = rehearse()
    put(shop, "a")
    shop.run_for(1)
    update = shop.client("lambda").update_event_source_mapping
    update(UUID=shop.physical_id("Shop/Mapping"), Enabled=False)
    shop.run_until_idle()
    assert [event["final"] for event in events(shop)] == [False]
    update(UUID=shop.physical_id("Shop/Mapping"), Enabled=True)
    shop.run_until_idle()
    assert [event["final"] for event in events(shop)] == [False, True]


# -- from a rule --------------------------------------------------------------------------


def route(template: Cloud, *, action: str = "kinesis:PutRecord", **target: Any) -> None:
    consume(template, shards=4)
    template.bus("Bus")
    template.queue("Undelivered")
    template.add(
        "RuleRole",
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ]
        },
        Policies=[
            {
                "PolicyName": "Put",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": action, "Resource": arn("Stream")}],
                },
            }
        ],
    )
    template.rule(
        "Rule",
        {"source": ["shop"]},
        {
            "Arn": arn("Stream"),
            "RoleArn": arn("RuleRole"),
            "DeadLetterConfig": {"Arn": arn("Undelivered")},
            **target,
        },
    )


def publish(shop: World, detail: dict[str, Any]) -> str:
    (entry,) = shop.client("events").put_events(
        Entries=[
            {
                "EventBusName": shop.physical_id("Shop/Bus"),
                "Source": "shop",
                "DetailType": "OrderPlaced.v1",
                "Detail": json.dumps(detail),
            }
        ]
    )["Entries"]
    return str(entry["EventId"])


def keys(shop: World) -> list[str]:
    """The partition keys of what is in the stream."""
    kinesis = shop.client("kinesis")
    name = shop.physical_id("Shop/Stream")
    found = []
    for shard in kinesis.list_shards(StreamName=name)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found += [r["PartitionKey"] for r in kinesis.get_records(ShardIterator=iterator)["Records"]]
    return sorted(found)


def undelivered(shop: World) -> list[str]:
    return [message["attributes"]["ERROR_CODE"] for message in shop.messages("Shop/Undelivered")]


def test_a_rule_puts_events_into_a_stream_by_their_partition_key_path(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_KinesisParameters.html"""
    route(template, KinesisParameters={"PartitionKeyPath": "$.detail.subject"})
    shop = rehearse()
    for number in (1, 2, 1):
        publish(shop, {"subject": f"order-{number}"})
    shop.run_until_idle()
    assert keys(shop) == ["order-1", "order-1", "order-2"]
    texts = [json.loads(text) for texts in batches(shop) for text in texts]
    assert sorted(text["detail"]["subject"] for text in texts) == keys(shop)
    deliveries = shop.meter.of("delivery", source="Shop/Rule", target="Shop/Stream")
    assert [record.detail["outcome"] for record in deliveries] == ["delivered"] * 3


def test_without_a_path_the_event_s_id_is_the_partition_key(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_KinesisParameters.html"""
    route(template)
    shop = aws()
    event_id = publish(shop, {})
    assert eventually(shop, lambda: keys(shop)) == [event_id]


@pytest.mark.parametrize("subject", [None, "", {"nested": 1}, True, "k" * 257])
def test_an_event_without_a_usable_partition_key_is_a_dead_letter(
    template: Cloud, aws: Deploy, subject: Any
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_KinesisParameters.html"""
    route(template, KinesisParameters={"PartitionKeyPath": "$.detail.subject"})
    shop = aws()
    publish(shop, {"subject": subject})
    shop.run_until_idle()
    assert undelivered(shop) == ["INVALID_PARAMETER"]
    assert keys(shop) == []


def test_a_role_that_may_not_put_records_makes_dead_letters(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html"""
    route(template, action="kinesis:GetRecords")
    shop = aws()
    publish(shop, {})
    shop.run_until_idle()
    assert undelivered(shop) == ["NO_PERMISSIONS"]
    assert keys(shop) == []


def test_a_stream_that_is_gone_makes_dead_letters(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    route(template)
    shop = rehearse()
    shop.client("kinesis").delete_stream(StreamName=shop.physical_id("Shop/Stream"))
    publish(shop, {})
    shop.run_until_idle()
    assert undelivered(shop) == ["NO_RESOURCE"]


def test_a_delivery_that_fails_is_tried_again(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""
    route(template, RetryPolicy={"MaximumRetryAttempts": 1})
    shop = rehearse()
    shop.faults.fail("Shop/Stream", when="delivery", times=3)
    first, second = publish(shop, {}), publish(shop, {})
    shop.run_until_idle()
    assert len(keys(shop)) == 1
    assert set(keys(shop)) < {first, second}
    assert undelivered(shop) == ["SDK_CLIENT_ERROR"]


def test_a_stream_is_no_target_without_a_role(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html"""
    route(template)
    del template.resources["Rule"]["Properties"]["Targets"][0]["RoleArn"]
    with pytest.raises(UnsupportedTemplateError, match=r"Rule .*needs a role"):
        rehearse()


def test_the_same_seed_gives_the_same_run(template: Cloud, rehearse: Rehearse) -> None:
    consume(template, shards=4, **windows(BatchSize=2))
    path = template.write()

    def run(seed: int) -> list[Any]:
        with Rehearsal(path, seed=seed) as shop:
            for number in range(20):
                put(shop, str(number), key=str(number))
            shop.run_until_idle()
            return [(r.kind, r.time, r.detail.get("records")) for r in shop.meter.records]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert datetime.fromtimestamp(run(1)[-1][1], UTC).minute >= 1
