"""DynamoDB Streams: Lambda's event source mapping, in order, with retries, bisecting and age."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, UnsupportedTemplateError
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Deploy, Rehearse

# Prints the keys of each batch; fails on keys that begin with "raise" or, one by one, with "bad".
RELAY = """
    import json, time
    def handler(event, context):
        keys = [record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"]]
        print(json.dumps(keys))
        if any(key.startswith("sleep") for key in keys): time.sleep(1)
        if any(key.startswith("raise") for key in keys): raise ValueError("poison")
        return {"batchItemFailures": [
            {"itemIdentifier": record["dynamodb"]["SequenceNumber"]}
            for record, key in zip(event["Records"], keys) if key.startswith("bad")]}
"""
REPORTS: dict[str, Any] = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}


def relay(template: Cloud, code: str = RELAY, **mapping: Any) -> None:
    template.table("Table")
    template.queue("Unpublished")
    template.function("Function", code, Timeout=20)
    mapping.setdefault("StartingPosition", "TRIM_HORIZON")
    mapping.setdefault("DestinationConfig", {"OnFailure": {"Destination": arn("Unpublished")}})
    template.mapping("Mapping", arn("Table", "StreamArn"), "Function", **mapping)


def put(shop: Rehearsal, *keys: str) -> None:
    for key in keys:
        shop.client("dynamodb").put_item(
            TableName=shop.physical_id("Shop/Table"), Item={"pk": {"S": key}}
        )


def batches(shop: Rehearsal) -> list[list[str]]:
    """The keys that the function was invoked with, batch by batch."""
    lines = shop.logs("Shop/Function").splitlines()
    return [json.loads(line) for line in lines if line.startswith("[") and "ERROR" not in line]


def unpublished(shop: Rehearsal) -> list[dict[str, Any]]:
    return [json.loads(message["body"]) for message in shop.messages("Shop/Unpublished")]


def test_records_come_in_order_and_in_batches(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html"""
    relay(template, BatchSize=3)
    shop = rehearse()
    put(shop, *"abcdefg")
    shop.run_until_idle()
    assert batches(shop) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_a_function_gets_records_as_lambda_hands_them_over(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html"""
    relay(template, "import json\ndef handler(event, context): print(json.dumps(event))")
    shop = aws()
    table = shop.physical_id("Shop/Table")
    client = shop.client("dynamodb")
    client.put_item(TableName=table, Item={"pk": {"S": "1"}, "n": {"N": "1"}})
    client.put_item(TableName=table, Item={"pk": {"S": "1"}, "n": {"N": "2"}})
    client.delete_item(TableName=table, Key={"pk": {"S": "1"}})
    shop.run_until_idle()
    events = [json.loads(line) for line in shop.logs("Shop/Function").splitlines()]
    inserted, modified, removed = [each for event in events for each in event["Records"]]
    assert inserted["eventName"] == "INSERT"
    assert inserted["eventSource"] == "aws:dynamodb"
    assert inserted["eventSourceARN"] == shop.resource("Shop/Table").attributes["StreamArn"]
    assert inserted["awsRegion"] == shop.region
    if isinstance(shop, Rehearsal):
        assert inserted["dynamodb"]["ApproximateCreationDateTime"] == 1767600000
    assert inserted["dynamodb"]["Keys"] == {"pk": {"S": "1"}}
    assert inserted["dynamodb"]["NewImage"] == {"pk": {"S": "1"}, "n": {"N": "1"}}
    assert "OldImage" not in inserted["dynamodb"]
    assert modified["eventName"] == "MODIFY"
    assert modified["dynamodb"]["OldImage"]["n"] == {"N": "1"}
    assert removed["eventName"] == "REMOVE"
    assert "NewImage" not in removed["dynamodb"]
    numbers = [int(r["dynamodb"]["SequenceNumber"]) for r in (inserted, modified, removed)]
    assert numbers == sorted(numbers)


def test_records_that_no_filter_matches_invoke_nothing(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html"""
    pattern = {
        "eventName": ["INSERT"],
        "dynamodb": {"NewImage": {"pk": {"S": [{"prefix": "outbox"}]}}},
    }
    relay(template, FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    shop = rehearse()
    put(shop, "order#1", "outbox#1", "order#2", "outbox#2", "outbox#2")
    shop.run_until_idle()
    assert batches(shop) == [["outbox#1", "outbox#2"]]
    put(shop, "order#3")
    shop.run_until_idle()
    assert len(shop.meter.of("invocation")) == 1


def test_one_batch_at_a_time_is_at_work(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html"""
    relay(template, BatchSize=1)
    shop = rehearse()
    put(shop, "sleep1", "sleep2", "sleep3")
    shop.run_until_idle()
    moments = [r.time for r in shop.meter.of("invocation")]
    assert [moment - moments[0] for moment in moments] == [0, 1, 2]
    assert shop.function("Shop/Function").environments == 1


def test_a_window_gathers_records(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html"""
    relay(template, BatchSize=10, MaximumBatchingWindowInSeconds=5)
    shop = rehearse()
    put(shop, "a")
    shop.run_for(3)
    put(shop, "b")
    shop.run_until_idle()
    assert batches(shop) == [["a", "b"]]


def test_a_failed_batch_holds_up_what_comes_after_it(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
    relay(template, BatchSize=2)
    shop = rehearse()
    shop.faults.fail("Shop/Function", times=2)
    put(shop, *"abc")
    shop.run_until_idle()
    assert [r.detail["outcome"] for r in shop.meter.of("delivery")] == [
        "failed",
        "failed",
        "delivered",
        "delivered",
    ]
    assert batches(shop) == [["a", "b"], ["c"]]


def test_a_batch_is_given_up_after_its_retries(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
    relay(template, MaximumRetryAttempts=2, BatchSize=2)
    shop = rehearse()
    put(shop, "raise", "b", "c")
    shop.run_until_idle()
    assert batches(shop) == [["raise", "b"]] * 3 + [["c"]]
    (report,) = unpublished(shop)
    assert report["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert report["requestContext"]["approximateInvokeCount"] == 3
    assert (
        report["requestContext"]["functionArn"]
        == (shop.resource("Shop/Function").attributes["Arn"])
    )
    assert report["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert report["version"] == "1.0"
    info = report["DDBStreamBatchInfo"]
    assert info["batchSize"] == 2
    assert info["streamArn"] == shop.resource("Shop/Table").attributes["StreamArn"]
    assert info["approximateArrivalOfFirstRecord"] == "2026-01-05T08:00:00Z"
    assert int(info["endSequenceNumber"]) == int(info["startSequenceNumber"]) + 1


def test_the_report_leads_back_to_the_records(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
    relay(template, MaximumRetryAttempts=0, BatchSize=1)
    shop = rehearse()
    put(shop, "a", "raise", "b")
    shop.run_until_idle()
    (report,) = unpublished(shop)
    info = report["DDBStreamBatchInfo"]
    streams = shop.client("dynamodbstreams")
    iterator = streams.get_shard_iterator(
        StreamArn=info["streamArn"],
        ShardId=info["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=info["startSequenceNumber"],
    )["ShardIterator"]
    (record,) = streams.get_records(ShardIterator=iterator, Limit=info["batchSize"])["Records"]
    assert record["dynamodb"]["Keys"] == {"pk": {"S": "raise"}}


def test_reported_failures_are_tried_again_from_the_lowest_on(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html"""
    relay(template, MaximumRetryAttempts=1, **REPORTS)
    shop = rehearse()
    put(shop, "a", "bad1", "b", "bad2", "c")
    shop.run_until_idle()
    assert batches(shop) == [
        ["a", "bad1", "b", "bad2", "c"],
        ["bad1", "b", "bad2", "c"],
    ]
    (report,) = unpublished(shop)
    assert report["DDBStreamBatchInfo"]["batchSize"] == 4
    assert "functionError" not in report["responseContext"]


def test_retries_count_anew_when_a_batch_gets_further(template: Cloud, rehearse: Rehearse) -> None:
    """The first retry of a record is the one after it was the lowest to fail.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    relay(
        template,
        """
        import json
        seen = set()
        def handler(event, context):
            keys = [record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"]]
            print(json.dumps(keys))
            for record, key in zip(event["Records"], keys):
                if key not in seen:
                    seen.add(key)
                    number = record["dynamodb"]["SequenceNumber"]
                    return {"batchItemFailures": [{"itemIdentifier": number}]}
        """,
        MaximumRetryAttempts=1,
        **REPORTS,
    )
    shop = rehearse()
    put(shop, *"abc")
    shop.run_until_idle()
    assert batches(shop) == [["a", "b", "c"], ["a", "b", "c"], ["b", "c"], ["c"]]
    assert unpublished(shop) == []


def test_a_malformed_answer_fails_the_whole_batch(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html"""
    relay(
        template,
        "def handler(event, context): return {'batchItemFailures': [{'itemIdentifier': ''}]}",
        MaximumRetryAttempts=1,
        **REPORTS,
    )
    shop = rehearse()
    put(shop, *"ab")
    shop.run_until_idle()
    assert [r.detail["outcome"] for r in shop.meter.of("delivery")] == ["failed", "failed"]
    assert unpublished(shop)[0]["DDBStreamBatchInfo"]["batchSize"] == 2


def test_bisecting_isolates_a_bad_record_and_uses_up_no_retry(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
    relay(template, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1)
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
    (report,) = unpublished(shop)
    assert report["DDBStreamBatchInfo"]["batchSize"] == 1


def test_with_reported_failures_a_batch_is_bisected_at_the_reported_record(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html"""
    relay(template, BisectBatchOnFunctionError=True, MaximumRetryAttempts=0, **REPORTS)
    shop = rehearse()
    put(shop, "a", "bad", "b", "c")
    shop.run_until_idle()
    assert batches(shop)[:2] == [["a", "bad", "b", "c"], ["bad", "b", "c"]]
    (report,) = unpublished(shop)
    assert report["DDBStreamBatchInfo"]["batchSize"] == 1
    assert batches(shop)[-1] == ["b", "c"]


def test_records_that_are_too_old_are_given_up(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html"""
    relay(template, MaximumRecordAgeInSeconds=120)
    shop = rehearse()
    put(shop, "raise")
    shop.run_until_idle()
    (report,) = unpublished(shop)
    assert report["requestContext"]["condition"] == "RecordAgeExceeded"
    assert report["requestContext"]["approximateInvokeCount"] == len(batches(shop))
    assert 120 <= shop.meter.of("dead_letter")[0].time - 1767600000 <= 190


def test_without_bounds_records_are_tried_until_the_stream_forgets_them(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html"""
    relay(template)
    shop = rehearse()
    put(shop, "raise")
    shop.run_until_idle(limit_s=100_000)
    assert 86_400 <= shop.meter.of("dead_letter")[0].time - 1767600000 <= 86_500


def test_a_tumbling_window_carries_its_state(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html"""
    relay(
        template,
        """
        import json
        def handler(event, context):
            print(json.dumps({name: event[name] for name in event if name != "Records"}))
            return {"state": {"count": event["state"].get("count", 0) + len(event["Records"])}}
        """,
        TumblingWindowInSeconds=60,
    )
    shop = rehearse()
    put(shop, *"abc")
    shop.run_until_idle()
    first, last = (json.loads(line) for line in shop.logs("Shop/Function").splitlines())
    assert first["eventSourceARN"] == shop.resource("Shop/Table").attributes["StreamArn"]
    assert first["shardId"].startswith("shardId-")
    assert (first["state"], first["isFinalInvokeForWindow"]) == ({}, False)
    assert (last["state"], last["isFinalInvokeForWindow"]) == ({"count": 3}, True)
    assert last["window"] == {"start": "2026-01-05T08:00:00Z", "end": "2026-01-05T08:01:00Z"}


def test_throttling_uses_up_no_retry(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
    relay(template, MaximumRetryAttempts=0)
    template.resources["Function"]["Properties"]["ReservedConcurrentExecutions"] = 0
    shop = rehearse()
    put(shop, "a")
    shop.run_for(30)
    shop.function("Shop/Function").reserved_concurrency = 1
    shop.run_until_idle()
    assert batches(shop) == [["a"]]
    assert unpublished(shop) == []


def test_a_transaction_that_fails_leaves_nothing_in_the_stream(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html"""
    relay(template)
    shop = rehearse()
    table = shop.physical_id("Shop/Table")
    client = shop.client("dynamodb")
    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": table, "Item": {"pk": {"S": "a"}}}},
                {
                    "Put": {
                        "TableName": table,
                        "Item": {"pk": {"S": "b"}},
                        "ConditionExpression": "attribute_exists(pk)",
                    }
                },
            ]
        )
    shop.run_until_idle()
    put(shop, "c")
    shop.run_until_idle()
    assert batches(shop) == [["c"]]


def test_a_disabled_mapping_goes_on_where_it_stopped(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html"""
    relay(template, Enabled=False)
    shop = rehearse()
    put(shop, *"ab")
    shop.run_until_idle()
    assert batches(shop) == []
    shop.client("lambda").update_event_source_mapping(
        UUID=shop.physical_id("Shop/Mapping"), Enabled=True
    )
    shop.run_until_idle()
    assert batches(shop) == [["a", "b"]]


def test_parallel_batches_of_a_shard_are_not_known(template: Cloud, rehearse: Rehearse) -> None:
    relay(template, ParallelizationFactor=2)
    with pytest.raises(UnsupportedTemplateError, match=r"Mapping .*ParallelizationFactor = 2"):
        rehearse()
