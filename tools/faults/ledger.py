"""The shop's own tables, its bus and its queues, for whoever compares them."""

import json
from collections import Counter
from typing import Any

from cdk_rehearsal import Rehearsal
from lambdas.eventing.attributes import Item, from_attributes
from lambdas.inventory.supplier_files import INCOMING
from tools.demo.evidence import (
    ORDERS,
    PAYMENTS,
    PROVIDER,
    RETURNS,
    SHIPMENTS,
    STOCK,
    TABLES,
    BusEvent,
    bus_event,
)
from tools.demo.supplier import BUCKET

EVENT_LOG = "Backbone/EventLog/Group"
AGAIN = "-again"
"""How the name of an execution ends that does what another one should have done."""
_BAD_ENDS = {"FAILED", "TIMED_OUT", "ABORTED"}


class Ledger:
    """What tables, bus and queues of a rehearsed shop hold."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal

    # -- tables ---------------------------------------------------------------------------

    def items(self, table: str, kind: str | None = None) -> list[Item]:
        """Items of a table, by the table's path."""
        client = self.rehearsal.client("dynamodb")
        pages = client.get_paginator("scan").paginate(TableName=self.rehearsal.physical_id(table))
        items = [from_attributes(item) for page in pages for item in page["Items"]]
        return [item for item in items if kind in (None, item.get("kind"))]

    def stock(self) -> dict[str, tuple[int, int]]:
        """Units available and reserved, per SKU."""
        return {
            item["pk"].removeprefix("STOCK#"): (item["available"], item["reserved"])
            for item in self.items(STOCK, "stock")
        }

    def held(self) -> int:
        """Minor units that the shop's books say the provider holds."""
        payments = self.items(PAYMENTS, "payment")
        return sum(item["amount_minor"] for item in payments if item["state"] == "authorized")

    def held_by_provider(self) -> int:
        """Minor units that the provider's own book says it holds."""
        entries = self.items(PROVIDER)
        return sum(item["amount_minor"] for item in entries if item.get("status") == "authorized")

    def ends(self) -> dict[str, str]:
        """The status of each order."""
        return {item["order_id"]: item["status"] for item in self.items(ORDERS, "order")}

    def return_ends(self) -> dict[str, str]:
        """The state of each return."""
        return {item["order_id"]: item["state"] for item in self.items(RETURNS, "return")}

    def statuses(self) -> Counter[str]:
        """How many orders have which status."""
        return Counter(self.ends().values())

    def prices(self) -> dict[str, int]:
        """Orders' price list: minor units, per SKU."""
        return {item["sku"]: item["unit_price_minor"] for item in self.items(ORDERS, "price")}

    def shipment(self, order_id: str) -> str | None:
        """The state of an order's shipment."""
        return self._item(SHIPMENTS, f"SHIPMENT#{order_id}", "SHIPMENT").get("state")

    def returned(self, order_id: str) -> str | None:
        """The state of an order's return."""
        return self._item(RETURNS, f"ORDER#{order_id}", "RETURN").get("state")

    def _item(self, table: str, pk: str, sk: str) -> Item:
        found = self.rehearsal.client("dynamodb").get_item(
            TableName=self.rehearsal.physical_id(table), Key={"pk": {"S": pk}, "sk": {"S": sk}}
        )
        return from_attributes(found.get("Item", {}))

    # -- bus ------------------------------------------------------------------------------

    def published(self) -> Counter[str]:
        """Events in the outboxes, by detail-type."""
        return Counter(
            item["detail_type"] for table in TABLES for item in self.items(table, "outbox")
        )

    def on_bus(self, *types: str, subject: str | None = None) -> list[BusEvent]:
        """Events that have reached the bus: all, or of these types, or about this subject."""
        events = (record.detail["event"] for record in self.rehearsal.meter.of("published"))
        return [
            bus_event(event["detail-type"], event["detail"])
            for event in events
            if (not types or event["detail-type"] in types)
            and subject in (None, event["detail"]["subject"])
        ]

    def unlogged(self) -> list[str]:
        """Ids of events that have reached the bus, but not its log."""
        pages = self.rehearsal.client("logs").get_paginator("filter_log_events")
        group = self.rehearsal.physical_id(EVENT_LOG)
        logged = {
            json.loads(entry["message"])["id"]
            for page in pages.paginate(logGroupName=group)
            for entry in page["events"]
        }
        records = self.rehearsal.meter.of("published")
        return sorted({record.detail["event"]["detail"]["id"] for record in records} - logged)

    def last_event_for(self, queue: str) -> dict[str, Any]:
        """The last event that a rule or topic has put into a queue, by its path."""
        deliveries = self.rehearsal.meter.of("delivery", target=queue)
        events = [record.detail["event"] for record in deliveries if "event" in record.detail]
        event: dict[str, Any] = events[-1]["detail"]
        return event

    # -- queues, executions and files -----------------------------------------------------

    def parked(self) -> dict[str, int]:
        """Messages in each dead-letter queue that has any."""
        depths = self.rehearsal.queue_depths()
        return {
            path: depths[path] for path in self.rehearsal.dead_letter_queues() if depths.get(path)
        }

    def failed(self) -> list[dict[str, Any]]:
        """Executions of Standard workflows that ended badly, and were not started again."""
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
            if execution["status"] in _BAD_ENDS and execution["name"] + AGAIN not in names
        ]

    def unreported(self) -> list[str]:
        """Keys of suppliers' files on which there is no report."""
        pages = self.rehearsal.client("s3").get_paginator("list_objects_v2")
        bucket = self.rehearsal.physical_id(BUCKET)
        keys = {
            entry["Key"]
            for page in pages.paginate(Bucket=bucket)
            for entry in page.get("Contents", [])
        }
        incoming = sorted(key for key in keys if key.startswith(INCOMING))
        return [
            key
            for key in incoming
            if not any(f"/{key.removeprefix(INCOMING)}/" in other for other in keys)
        ]
