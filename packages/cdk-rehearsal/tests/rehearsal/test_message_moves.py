"""SQS: StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.limits import LIMITS
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Rehearse


@pytest.fixture
def shop(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A queue whose messages are parked when they were received once, and one without any."""
    template.queue("Dead")
    template.queue("Queue", dead_letters="Dead", receives=1, VisibilityTimeout=1)
    template.queue("Other")
    return rehearse()


def arn_of(shop: Rehearsal, name: str) -> str:
    return str(shop.resource(f"Shop/{name}", "AWS::SQS::Queue").attributes["Arn"])


def send(shop: Rehearsal, name: str, *bodies: str) -> None:
    for body in bodies:
        shop.client("sqs").send_message(QueueUrl=shop.physical_id(f"Shop/{name}"), MessageBody=body)


def park(shop: Rehearsal, *bodies: str) -> None:
    """Sends messages that are received once and not deleted, until the queue parks them."""
    send(shop, "Queue", *bodies)
    url = shop.physical_id("Shop/Queue")
    for _ in range(2):
        for _ in bodies:
            shop.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        shop.run_for(2)


@pytest.mark.parametrize("asked", ["All", "DeadLetterQueueSourceArn"])
def test_a_parked_message_names_the_queue_from_which_it_was_moved(
    shop: Rehearsal, asked: str
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""
    park(shop, "one")
    url = shop.physical_id("Shop/Dead")
    sent = shop.client("sqs").send_message(QueueUrl=url, MessageBody="of a service")
    messages = shop.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=[asked]
    )["Messages"]
    named = {
        each["Body"]: each.get("Attributes", {}).get("DeadLetterQueueSourceArn")
        for each in messages
    }
    assert sent
    assert named == {"one": arn_of(shop, "Queue"), "of a service": None}


def start(shop: Rehearsal, source: str = "Dead", **options: Any) -> str:
    answer = shop.client("sqs").start_message_move_task(SourceArn=arn_of(shop, source), **options)
    return str(answer["TaskHandle"])


def tasks(shop: Rehearsal, most: int = 10) -> list[dict[str, Any]]:
    answer = shop.client("sqs").list_message_move_tasks(
        SourceArn=arn_of(shop, "Dead"), MaxResults=most
    )
    return list(answer.get("Results", []))


def refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return str(raised.value.response["Error"]["Code"])


def test_messages_return_to_their_source_with_another_id_and_no_receives(shop: Rehearsal) -> None:
    park(shop, "a", "b")
    before = {message["message_id"] for message in shop.messages("Shop/Dead")}
    start(shop)
    shop.run_until_idle()
    after = shop.messages("Shop/Queue")
    assert [message["body"] for message in after] == ["a", "b"]
    assert before.isdisjoint(message["message_id"] for message in after)
    assert [message["receive_count"] for message in after] == [0, 0]
    (task,) = tasks(shop)
    assert task["Status"] == "COMPLETED"
    assert task["ApproximateNumberOfMessagesMoved"] == 2
    assert task["ApproximateNumberOfMessagesToMove"] == 2
    assert not {"TaskHandle", "DestinationArn", "MaxNumberOfMessagesPerSecond"} & task.keys()


def test_a_destination_gets_messages_that_no_queue_has_sent(shop: Rehearsal) -> None:
    send(shop, "Dead", "direct")
    start(shop, DestinationArn=arn_of(shop, "Other"))
    shop.run_until_idle()
    assert [message["body"] for message in shop.messages("Shop/Other")] == ["direct"]
    assert tasks(shop)[0]["DestinationArn"] == arn_of(shop, "Other")


def test_without_a_destination_a_message_that_no_queue_has_sent_fails_the_task(
    shop: Rehearsal,
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-dlq-redrive.html"""
    park(shop, "parked")
    send(shop, "Dead", "direct")
    start(shop)
    shop.run_until_idle()
    (task,) = tasks(shop)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert task["ApproximateNumberOfMessagesMoved"] == 1
    assert [message["body"] for message in shop.messages("Shop/Dead")] == ["direct"]


def test_a_destination_that_is_deleted_meanwhile_fails_the_task(shop: Rehearsal) -> None:
    park(shop, "a", "b")
    start(shop, DestinationArn=arn_of(shop, "Other"), MaxNumberOfMessagesPerSecond=1)
    shop.run_for(0.5)
    shop.client("sqs").delete_queue(QueueUrl=shop.physical_id("Shop/Other"))
    shop.run_until_idle()
    assert tasks(shop)[0]["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert len(shop.messages("Shop/Dead")) == 1


def test_a_rate_lets_the_move_take_its_time(shop: Rehearsal) -> None:
    park(shop, *"abcd")
    handle = start(shop, MaxNumberOfMessagesPerSecond=2)
    shop.run_for(1.1)
    (task,) = tasks(shop)
    assert task["Status"] == "RUNNING"
    assert task["TaskHandle"] == handle
    assert task["MaxNumberOfMessagesPerSecond"] == 2
    assert task["ApproximateNumberOfMessagesMoved"] == 3
    assert shop.queue_depths()["Shop/Dead"] == 1


def test_a_handle_contains_the_task_and_its_source(shop: Rehearsal) -> None:
    park(shop, "a")
    content = json.loads(base64.b64decode(start(shop)))
    assert content["sourceArn"] == arn_of(shop, "Dead")
    assert content["taskId"]


def test_cancelling_keeps_what_was_moved(shop: Rehearsal) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CancelMessageMoveTask.html"""
    park(shop, *"abcd")
    handle = start(shop, MaxNumberOfMessagesPerSecond=1)
    shop.run_for(0.5)
    sqs = shop.client("sqs")
    answer = sqs.cancel_message_move_task(TaskHandle=handle)
    assert answer["ApproximateNumberOfMessagesMoved"] == 1
    assert tasks(shop)[0]["Status"] == "CANCELLING"
    shop.run_until_idle()
    assert tasks(shop)[0]["Status"] == "CANCELLED"
    assert shop.queue_depths() == {"Shop/Dead": 3, "Shop/Queue": 1, "Shop/Other": 0}
    refused = refusal(sqs.cancel_message_move_task, TaskHandle=handle)
    assert refused == "AWS.SimpleQueueService.UnsupportedOperation"
    missing = refusal(sqs.cancel_message_move_task, TaskHandle="missing")
    assert missing == "ResourceNotFoundException"


def test_one_task_is_active_per_queue(shop: Rehearsal) -> None:
    park(shop, "a", "b")
    start(shop, MaxNumberOfMessagesPerSecond=1)
    again = refusal(shop.client("sqs").start_message_move_task, SourceArn=arn_of(shop, "Dead"))
    assert again == "AWS.SimpleQueueService.UnsupportedOperation"
    shop.run_until_idle()
    start(shop)
    shop.run_until_idle()
    assert [task["Status"] for task in tasks(shop)] == ["COMPLETED", "COMPLETED"]


def test_the_latest_tasks_are_listed_first_and_by_default_only_one(shop: Rehearsal) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListMessageMoveTasks.html"""
    for rate in range(1, 13):
        start(shop, MaxNumberOfMessagesPerSecond=rate)
        shop.run_for(1)
    assert [each["MaxNumberOfMessagesPerSecond"] for each in tasks(shop)] == [*range(12, 2, -1)]
    sqs = shop.client("sqs")
    (latest,) = sqs.list_message_move_tasks(SourceArn=arn_of(shop, "Dead"))["Results"]
    assert latest["MaxNumberOfMessagesPerSecond"] == 12
    too_many = refusal(sqs.list_message_move_tasks, SourceArn=arn_of(shop, "Dead"), MaxResults=11)
    assert too_many == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("source", "options", "code"),
    [
        ("Queue", {}, "InvalidParameterValue"),
        ("Missing", {}, "ResourceNotFoundException"),
        ("Dead", {"DestinationArn": "Missing"}, "ResourceNotFoundException"),
        ("Dead", {"MaxNumberOfMessagesPerSecond": 501}, "InvalidParameterValue"),
        ("Dead", {"MaxNumberOfMessagesPerSecond": 0}, "InvalidParameterValue"),
    ],
)
def test_a_task_is_refused_for_what_is_no_dead_letter_queue_or_no_queue_or_too_fast(
    shop: Rehearsal, source: str, options: dict[str, Any], code: str
) -> None:
    known = {name: arn_of(shop, name) for name in ("Queue", "Dead")}
    missing = known["Dead"].replace(known["Dead"].rpartition(":")[2], "missing")
    if "DestinationArn" in options:
        options = {"DestinationArn": missing}
    call = shop.client("sqs").start_message_move_task
    assert refusal(call, SourceArn=known.get(source, missing), **options) == code


def test_an_account_has_so_many_active_tasks_and_each_so_much_time(
    template: Cloud, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With lower limits: the real ones are 100 tasks and 36 hours."""
    monkeypatch.setitem(LIMITS, "sqs.moves", 1)
    monkeypatch.setitem(LIMITS, "sqs.move_s", 2)
    for name in ("", "Second"):
        template.queue(f"{name}Dead")
        template.queue(f"{name}Queue", dead_letters=f"{name}Dead")
    template.queue("Other")
    shop = rehearse()
    send(shop, "Dead", *"abcde")
    other = arn_of(shop, "Other")
    start(shop, DestinationArn=other, MaxNumberOfMessagesPerSecond=1)
    call = shop.client("sqs").start_message_move_task
    assert refusal(call, SourceArn=arn_of(shop, "SecondDead")) == "RequestThrottled"
    shop.run_until_idle()
    (task,) = tasks(shop)
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("FAILED", 2)
    assert "36 hours" in task["FailureReason"]


def test_messages_in_flight_stay(shop: Rehearsal) -> None:
    send(shop, "Dead", "a", "b")
    url = shop.physical_id("Shop/Dead")
    shop.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=3600)
    start(shop, DestinationArn=arn_of(shop, "Other"))
    shop.run_until_idle()
    assert shop.queue_depths()["Shop/Dead"] == 1
    assert tasks(shop)[0]["Status"] == "COMPLETED"


DEAD = ("StartMessageMoveTask", "ReceiveMessage", "DeleteMessage", "GetQueueAttributes")


@pytest.mark.parametrize("lacking", [*DEAD, "SendMessage"])
def test_whoever_starts_a_task_may_do_all_that_it_does(
    template: Cloud, rehearse: Rehearse, lacking: str
) -> None:
    template.queue("Dead")
    template.queue("Queue", dead_letters="Dead", receives=1)
    grants = {"Dead": {*DEAD} - {lacking}, "Queue": {"SendMessage"} - {lacking}}
    template.role(
        "Operator",
        *(
            {"Effect": "Allow", "Action": [f"sqs:{each}" for each in sorted(actions)]}
            | {"Resource": arn(queue)}
            for queue, actions in grants.items()
            if actions
        ),
    )
    shop = rehearse()
    role = shop.resource("Shop/Operator").attributes["Arn"]
    with pytest.raises(ClientError) as raised:
        shop.client("sqs", role=role).start_message_move_task(
            SourceArn=arn_of(shop, "Dead"), DestinationArn=arn_of(shop, "Queue")
        )
    assert f"sqs:{lacking.lower()}" in raised.value.response["Error"]["Message"]
    assert tasks(shop) == []
