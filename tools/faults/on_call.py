"""Whoever is on call: brings back what was parked, as the runbook says."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from cdk_rehearsal import Resource
from tools.demo.supplier import BUCKET
from tools.faults.ledger import AGAIN
from tools.faults.shop import Shop
from tools.faults.trouble import POISON


class OnCall:
    """Works through the dead-letter queues once the cause of the trouble is gone."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._rehearsal = shop.rehearsal
        self.brought_back = 0
        """Messages, and executions."""
        self.thrown_away = 0
        """Messages that nobody could make sense of."""
        # Ordered sets: one seed gives one run, in whatever process.
        self._to_replay: dict[str, None] = {}
        self._to_publish: dict[str, None] = {}

    def bring_back(self) -> None:
        """Empties dead-letter queues into where messages belong, and repeats failed executions."""
        for path in self._shop.parked():
            for message in self._receive(path):
                if POISON in message["body"] or POISON in _decoded(message["body"]):
                    self.thrown_away += 1
                else:
                    self.brought_back += 1
                    self._return(path, message)
        for execution in self.to_start_again():
            self._start_again(execution)
        # Once each, however many messages ask for it.
        while self._to_replay:
            self._shop.replay(self._to_replay.popitem()[0])
        while self._to_publish:
            self._publish_again(self._to_publish.popitem()[0])

    def to_start_again(self) -> list[dict[str, Any]]:
        """Executions that failed, but for those of poison, which would fail again."""
        return [each for each in self._shop.failed() if POISON not in each["input"]]

    def _start_again(self, execution: dict[str, Any]) -> None:
        """Has a workflow begin anew: what is done already is found done."""
        self.brought_back += 1
        self._rehearsal.client("stepfunctions").start_execution(
            stateMachineArn=execution["stateMachineArn"],
            name=execution["name"] + AGAIN,
            input=execution["input"],
        )

    def look_after_files(self) -> None:
        """Copies a supplier's file onto itself if no report came for it.

        Not as long as its own notification may come still: the copy is another version, and its
        rows count again.
        """
        s3, bucket = self._rehearsal.client("s3"), self._rehearsal.physical_id(BUCKET)
        for key in self._shop.unreported():
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            s3.put_object(Bucket=bucket, Key=key, Body=body)

    def _receive(self, path: str) -> Iterator[dict[str, Any]]:
        """Takes the messages out of a queue, each when it was seen: a purge takes others, too.

        It can be had once a minute, and some are on call more often:
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html
        """
        sqs, queue = self._rehearsal.client("sqs"), self._rehearsal.physical_id(path)
        asked = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0}
        while messages := sqs.receive_message(MessageAttributeNames=["All"], **asked).get(
            "Messages"
        ):
            for message in messages:
                attributes = message.get("MessageAttributes", {})
                yield {
                    "body": message["Body"],
                    "attributes": {name: each["StringValue"] for name, each in attributes.items()},
                }
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    def _return(self, path: str, message: dict[str, Any]) -> None:
        body, attributes = message["body"], message["attributes"]
        if source := self._source_of(path):
            # As a redrive into the consumer's queue by name.
            self._rehearsal.queues.by_path(source.path).send(body)
        elif "RULE_ARN" in attributes:
            self._to_replay[self._rehearsal.path_of(attributes["RULE_ARN"])] = None
        elif "DDBStreamBatchInfo" in (report := json.loads(body)):
            self._to_publish[report["DDBStreamBatchInfo"]["streamArn"].split("/")[1]] = None
        elif "KinesisBatchInfo" in report:
            self._put_again(report["KinesisBatchInfo"])
        else:
            raise AssertionError(f"the runbook does not know of {message} in {path}")

    def _source_of(self, path: str) -> Resource | None:
        """The queue whose dead-letter queue this is, if it is one's."""
        arn = self._rehearsal.resource(path, "AWS::SQS::Queue").attributes["Arn"]
        for resource in self._rehearsal.resources:
            if resource.type == "AWS::SQS::Queue":
                policy = resource.properties.get("RedrivePolicy", {})
                if policy.get("deadLetterTargetArn") == arn:
                    return resource
        return None

    def _publish_again(self, table: str) -> None:
        """Writes the events of an outbox anew: the stream carries the insertion."""
        dynamodb = self._rehearsal.client("dynamodb")
        pages = dynamodb.get_paginator("scan").paginate(TableName=table)
        for item in [item for page in pages for item in page["Items"]]:
            if item.get("kind") == {"S": "outbox"}:
                key = {"pk": item["pk"], "sk": item["sk"]}
                dynamodb.delete_item(TableName=table, Key=key)
                dynamodb.put_item(TableName=table, Item=item)

    def _put_again(self, batch: dict[str, Any]) -> None:
        """Puts the records that the report tells of on the stream again."""
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


def _decoded(body: str) -> str:
    """What a body says that is in base64, since no message may hold it as it is."""
    try:
        return base64.b64decode(body, validate=True).decode(errors="replace")
    except ValueError:
        return ""
