"""The analytics context as its callers see it, and Lambda's processing of a shard."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from msgspec import structs

from lambdas.analytics import aggregate_sales, get_sales, record_activity
from lambdas.analytics.events import ItemAddedToCart, ItemViewed
from lambdas.analytics.settings import Settings
from lambdas.eventing import aws
from lambdas.eventing.attributes import Item
from lambdas.eventing.event import CloudEvent, Event
from lambdas.orders.events import Line, OrderConfirmed
from tests.support.cloud import Cloud, Crash, Queue, Table
from tests.support.messages import CONTEXT, Answer, Call, body, enveloped
from tests.support.orders import line

SETTINGS = Settings(table_name="analytics", inbox_days=22, stream_name="activity")
NOON = datetime.fromisoformat("2026-01-05T12:00:30+00:00")

Record = dict[str, Any]


@dataclass
class Window:
    """One shard during one tumbling window, as Lambda processes it.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """

    state: dict[str, Any] = field(default_factory=dict)
    keeps_state_of_failures: bool = True
    """Whether Lambda keeps the state of a response that reports failures, which AWS leaves open."""

    def invoke(self, records: Sequence[Record], *, final: bool = False) -> Any:
        """Invokes the handler with the current state. Raises the errors of the handler."""
        event = {
            "Records": list(records),
            "window": {"start": "2026-01-05T12:00:00Z", "end": "2026-01-05T12:01:00Z"},
            "state": self.state,
            "shardId": "shardId-000000000001",
            "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/activity",
            "isFinalInvokeForWindow": final,
            "isWindowTerminatedEarly": False,
        }
        # Through JSON, as in Lambda.
        answer = json.loads(
            json.dumps(aggregate_sales.handler(json.loads(json.dumps(event)), CONTEXT))
        )
        assert set(answer) == {"state", "batchItemFailures"}
        if self.keeps_state_of_failures or not answer["batchItemFailures"]:
            self.state = answer["state"]
        return answer

    def drain(self, records: Sequence[Record]) -> None:
        """Invokes until all records are done: from a reported one on, or in halves after an error.

        https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
        """
        todo = [list(records)]
        while todo:
            batch = todo.pop()
            try:
                failures = self.invoke(batch)["batchItemFailures"]
            except (Crash, ClientError):
                half = len(batch) // 2
                todo += [part for part in (batch[half:], batch[:half]) if part]
                continue
            if failures:
                numbers = [record["kinesis"]["sequenceNumber"] for record in batch]
                todo.append(batch[numbers.index(failures[0]["itemIdentifier"]) :])

    def close(self) -> None:
        """The last invocation of the window, repeated until it succeeds."""
        while True:
            try:
                self.invoke([], final=True)
            except (Crash, ClientError):
                continue
            self.state = {}
            return


@dataclass(frozen=True)
class Analytics:
    """Calls the context's functions as API Gateway and Lambda do."""

    table: Table
    parking: Queue

    @classmethod
    def in_cloud(cls, cloud: Cloud) -> "Analytics":
        """Creates the context with an empty table and an empty stream."""
        table = cloud.table(SETTINGS.table_name)
        parking = cloud.queue("parking")
        aws.kinesis().create_stream(StreamName=SETTINGS.stream_name, ShardCount=1)
        cloud.configure({**SETTINGS.as_environment(), "DEAD_LETTER_QUEUE_URL": parking.url})
        return cls(table, parking)

    def count(self, *envelopes: CloudEvent) -> Any:
        """Processes a batch in its own window."""
        return Window().invoke(records(*envelopes))

    def rows(self) -> dict[tuple[str, str | None], dict[str, int]]:
        """The counts by minute and SKU."""
        return {
            (_minute(item), _sku(item)): {
                name: value
                for name, value in item.items()
                if name not in {"pk", "sk", "kind", "expires_at"}
            }
            for kind in ("item", "shop")
            for item in self.table.items(kind)
        }

    def record(self, *activities: Any, caller: str = "customer-1", **fields: Any) -> Answer:
        """Posts activities."""
        request = {"activities": list(activities), **fields}
        call = Call(route="POST /activity", body=request, caller=caller)
        return call.send(record_activity.handler)

    def on_stream(self) -> list[Record]:
        """All records of the stream, as Lambda passes them."""
        kinesis = aws.kinesis()
        (shard,) = kinesis.list_shards(StreamName=SETTINGS.stream_name)["Shards"]
        iterator = kinesis.get_shard_iterator(
            StreamName=SETTINGS.stream_name,
            ShardId=shard["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        found = kinesis.get_records(ShardIterator=iterator)["Records"]
        return [
            record(stored["Data"], stored["SequenceNumber"], stored["PartitionKey"])
            for stored in found
        ]

    def sales(self, **query: str) -> Answer:
        """Gets sales; `start` and `end` are sent as `from` and `to`."""
        names = {"start": "from", "end": "to"}
        event = Call(route="GET /sales", caller="staff-1").event()
        event["queryStringParameters"] = {
            names.get(name, name): value for name, value in query.items()
        }
        response = get_sales.handler(event, CONTEXT)
        return Answer(response["statusCode"], response["headers"], json.loads(response["body"]))


def record(data: bytes, sequence_number: str, partition_key: str = "key") -> Record:
    """A record of the stream as functions receive it.

    https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": partition_key,
            "sequenceNumber": sequence_number,
            "data": b64encode(data).decode(),
            "approximateArrivalTimestamp": 1767614430.0,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000001:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/role",
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/activity",
    }


def records(*contents: CloudEvent | bytes, first: int = 1) -> list[Record]:
    """Records with these contents; their sequence numbers are `s1`, `s2` and so on."""
    return [
        record(content if isinstance(content, bytes) else body(content).encode(), f"s{number}")
        for number, content in enumerate(contents, start=first)
    ]


def happened(event: Event, at: datetime = NOON) -> CloudEvent:
    """The event as it was published at a time."""
    return structs.replace(enveloped(event), time=at)


def confirmed(*lines: Line, order_id: str = "order-1", currency: str = "EUR") -> OrderConfirmed:
    """The event of a confirmed order, with one mug if no lines are given."""
    ordered = lines or (line(),)
    return OrderConfirmed(
        order_id=order_id,
        customer_id="customer-1",
        currency=currency,
        total_minor=sum(item.quantity * item.unit_price_minor for item in ordered),
        lines=ordered,
    )


def viewed(sku: str = "MUG") -> ItemViewed:
    """The event of an item that was viewed."""
    return ItemViewed(sku=sku, unit_price_minor=1250, currency="EUR")


def added(sku: str = "MUG", quantity: int = 2) -> ItemAddedToCart:
    """The event of units that were added to a cart."""
    return ItemAddedToCart(sku=sku, unit_price_minor=1250, currency="EUR", quantity=quantity)


def plain_sum(envelopes: Sequence[CloudEvent]) -> dict[tuple[str, str | None], dict[str, int]]:
    """The expected rows of the table: the sum of all events, each counted once."""
    once = {envelope.id: envelope for envelope in envelopes}.values()
    rows: dict[tuple[str, str | None], Counter[str]] = {}
    for minute, sku, name, amount in (entry for event in once for entry in _entries(event)):
        rows.setdefault((minute, sku), Counter())[name] += amount
    return {place: dict(amounts) for place, amounts in rows.items()}


def _entries(envelope: CloudEvent) -> Iterator[tuple[str, str | None, str, int]]:
    minute = envelope.time.isoformat()[:16]
    yield minute, None, f"events#{envelope.type}", 1
    data = json.loads(bytes(envelope.data))
    if envelope.type == "OrderConfirmed.v2":
        revenue = f"revenue_minor#{data['currency']}"
        yield minute, None, revenue, data["total_minor"]
        for item in data["lines"]:
            yield minute, None, "units", item["quantity"]
            yield minute, item["sku"], "units", item["quantity"]
            yield minute, item["sku"], revenue, item["quantity"] * item["unit_price_minor"]
    elif envelope.type == "ItemViewed.v1":
        yield minute, None, "views", 1
        yield minute, data["sku"], "views", 1
    elif envelope.type == "ItemAddedToCart.v1":
        yield minute, None, "added_to_cart", data["quantity"]
        yield minute, data["sku"], "added_to_cart", data["quantity"]


def _minute(item: Item) -> str:
    if item["kind"] == "shop":
        return f"{item['pk'].removeprefix('DAY#')}T{item['sk']}"
    return f"{item['pk'].split('#')[1]}T{item['sk'][:5]}"


def _sku(item: Item) -> str | None:
    return None if item["kind"] == "shop" else item["sk"].partition("#")[2]
