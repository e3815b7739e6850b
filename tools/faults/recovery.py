"""Recovery after a fault: redrives, replays and restarts, as the runbook describes."""

import base64
import json
from typing import Any

from cdk_rehearsal import Resource
from cdk_rehearsal.replays import REDRIVE
from tools.demo.evidence import scan
from tools.demo.supplier import BUCKET
from tools.faults.injection import POISON
from tools.faults.shop import RehearsedShop
from tools.faults.state import RESTARTED, ParkedMessage


class Recovery:
    """Empties the dead-letter queues once the cause of a fault is gone."""

    def __init__(self, shop: RehearsedShop) -> None:
        self._shop = shop
        self._rehearsal = shop.rehearsal
        self.redriven = 0
        """Messages that were redriven, and executions that were restarted."""
        self.discarded = 0
        """Poison messages that were deleted."""
        # Ordered sets: the same seed gives the same run in every process.
        self._to_replay: dict[str, None] = {}
        self._to_publish: dict[str, None] = {}

    def redrive(self) -> None:
        """Redrives parked messages, discards poison messages, and restarts failed executions."""
        for path in self._shop.parked():
            self._move_back(path)
            for message in self._shop.take_messages(path):
                if _is_poison(message.body):
                    self.discarded += 1
                else:
                    self.redriven += 1
                    self._deliver_again(path, message)
        for execution in self.failed_executions():
            self._restart(execution)
        # Once each, for all messages that need it.
        while self._to_replay:
            self._shop.replay(self._to_replay.popitem()[0])
        while self._to_publish:
            self._publish_again(self._to_publish.popitem()[0])

    def failed_executions(self) -> list[dict[str, Any]]:
        """Returns the failed executions, except those of poison messages."""
        return [each for each in self._shop.failed_executions() if POISON not in each["input"]]

    def _restart(self, execution: dict[str, Any]) -> None:
        self.redriven += 1
        self._rehearsal.client("stepfunctions").start_execution(
            stateMachineArn=execution["stateMachineArn"],
            name=execution["name"] + RESTARTED,
            input=execution["input"],
        )

    def resubmit_files(self) -> None:
        """Copies each supplier's file without a report onto itself.

        Call it only when no notification about the file is in progress: the copy is another
        version, and its rows would count again.
        """
        s3, bucket = self._rehearsal.client("s3"), self._rehearsal.physical_id(BUCKET)
        for key in self._shop.unreported_files():
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            s3.put_object(Bucket=bucket, Key=key, Body=body)

    def _move_back(self, path: str) -> None:
        """Moves the messages that a queue has parked, except poison messages, back to it."""
        if source := self._source_of(path):
            parked = self._rehearsal.messages(path)
            sound = {each["message_id"] for each in parked if not _is_poison(each["body"])}
            self.redriven += self._rehearsal.redrive(path, source.path, sound)

    def _deliver_again(self, path: str, message: ParkedMessage) -> None:
        """Repeats the delivery that a service gave up, as the report in a message says."""
        body, attributes = message.body, message.attributes
        if "RULE_ARN" in attributes:
            self._to_replay[self._rehearsal.path_of(attributes["RULE_ARN"])] = None
        elif "SUBSCRIBER_ARN" in attributes:
            self._to_replay[self._subscriber_of(attributes["SUBSCRIBER_ARN"])] = None
        elif "DDBStreamBatchInfo" in (report := json.loads(body)):
            self._to_publish[report["DDBStreamBatchInfo"]["streamArn"].split("/")[1]] = None
        elif "KinesisBatchInfo" in report:
            self._put_again(report["KinesisBatchInfo"])
        else:
            raise AssertionError(f"{path} has a message that the runbook does not name: {message}")

    def _subscriber_of(self, arn: str) -> str:
        """Returns the path of a subscriber, also if a temporary one stands for it."""
        name = arn.split("/")[1].removesuffix(REDRIVE)
        (path,) = (
            resource.path
            for resource in self._rehearsal.resources
            if resource.type == "AWS::EventsV2::Subscriber" and resource.properties["Name"] == name
        )
        return path

    def _source_of(self, path: str) -> Resource | None:
        """Returns the queue that parks messages in a dead-letter queue, if one does."""
        arn = self._rehearsal.resource(path, "AWS::SQS::Queue").attributes["Arn"]
        for resource in self._rehearsal.resources:
            if resource.type == "AWS::SQS::Queue":
                policy = resource.properties.get("RedrivePolicy", {})
                if policy.get("deadLetterTargetArn") == arn:
                    return resource
        return None

    def _publish_again(self, table: str) -> None:
        """Deletes and inserts the events of an outbox, so that the stream carries them again."""
        dynamodb = self._rehearsal.client("dynamodb")
        for item in list(scan(self._rehearsal, self._rehearsal.path_of(table))):
            if item.get("kind") == {"S": "outbox"}:
                key = {"pk": item["pk"], "sk": item["sk"]}
                dynamodb.delete_item(TableName=table, Key=key)
                dynamodb.put_item(TableName=table, Item=item)

    def _put_again(self, batch: dict[str, Any]) -> None:
        """Puts the records of a parked batch on their stream again."""
        kinesis = self._rehearsal.client("kinesis")
        stream = batch["streamArn"].split("/")[1]
        iterator = kinesis.get_shard_iterator(
            StreamName=stream,
            ShardId=batch["shardId"],
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=batch["startSequenceNumber"],
        )["ShardIterator"]
        answer = kinesis.get_records(ShardIterator=iterator, Limit=batch["batchSize"])
        for record in answer["Records"]:
            if POISON.encode() not in record["Data"]:
                kinesis.put_record(
                    StreamName=stream, Data=record["Data"], PartitionKey=record["PartitionKey"]
                )


def _is_poison(body: str) -> bool:
    return POISON in body or POISON in _decoded(body)


def _decoded(body: str) -> str:
    """Decodes a body in base64, as of messages with characters that SQS does not accept."""
    try:
        return base64.b64decode(body, validate=True).decode(errors="replace")
    except ValueError:
        return ""
