"""The shop's events for the proof of its routes: the form of a message at each filter."""

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import HealthCheck, Phase, given, settings

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import Filter, Form, Message, PublishedEvent, RoutingProof
from lambdas.eventing import aws
from lambdas.eventing.declaration import Handler
from lambdas.eventing.event import Cause
from lambdas.eventing.settings import TableSettings
from lambdas.eventing.transaction import Transaction
from stacks.schemas.events import OUTSIDE, PUBLISHED, RETIRED
from stacks.schemas.json_schema import Schema, bus_example, bus_schema
from tests.support.handlers import handler_of
from tests.support.schema_values import values_of

SAMPLES = 4
"""Generated messages of each event, besides its example. Few suffice, because the proof inserts the
values that a pattern requires."""

LOOPS_END: Mapping[tuple[str, str], str] = {}
"""Reasons why a consumer whose events lead back to it causes no endless loop."""


def proof(shop: Assembly, **changed: Any) -> RoutingProof:
    """The proof for the shop's templates and code, with `changed` arguments if given."""
    arguments = {
        "events": published(),
        "publishers": publishers(shop),
        "loops_end": LOOPS_END,
        **changed,
    }
    return RoutingProof(shop, arguments.pop("events"), forms=form, **arguments)


@cache
def published() -> tuple[PublishedEvent, ...]:
    """All events of the shop, with generated messages; retired ones come from the archive."""
    events = {**PUBLISHED, **RETIRED}
    schemas = {name: bus_schema(event) for name, event in events.items()}
    return tuple(
        PublishedEvent(
            name=name,
            source=event.source,
            schema=schemas[name],
            samples=(bus_example(event), *_generated(schemas[name])),
            for_outsiders=event in OUTSIDE,
            replayed_only=name in RETIRED,
        )
        for name, event in events.items()
    )


def publishers(shop: Assembly) -> dict[str, frozenset[str]]:
    """The events that the handler of each function declares to publish."""
    return {
        function.path: frozenset(event.detail_type() for event in handler.publishes)
        for function in shop.of_type("AWS::Lambda::Function")
        if isinstance(handler := handler_of(function), Handler) and handler.publishes
    }


def _generated(schema: Schema) -> list[Message]:
    made: list[Message] = []

    @settings(
        max_examples=SAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(values_of(schema))
    def make(message: Message) -> None:
        made.append(message)

    make()
    return made


def form(filter_: Filter) -> Form:
    """The form of messages at a filter."""
    if filter_.kind in {"rule", "subscriber", "archive"}:
        return Form((), dict)
    if filter_.kind == "subscription":
        # The bus passes no message attributes to a topic.
        return Form(() if filter_.scope == "MessageBody" else None, json.dumps)
    forms = {
        "AWS::DynamoDB::GlobalTable": Form(None, _in_outbox),
        "AWS::SQS::Queue": Form(("body",), lambda message: {"body": json.dumps(message)}),
        "AWS::Kinesis::Stream": Form(("data",), _in_stream),
    }
    if filter_.source.type not in forms:
        raise NotImplementedError(
            f"{filter_.path}: the form of messages from {filter_.source.type} is not known"
        )
    return forms[filter_.source.type]


class _Table:
    """Accepts single writes, and keeps the items."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def put_item(self, *, Item: Any, **_: Any) -> None:  # noqa: N803
        self.items.append(Item)


def _in_outbox(message: Message) -> Any:
    """The record in the stream of a table after the kernel has published the event.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
    """
    event = msgspec.convert(message["detail"]["data"], PUBLISHED[message["detail-type"]])
    table = _Table()
    with patch.object(aws, "dynamodb", lambda: table):
        settings = TableSettings(table_name="table", inbox_days=1)
        transaction = Transaction(settings, Cause(correlation_id="correlation"))
        transaction.publish(("aggregate", "AGGREGATE"), event)
        transaction.commit()
    (item,) = table.items
    return {
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "Keys": {name: item[name] for name in ("pk", "sk")},
            "NewImage": item,
            "StreamViewType": "NEW_IMAGE",
        },
    }


def _in_stream(message: Message) -> Any:
    """A record of a data stream."""
    return {"kinesis": {"data": b64encode(json.dumps(message).encode()).decode()}}
