"""SQS: Lambda's event source mapping, visibility, redrive to a dead-letter queue and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import Refused, World

# Fails on bodies that begin with "bad", answers with what "answer" holds, sleeps as told.
CONSUMER = """
    import json, time
    def handler(event, context):
        failures = []
        for record in event["Records"]:
            body = record["body"]
            if body.startswith("sleep"): time.sleep(float(body.split()[1]))
            if body.startswith("raise"): raise ValueError(body)
            if body.startswith("answer"): return json.loads(body.removeprefix("answer"))
            if body.startswith("bad"): failures.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failures}
"""

NAMED = {"Fn::Sub": "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}-queue"}
OTHER = {"Fn::Sub": "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}-other"}


def consume(template: Cloud, code: str = CONSUMER, **mapping: Any) -> None:
    template.queue("Dead")
    template.queue("Queue", dead_letters="Dead", receives=3, VisibilityTimeout=30)
    template.function("Function", code, Timeout=20)
    template.mapping("Mapping", arn("Queue"), "Function", **mapping)


def send(shop: World, *bodies: str, **options: Any) -> None:
    for body in bodies:
        shop.client("sqs").send_message(
            QueueUrl=shop.physical_id("Shop/Queue"), MessageBody=body, **options
        )


def deliveries(shop: Rehearsal) -> list[tuple[float, str, int, int]]:
    """Seconds since the first delivery ended, outcome, size of the batch, failed messages."""
    records = shop.meter.of("delivery", source="Shop/Queue", target="Shop/Function")
    return [
        (
            round(r.time - records[0].time, 1),
            r.detail["outcome"],
            len(r.detail["messages"]),
            len(r.detail["failed"]),
        )
        for r in records
    ]


def test_messages_are_handed_over_in_batches_and_deleted(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""
    consume(template, BatchSize=4)
    shop = rehearse()
    send(shop, *"abcdef")
    shop.run_until_idle()
    assert sorted(size for _, _, size, _ in deliveries(shop)) == [2, 4]
    assert shop.queue_depths() == {"Shop/Dead": 0, "Shop/Queue": 0}


def test_a_function_gets_messages_as_lambda_hands_them_over(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""
    consume(template, "import json\ndef handler(event, context): print(json.dumps(event))")
    shop = aws()
    send(
        shop,
        "hello",
        MessageAttributes={
            "kind": {"DataType": "String", "StringValue": "greeting"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00"},
        },
    )
    shop.run_until_idle()
    (record,) = json.loads(shop.logs("Shop/Function"))["Records"]
    assert record["body"] == "hello"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == shop.resource("Shop/Queue").attributes["Arn"]
    assert record["awsRegion"] == shop.region
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert len(record["attributes"]["SentTimestamp"]) == len("1767600000000")
    if isinstance(shop, Rehearsal):
        assert record["attributes"]["SentTimestamp"] == "1767600000000"
    assert record["messageAttributes"]["kind"] == {
        "stringValue": "greeting",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
    assert record["messageAttributes"]["raw"]["binaryValue"] == "AA=="
    assert {"messageId", "receiptHandle", "md5OfBody"} <= set(record)


def test_a_failed_batch_comes_back_when_its_visibility_timeout_is_over(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""
    consume(template)
    shop = rehearse()
    shop.faults.fail("Shop/Function")
    send(shop, "a", "b")
    shop.run_until_idle()
    assert deliveries(shop) == [(0, "failed", 2, 2), (30.0, "delivered", 2, 0)]


def test_a_message_moves_to_the_dead_letter_queue_when_received_too_often(
    template: Cloud, rehearse: Rehearse
) -> None:
    """A maxReceiveCount of 3 means three deliveries; the fourth receive moves the message.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    consume(template)
    shop = rehearse()
    send(shop, "raise")
    shop.run_until_idle()
    assert [moment for moment, *_ in deliveries(shop)] == [0, 30.0, 60.0]
    (message,) = shop.messages("Shop/Dead")
    assert (message["body"], message["receive_count"]) == ("raise", 3)
    assert shop.dead_letter_queues() == ["Shop/Dead"]
    (moved,) = shop.meter.of("dead_letter")
    assert (moved.source, moved.target) == ("Shop/Queue", "Shop/Dead")
    assert round(moved.time - shop.meter.of("delivery")[0].time) == 90


@pytest.mark.parametrize(
    ("variable", "known"), [("DEAD_LETTER_QUEUE_URL", ["Shop/Dead"]), ("QUEUE_URL", [])]
)
def test_a_queue_in_which_a_function_parks_messages_is_a_dead_letter_queue(
    template: Cloud, rehearse: Rehearse, variable: str, known: list[str]
) -> None:
    template.queue("Dead")
    variables = {"Variables": {variable: ref("Dead")}}
    template.function("Count", "def handler(event, context): pass", Environment=variables)
    assert rehearse().dead_letter_queues() == known


def test_motos_own_receive_moves_a_message_after_as_many_receives(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html"""
    template.queue("Dead")
    template.queue("Queue", dead_letters="Dead", receives=2, VisibilityTimeout=5)
    shop = rehearse()
    send(shop, "a")
    received = []
    for _ in range(3):
        answer = shop.client("sqs").receive_message(QueueUrl=shop.physical_id("Shop/Queue"))
        received.append(len(answer.get("Messages", [])))
        shop.run_for(5.1)
    assert received == [1, 1, 0]
    assert shop.queue_depths() == {"Shop/Dead": 1, "Shop/Queue": 0}


def test_with_reported_failures_only_those_come_back(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""
    consume(template, FunctionResponseTypes=["ReportBatchItemFailures"])
    shop = rehearse()
    send(shop, "good", "bad", "good")
    shop.run_until_idle()
    assert deliveries(shop)[:2] == [(0, "partial", 3, 1), (30.0, "failed", 1, 1)]
    assert [m["body"] for m in shop.messages("Shop/Dead")] == ["bad"]


def test_without_that_setting_reported_failures_are_not_heard(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""
    consume(template)
    shop = rehearse()
    send(shop, "good", "bad")
    shop.run_until_idle()
    assert deliveries(shop) == [(0, "delivered", 2, 0)]
    assert shop.queue_depths() == {"Shop/Dead": 0, "Shop/Queue": 0}


@pytest.mark.parametrize(
    ("answer", "succeeds"),
    [
        ("null", True),
        ("{}", True),
        ('{"batchItemFailures": []}', True),
        ('{"batchItemFailures": null}', True),
        ('{"batchItemFailures": [{"itemIdentifier": ""}]}', False),
        ('{"batchItemFailures": [{"itemIdentifier": null}]}', False),
        ('{"batchItemFailures": [{"wrongKey": "x"}]}', False),
        ('{"batchItemFailures": [{"itemIdentifier": "nobody"}]}', False),
        ('{"batchItemFailures": ["nobody"]}', False),
        ('{"batchItemFailures": "nobody"}', False),
        ('"nonsense"', False),
    ],
)
def test_odd_answers_count_as_success_or_failure_of_all(
    template: Cloud, rehearse: Rehearse, answer: str, succeeds: bool
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""
    consume(template, FunctionResponseTypes=["ReportBatchItemFailures"])
    shop = rehearse()
    send(shop, f"answer {answer}", "good")
    shop.run_for(10)
    assert deliveries(shop) == [
        (0, "delivered", 2, 0) if succeeds else (0, "failed", 2, 2),
    ]


def test_a_batching_window_gathers_messages_until_it_ends(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    consume(template, BatchSize=3, MaximumBatchingWindowInSeconds=10)
    shop = rehearse()
    started = shop.clock.now()
    send(shop, "a")
    shop.run_for(4)
    send(shop, "b")
    shop.run_until_idle()
    (delivery,) = shop.meter.of("delivery")
    assert len(delivery.detail["messages"]) == 2
    assert delivery.time - started == pytest.approx(10, abs=0.1)


def test_a_full_batch_does_not_wait_for_its_window(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    consume(template, BatchSize=3, MaximumBatchingWindowInSeconds=10)
    shop = rehearse()
    started = shop.clock.now()
    send(shop, *"abc")
    shop.run_until_idle()
    assert [r.time - started < 0.1 for r in shop.meter.of("delivery")] == [True]


def test_maximum_concurrency_bounds_the_batches_at_work(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""
    consume(template, BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    shop = rehearse()
    send(shop, *["sleep 1"] * 6)
    shop.run_until_idle()
    assert [moment for moment, *_ in deliveries(shop)] == [0, 0, 1, 1, 2, 2]
    assert shop.function("Shop/Function").environments == 2


def test_without_a_maximum_pollers_grow_from_five(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""
    consume(template, BatchSize=1)
    shop = rehearse()
    send(shop, *["sleep 10"] * 30)
    shop.run_for(0.5)
    assert shop.function("Shop/Function").active == 7
    shop.run_for(2)
    assert shop.function("Shop/Function").active == 17
    shop.run_until_idle()
    assert len(deliveries(shop)) == 30


def test_pollers_grow_from_five_to_the_maximum_concurrency(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""
    consume(template, BatchSize=1, ScalingConfig={"MaximumConcurrency": 12})
    shop = rehearse()
    send(shop, *["sleep 10"] * 30)
    shop.run_for(0.5)
    assert shop.function("Shop/Function").active == 7
    shop.run_for(4)
    assert shop.function("Shop/Function").active == 12
    shop.run_until_idle()
    assert len(deliveries(shop)) == 30
    assert shop.function("Shop/Function").environments == 12


def test_messages_that_no_filter_matches_are_deleted(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html"""
    consume(
        template,
        FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"kind": ["wanted"]}})}]},
    )
    shop = rehearse()
    send(shop, json.dumps({"kind": "wanted"}), json.dumps({"kind": "other"}))
    shop.run_until_idle()
    assert deliveries(shop) == [(0, "delivered", 1, 0)]
    assert shop.queue_depths()["Shop/Queue"] == 0
    assert [r.detail["outcome"] for r in shop.meter.of("delivery", target="nowhere")] == [
        "filtered"
    ]


def test_a_throttled_batch_is_tried_again_until_it_would_be_visible(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""
    consume(template, BatchSize=1)
    template.resources["Function"]["Properties"]["ReservedConcurrentExecutions"] = 1
    shop = rehearse()
    send(shop, "sleep 10", "good")
    shop.run_until_idle()
    assert [outcome for _, outcome, *_ in deliveries(shop)] == ["delivered", "delivered"]
    assert 10 <= deliveries(shop)[1][0] + 10 < 30


def test_a_batch_is_no_larger_than_what_an_invocation_takes(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""
    consume(template, BatchSize=10)
    shop = rehearse()
    send(shop, *["x" * 1_000_000] * 8)
    shop.run_until_idle()
    assert [(outcome, size) for _, outcome, size, _ in deliveries(shop)] == [
        ("delivered", 6),
        ("delivered", 2),
    ]


def test_a_delayed_message_is_delivered_when_its_delay_is_over(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-timers.html"""
    consume(template)
    shop = rehearse()
    started = shop.clock.now()
    send(shop, "late", DelaySeconds=60)
    shop.run_until_idle()
    (delivery,) = shop.meter.of("delivery")
    assert delivery.time - started == pytest.approx(60, abs=0.1)


def test_a_message_that_its_handler_has_deleted_does_not_come_back(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""
    consume(
        template,
        """
        import boto3, os
        def handler(event, context):
            sqs = boto3.client("sqs")
            first = event["Records"][0]
            sqs.delete_message(QueueUrl=os.environ["QUEUE"], ReceiptHandle=first["receiptHandle"])
            raise ValueError("and fails")
        """,
    )
    template.resources["Function"]["Properties"]["Environment"] = {
        "Variables": {"QUEUE": ref("Queue")}
    }
    shop = rehearse()
    send(shop, "a")
    shop.run_until_idle()
    assert len(deliveries(shop)) == 1
    assert shop.queue_depths() == {"Shop/Dead": 0, "Shop/Queue": 0}


def test_a_handler_may_shorten_the_visibility_timeout(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
    """
    consume(
        template,
        """
        import boto3, os
        def handler(event, context):
            boto3.client("sqs").change_message_visibility(
                QueueUrl=os.environ["QUEUE"], VisibilityTimeout=5,
                ReceiptHandle=event["Records"][0]["receiptHandle"])
            raise ValueError("sooner, please")
        """,
    )
    template.resources["Function"]["Properties"]["Environment"] = {
        "Variables": {"QUEUE": ref("Queue")}
    }
    shop = rehearse()
    send(shop, "a")
    shop.run_until_idle()
    assert [moment for moment, *_ in deliveries(shop)] == [0, 5, 10]


def test_a_disabled_mapping_delivers_nothing(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html"""
    consume(template, Enabled=False)
    shop = rehearse()
    send(shop, "a")
    shop.run_until_idle()
    assert shop.queue_depths()["Shop/Queue"] == 1
    shop.client("lambda").update_event_source_mapping(
        UUID=shop.physical_id("Shop/Mapping"), Enabled=True
    )
    shop.run_until_idle()
    assert shop.queue_depths()["Shop/Queue"] == 0


def test_messages_go_back_to_where_they_came_from(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html"""
    consume(template)
    shop = rehearse()
    send(shop, "raise")
    shop.run_until_idle()
    (before,) = shop.messages("Shop/Dead")
    assert shop.redrive("Shop/Dead") == 1
    (after,) = shop.messages("Shop/Queue")
    assert after["message_id"] != before["message_id"]
    assert after["receive_count"] == 0
    shop.run_until_idle()
    assert len(deliveries(shop)) == 6
    assert shop.queue_depths() == {"Shop/Dead": 1, "Shop/Queue": 0}


def test_what_no_queue_has_sent_moves_only_to_a_named_destination(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html"""
    consume(template)
    shop = rehearse()
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Dead"), MessageBody="direct")
    assert shop.redrive("Shop/Dead") == 0
    assert shop.redrive("Shop/Dead", "Shop/Queue") == 1
    shop.run_until_idle()
    assert deliveries(shop) == [(0, "delivered", 1, 0)]


def test_a_message_older_than_the_retention_period_is_gone(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-basic-architecture.html"""
    consume(template, Enabled=False)
    template.resources["Queue"]["Properties"]["MessageRetentionPeriod"] = 60
    shop = rehearse()
    send(shop, "old")
    shop.run_for(61)
    shop.client("lambda").update_event_source_mapping(
        UUID=shop.physical_id("Shop/Mapping"), Enabled=True
    )
    send(shop, "new")
    shop.run_until_idle()
    assert deliveries(shop) == [(0, "delivered", 1, 0)]
    assert shop.queue_depths()["Shop/Queue"] == 0


@pytest.mark.parametrize(
    ("policy", "admits"),
    [
        ({"redrivePermission": "allowAll"}, True),
        ({"redrivePermission": "denyAll"}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [NAMED]}, True),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [OTHER]}, False),
    ],
)
def test_a_dead_letter_queue_says_whose_it_is(
    template: Cloud, aws: Deploy, policy: dict[str, Any], admits: bool
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue.html"""
    template.queue("Dead", RedriveAllowPolicy=policy)
    name = {"Fn::Sub": "${AWS::StackName}-queue"}
    template.queue("Queue", dead_letters="Dead", QueueName=name)
    if admits:
        assert aws().physical_id("Shop/Queue").endswith("-queue")
    else:
        with pytest.raises(Refused, match="Queue"):
            aws()


def test_a_function_slower_than_the_visibility_timeout_is_an_error(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    consume(template)
    template.resources["Function"]["Properties"]["Timeout"] = 31
    with pytest.raises(Refused, match="Mapping"):
        aws()


def test_a_large_batch_without_a_window_is_an_error(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""
    consume(template, BatchSize=11)
    with pytest.raises(Refused, match="Mapping"):
        aws()
