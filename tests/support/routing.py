"""The shop's events under the proof of its routes: messages as they are at each place."""

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cdk_rehearsal.patterns import EventPattern, FilterCriteria, SubscriptionFilter
from cdk_rehearsal.topology.assembly import Assembly
from cdk_rehearsal.topology.proof import Form, Message, Proof, Published
from cdk_rehearsal.topology.routes import Pattern, Sieve
from lambdas.eventing import aws
from lambdas.eventing.event import Cause
from lambdas.eventing.settings import TableSettings
from lambdas.eventing.transaction import Transaction
from stacks.schemas.events import OUTSIDE, PUBLISHED
from stacks.schemas.json_schema import Schema, bus_example, bus_schema
from tools.contracts.publishing import published_by
from tools.contracts.values import values_of

SAMPLES = 4
"""Made-up messages of each event, besides its example. What a pattern asks for is put into them, so
that there need not be many."""

LOOPS_END: Mapping[tuple[str, str], str] = {}
"""Why a consumer of an event brings about no endless loop, though its events lead back to it."""


def proof(shop: Assembly, **changed: Any) -> Proof:
    """The proof for the shop's templates and code; with `changed` arguments, for another one."""
    arguments = {
        "events": published(),
        "publishers": publishers(shop),
        "loops_end": LOOPS_END,
        **changed,
    }
    return Proof(shop, arguments.pop("events"), forms=form, matches=matches, **arguments)


@cache
def published() -> tuple[Published, ...]:
    """All events of the shop, with made-up messages."""
    schemas = {name: bus_schema(event) for name, event in PUBLISHED.items()}
    made_up = _made_up(schemas)
    return tuple(
        Published(
            name=name,
            source=event.source,
            schema=schemas[name],
            samples=(bus_example(event), *(messages[name] for messages in made_up)),
            for_outsiders=event in OUTSIDE,
        )
        for name, event in PUBLISHED.items()
    )


def publishers(shop: Assembly) -> dict[str, frozenset[str]]:
    """What each function publishes, as its code says."""
    found = {
        function.path: frozenset(
            event.detail_type() for event in _published_by(function.properties["Handler"])
        )
        for function in shop.of_type("AWS::Lambda::Function")
    }
    return {path: events for path, events in found.items() if events}


_published_by = cache(published_by)


def _made_up(schemas: Mapping[str, Schema]) -> list[dict[str, Message]]:
    made: list[dict[str, Message]] = []

    @settings(
        max_examples=SAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries({name: values_of(schema) for name, schema in schemas.items()}))
    def make(messages: dict[str, Message]) -> None:
        made.append(messages)

    make()
    return made


def form(sieve: Sieve) -> Form:
    """How messages look at a sieve."""
    if sieve.kind in {"rule", "archive"}:
        return Form((), dict)
    if sieve.kind == "subscription":
        # The bus gives no attributes to what it hands to a topic.
        return Form(() if sieve.scope == "MessageBody" else None, json.dumps)
    forms = {
        "AWS::DynamoDB::GlobalTable": Form(None, _in_outbox),
        "AWS::SQS::Queue": Form(("body",), lambda message: {"body": json.dumps(message)}),
        "AWS::Kinesis::Stream": Form(("data",), _in_stream),
    }
    if sieve.source.type not in forms:
        raise NotImplementedError(f"{sieve.path}: what comes from {sieve.source.type} is not known")
    return forms[sieve.source.type]


def matches(sieve: Sieve, pattern: Pattern, message: Any) -> bool:
    """What AWS says, as the rehearsal knows it."""
    return bool(_matcher(sieve.kind, sieve.scope, json.dumps(pattern))(message))


@cache
def _matcher(kind: str, scope: str, pattern: str) -> Any:
    if kind == "mapping":
        return FilterCriteria({"Filters": [{"Pattern": pattern}]}).matches
    if kind == "subscription":
        policy = SubscriptionFilter(json.loads(pattern), scope)
        return lambda body: policy.matches(body, {})
    return EventPattern(json.loads(pattern)).matches


class _Table:
    """Takes transactions, and keeps what they put."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def transact_write_items(self, *, TransactItems: list[Any]) -> None:  # noqa: N803
        self.items += [each["Put"]["Item"] for each in TransactItems]


def _in_outbox(message: Message) -> Any:
    """What the stream of a table says when the kernel has published the event.

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
