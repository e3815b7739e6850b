"""FIFO queues and topics: order in a group, deduplication, and what may be connected."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_rehearsal import check
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import World

WORK = """
import json, time
def handler(event, context):
    time.sleep(5)
    for record in event["Records"]:
        print(record["attributes"]["MessageGroupId"], record["body"])
        if record["body"] == "bad":
            raise ValueError
"""


def fifo(template: Cloud, name: str, **properties: Any) -> None:
    template.queue(name, FifoQueue=True, **{"ContentBasedDeduplication": True, **properties})


def send(shop: World, body: str, group: str = "g", **options: Any) -> None:
    shop.client("sqs").send_message(
        QueueUrl=shop.physical_id("Shop/Queue"), MessageBody=body, MessageGroupId=group, **options
    )


def handled(shop: World) -> list[str]:
    return shop.logs("Shop/Work").replace("\\n", "\n").split("\n")


def worker(template: Cloud, **properties: Any) -> None:
    template.function("Work", WORK, Timeout=10)
    template.mapping("Mapping", arn("Queue"), "Work", **{"BatchSize": 1, **properties})


@pytest.mark.parametrize(("scope", "delivered"), [("Topic", 1), ("MessageGroup", 2)])
def test_a_topic_knows_messages_again_within_its_scope(
    template: Cloud, rehearse: Rehearse, scope: str, delivered: int
) -> None:
    """https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_sns.FifoThroughputScope.html"""
    template.queue("Queue")
    topic(template, FifoThroughputScope=scope)
    shop = rehearse()
    for group in ("a", "b", "a"):
        shop.client("sns").publish(
            TopicArn=shop.physical_id("Shop/Topic"), Message="same", MessageGroupId=group
        )
    shop.run_until_idle()
    assert len(shop.messages("Shop/Queue")) == delivered


def test_a_scope_is_for_fifo_topics(template: Cloud) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/fifo-high-throughput.html"""
    template.add("Topic", "AWS::SNS::Topic", FifoThroughputScope="Topic")
    (found,) = check(template.write())
    assert "FifoThroughputScope is for FIFO topics" in found.problem


def test_the_messages_of_a_group_are_handled_one_after_the_other(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html"""
    fifo(template, "Queue")
    worker(template)
    shop = rehearse()
    for number in range(3):
        send(shop, f"a{number}", "a")
        send(shop, f"b{number}", "b")
    start = shop.clock.now()
    shop.run_until_idle()
    lines = [line for line in handled(shop) if line]
    for group in "ab":
        of_group = [line for line in lines if line.startswith(group)]
        assert of_group == [f"{group} {group}{number}" for number in range(3)]
    # Two groups side by side, three messages in each.
    assert 15 <= shop.clock.now() - start < 20


def test_a_message_that_fails_blocks_its_group_until_it_is_parked(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html"""
    fifo(template, "Parked")
    fifo(template, "Queue", dead_letters="Parked", receives=2)
    worker(template)
    shop = aws()
    for body, group in (("bad", "a"), ("after", "a"), ("other", "b")):
        send(shop, body, group)
    shop.run_until_idle()
    lines = [line for line in handled(shop) if line and line[0] in "ab" and " " in line]
    kept = [line for line in lines if line in ("a bad", "a after", "b other")]
    assert sorted(kept, key=lambda line: line != "b other") == [
        "b other",
        "a bad",
        "a bad",
        "a after",
    ]
    assert [message["body"] for message in shop.messages("Shop/Parked")] == ["bad"]


@pytest.mark.parametrize(("after_s", "kept"), [(0, 1), (299, 1), (301, 2)])
def test_a_repeated_message_is_dropped_for_five_minutes(
    template: Cloud, rehearse: Rehearse, after_s: float, kept: int
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html"""
    fifo(template, "Queue")
    worker(template)
    shop = rehearse()
    send(shop, "same")
    shop.run_until_idle()
    shop.run_for(max(0, after_s - 5))
    send(shop, "same")
    shop.run_until_idle()
    assert len([line for line in handled(shop) if line == "g same"]) == kept


def topic(template: Cloud, **properties: Any) -> None:
    fifo = {"FifoTopic": True, "ContentBasedDeduplication": True}
    template.add("Topic", "AWS::SNS::Topic", **fifo, **properties)
    template.add(
        "Send",
        "AWS::SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="sqs",
        Endpoint=arn("Queue"),
        RawMessageDelivery=True,
    )
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn("Queue"),
    }
    template.add(
        "Admit",
        "AWS::SQS::QueuePolicy",
        Queues=[ref("Queue")],
        PolicyDocument={"Statement": [statement]},
    )
    del template.resources["QueuePolicy"]


def test_a_topic_keeps_order_and_groups_and_drops_repeated_messages(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html
    https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html
    """
    fifo(template, "Queue")
    topic(template)
    shop = rehearse(latency=None)
    ids = [
        shop.client("sns").publish(
            TopicArn=shop.physical_id("Shop/Topic"), Message=text, MessageGroupId="g"
        )["MessageId"]
        for text in (*"abcdefgh", "a")
    ]
    shop.run_until_idle()
    assert [message["body"] for message in shop.messages("Shop/Queue")] == [*"abcdefgh"]
    assert ids[-1] == ids[0]
    (first,) = shop.client("sqs").receive_message(
        QueueUrl=shop.physical_id("Shop/Queue"), AttributeNames=["MessageGroupId"]
    )["Messages"]
    assert first["Attributes"]["MessageGroupId"] == "g"


def test_a_rule_sends_to_a_fifo_queue_in_a_group(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html"""
    fifo(template, "Queue")
    template.bus("Bus")
    template.rule(
        "Rule",
        {"source": ["shop"]},
        {"Arn": arn("Queue"), "SqsParameters": {"MessageGroupId": "events"}},
    )
    worker(template)
    shop = aws()
    bus = shop.physical_id("Shop/Bus")
    entry = {"EventBusName": bus, "Source": "shop", "DetailType": "d", "Detail": "{}"}
    shop.client("events").put_events(Entries=[entry])
    shop.run_until_idle()
    (line,) = [line for line in handled(shop) if line]
    assert line.startswith("events ")


def test_a_redriven_message_keeps_its_group(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html"""
    fifo(template, "Parked")
    fifo(template, "Queue", dead_letters="Parked", receives=1)
    worker(template)
    shop = rehearse()
    send(shop, "bad", "a")
    shop.run_until_idle()
    assert shop.redrive("Shop/Parked") == 1
    shop.run_until_idle()
    assert len([line for line in handled(shop) if line == "a bad"]) == 2


def connected(template: Cloud, what: str) -> None:
    fifo(template, "Queue")
    if what == "topic":
        topic(template)
        template.resources["Send"]["Properties"].update(Protocol="email", Endpoint="a@b.org")
    elif what == "queue":
        template.queue("Parked")
        template.queue("First", FifoQueue=True, dead_letters="Parked")
    else:
        template.add("Bus", "AWS::Events::EventBus", Name="bus")
        template.rule("Rule", {"source": ["shop"]}, {"Arn": arn("Queue")})


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("topic", "a FIFO topic delivers to queues only"),
        ("queue", "the dead-letter queue of a FIFO queue is one, too"),
        ("rule", "a FIFO queue as a target needs SqsParameters.MessageGroupId"),
    ],
)
def test_what_aws_does_not_connect_is_an_error(template: Cloud, what: str, problem: str) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html"""
    connected(template, what)
    (found,) = check(template.write())
    assert problem in found.problem
    assert json.dumps(found.path)
