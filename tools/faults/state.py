"""The state of a rehearsed shop: its tables, bus, queues, executions and files."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal import Rehearsal
from lambdas.eventing.attributes import Item, from_attributes
from lambdas.inventory.supplier_files import INCOMING
from tools.demo.evidence import ORDERS, RETURNS, STOCK, BusEvent, bus_event, scan
from tools.demo.supplier import BUCKET

EVENT_LOG = "Backbone/EventLog/Group"
RESTARTED = "-again"
"""The suffix in the name of an execution that repeats a failed one."""
_FAILED = {"FAILED", "TIMED_OUT", "ABORTED"}


@dataclass(frozen=True)
class ParkedMessage:
    """A message of a dead-letter queue."""

    body: str
    attributes: Mapping[str, str]


class ShopState:
    """Reads the state of a rehearsed shop. Tables and queues are named by their paths."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal

    # -- tables ---------------------------------------------------------------------------

    def items(self, table: str, kind: str | None = None) -> list[Item]:
        """Returns the items of a table, all or of one kind."""
        items = map(from_attributes, scan(self.rehearsal, table))
        return [item for item in items if kind in (None, item.get("kind"))]

    def order_statuses(self, *, synthetic: bool = False) -> dict[str, str]:
        """Returns the status of each order of a customer, or of each synthetic order."""
        return {
            item["order_id"]: item["status"]
            for item in self.items(ORDERS, "order")
            if item.get("synthetic", False) is synthetic
        }

    def return_states(self) -> dict[str, str]:
        """Returns the state of each return, by order."""
        return {item["order_id"]: item["state"] for item in self.items(RETURNS, "return")}

    def prices(self) -> dict[str, int]:
        """Returns the price list of the orders context: minor units by SKU."""
        return {item["sku"]: item["unit_price_minor"] for item in self.items(ORDERS, "price")}

    def in_stock(self) -> set[str]:
        """Returns the SKUs of which a supplier has delivered units."""
        return {item["pk"].removeprefix("STOCK#") for item in self.items(STOCK, "stock")}

    def returned(self, order_id: str) -> str | None:
        """Returns the state of an order's return."""
        return self.state_of(RETURNS, f"ORDER#{order_id}", "RETURN")

    def state_of(self, table: str, pk: str, sk: str) -> str | None:
        """Returns the state of one item, or None if there is no such item."""
        found = self.rehearsal.client("dynamodb").get_item(
            TableName=self.rehearsal.physical_id(table), Key={"pk": {"S": pk}, "sk": {"S": sk}}
        )
        return from_attributes(found.get("Item", {})).get("state")

    # -- bus ------------------------------------------------------------------------------

    def on_bus(self, *types: str, subject: str | None = None) -> list[BusEvent]:
        """Returns the events that reached the bus, optionally of these types and this subject."""
        events = (record.detail["event"] for record in self.rehearsal.meter.of("published"))
        return [
            bus_event(event["detail-type"], event["detail"])
            for event in events
            if (not types or event["detail-type"] in types)
            and subject in (None, event["detail"]["subject"])
        ]

    def unlogged(self) -> list[str]:
        """Returns the ids of events that reached the bus, but not the event log."""
        pages = self.rehearsal.client("logs").get_paginator("filter_log_events")
        group = self.rehearsal.physical_id(EVENT_LOG)
        logged = {
            json.loads(entry["message"])["id"]
            for page in pages.paginate(logGroupName=group)
            for entry in page["events"]
        }
        records = self.rehearsal.meter.of("published")
        return sorted({record.detail["event"]["detail"]["id"] for record in records} - logged)

    def last_event_for(self, queue: str) -> dict[str, Any] | None:
        """Returns the last event that a rule or topic has put into a queue, if any."""
        deliveries = self.rehearsal.meter.of("delivery", target=queue)
        events = [record.detail["event"] for record in deliveries if "event" in record.detail]
        return events[-1]["detail"] if events else None

    # -- queues, executions and files -----------------------------------------------------

    def parked(self) -> dict[str, int]:
        """Returns the number of messages in each dead-letter queue that is not empty."""
        depths = self.rehearsal.queue_depths()
        return {
            path: depths[path] for path in self.rehearsal.dead_letter_queues() if depths.get(path)
        }

    def take_messages(self, queue: str) -> Iterator[ParkedMessage]:
        """Receives and deletes all messages of a queue.

        PurgeQueue would delete messages unread, and works only once a minute:
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html
        """
        sqs, url = self.rehearsal.client("sqs"), self.rehearsal.physical_id(queue)
        asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0}
        while messages := sqs.receive_message(MessageAttributeNames=["All"], **asked).get(
            "Messages"
        ):
            for message in messages:
                attributes = message.get("MessageAttributes", {})
                texts = {name: each["StringValue"] for name, each in attributes.items()}
                yield ParkedMessage(message["Body"], texts)
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def failed_executions(self) -> list[dict[str, Any]]:
        """Returns the failed executions of Standard workflows that were not restarted."""
        client = self.rehearsal.client("stepfunctions")
        executions = [
            execution
            for resource in self.rehearsal.resources
            if resource.type == "AWS::StepFunctions::StateMachine"
            and resource.properties.get("StateMachineType") == "STANDARD"
            for page in client.get_paginator("list_executions").paginate(
                stateMachineArn=resource.physical_id
            )
            for execution in page["executions"]
        ]
        names = {execution["name"] for execution in executions}
        return [
            client.describe_execution(executionArn=execution["executionArn"])
            for execution in executions
            if execution["status"] in _FAILED and execution["name"] + RESTARTED not in names
        ]

    def unreported_files(self) -> list[str]:
        """Returns the keys of suppliers' files without a report."""
        pages = self.rehearsal.client("s3").get_paginator("list_objects_v2")
        bucket = self.rehearsal.physical_id(BUCKET)
        keys = {
            entry["Key"]
            for page in pages.paginate(Bucket=bucket)
            for entry in page.get("Contents", [])
        }
        return [
            key
            for key in sorted(key for key in keys if key.startswith(INCOMING))
            if not any(f"/{key.removeprefix(INCOMING)}/" in other for other in keys)
        ]
