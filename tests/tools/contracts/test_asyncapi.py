"""The AsyncAPI document is valid, complete, and matches event classes and templates."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

from cdk_rehearsal import Assembly, nodes
from lambdas.eventing.event import Event
from lambdas.orders.events import OrderPlaced
from lambdas.returns.events import ReturnEvent
from stacks.schemas.events import (
    DEFINED,
    INTERNAL,
    PUBLISHED,
    RETIRED,
    consumers,
    context_of,
    publishers_of,
)
from stacks.schemas.json_schema import envelope_example
from tools.contracts.asyncapi import asyncapi
from tools.contracts.parts import Undocumented
from workspace.isolation import PROJECT

Document = dict[str, Any]

OFFICIAL = PROJECT / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"


@pytest.fixture(scope="module")
def shop(templates: Mapping[str, Assembly]) -> Assembly:
    return templates["dev"]


@pytest.fixture(scope="module")
def document(shop: Assembly) -> Document:
    return asyncapi(shop, "1.2.3")


# -- form ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    """The official schema of AsyncAPI."""
    return Draft7Validator(json.loads(OFFICIAL.read_bytes()))


def test_the_document_is_valid(document: Document, official: Draft7Validator) -> None:
    fault = best_match(official.iter_errors(document))
    assert fault is None, f"{list(fault.absolute_path)}: {fault.message}"


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("operations", {"action": "hear"}),
        ("channels", {"bindings": {"sqs": {"queue": {"fifoQueue": False}}}}),
        ("servers", {"protocol": None}),
    ],
)
def test_the_official_schema_rejects_an_invalid_document(
    document: Document, official: Draft7Validator, part: str, change: Document
) -> None:
    broken = deepcopy(document)
    next(iter(broken[part].values())).update(change)
    assert not official.is_valid(broken)


def at(document: Document, reference: str) -> Any:
    """The target of a reference. Raises KeyError."""
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(value: Any) -> Iterator[str]:
    return (node["$ref"] for node in nodes(value) if isinstance(node, dict) and "$ref" in node)


def test_every_reference_has_a_target(document: Document) -> None:
    for reference in references(document):
        at(document, reference)


def test_operations_are_about_messages_of_their_channels(document: Document) -> None:
    for name, operation in document["operations"].items():
        channel = operation["channel"]["$ref"]
        assert operation["messages"], name
        for message in references(operation["messages"]):
            assert message.startswith(f"{channel}/messages/"), name


# -- examples -----------------------------------------------------------------------------


def wrong_examples(document: Document) -> list[str]:
    """The examples that do not match the schemas of their messages, with path and reason."""
    found = []
    for name, message in document["components"]["messages"].items():
        schema = {**message["payload"], "components": document["components"]}
        for kind in (Draft7Validator, Draft202012Validator):  # the dialects that tools assume
            validator = kind(schema, format_checker=FormatChecker())
            for example in message["examples"]:
                found += [
                    f"{name} {fault.json_path}: {fault.message}"
                    for fault in validator.iter_errors(example["payload"])
                ]
    return found


def test_every_message_has_examples_that_match_its_schema(document: Document) -> None:
    assert all(message["examples"] for message in document["components"]["messages"].values())
    assert wrong_examples(document) == []


def test_an_example_that_does_not_match_is_named(
    shop: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(event: type[Event]) -> Document:
        made = envelope_example(event)
        if event is OrderPlaced:
            made["data"]["lines"][0]["quantity"] = 0
        return made

    monkeypatch.setattr("tools.contracts.asyncapi.envelope_example", careless)
    (first, second) = wrong_examples(asyncapi(shop, "1"))
    assert first == second
    assert first == (
        "OrderPlaced.v2 $.detail.data.lines[0].quantity: 0 is less than the minimum of 1"
    )


# -- publishers and consumers -------------------------------------------------------------


def names(operation: Document) -> set[str]:
    return {reference.rpartition("/")[2] for reference in references(operation["messages"])}


def test_each_event_is_described_and_published_by_functions_of_its_own_context(
    shop: Assembly, document: Document
) -> None:
    assert set(document["components"]["messages"]) == {*DEFINED, "S3EventNotification"}
    for name, event in PUBLISHED.items():
        operation = document["operations"][f"{context_of(event)}.publish.{name}"]
        assert operation["action"] == "send"
        assert names(operation) == {name}
        handlers = {shop.at(path).properties["Handler"] for path in operation["x-functions"]}
        assert handlers == {f"lambdas.{each}.handler" for each in publishers_of(event)}
        assert handlers
        assert document["channels"][name]["x-eventbridge"] == {
            "source": event.source,
            "detail-type": name,
        }
    for name, event in INTERNAL.items():
        assert names(document["operations"][f"{context_of(event)}.send.{name}"]) == {name}


def test_each_consumer_receives_its_events_from_a_queue_with_a_dead_letter_queue(
    shop: Assembly, document: Document
) -> None:
    assert consumers()
    for name, consumer in consumers().items():
        operation = document["operations"][name]
        assert operation["action"] == "receive"
        assert names(operation) == {event.detail_type() for event in consumer.consumes}
        channel = at(document, operation["channel"]["$ref"])
        binding = channel["bindings"]["sqs"]
        assert shop.at(binding["queue"]["name"]).type == "AWS::SQS::Queue"
        parking = binding["queue"]["redrivePolicy"]["deadLetterQueue"]["name"]
        assert binding["deadLetterQueue"]["name"] == parking
        assert shop.at(parking).type == "AWS::SQS::Queue"
        assert binding["queue"]["redrivePolicy"]["maxReceiveCount"] >= 5
        assert channel["x-fed-by"], f"nothing fills the queue of {name}"


def test_the_topic_filters_notifications_by_channel(document: Document) -> None:
    (topic,) = (
        operation["bindings"]["sns"]
        for operation in document["operations"].values()
        if "sns" in operation.get("bindings", {})
    )
    filters = {
        consumer["endpoint"]["name"]: consumer["filterPolicy"]["detail"]["data"]["channels"]
        for consumer in topic["consumers"]
    }
    assert filters == {
        "Notifications/CallWebhook/Queue": ["webhook"],
        "Notifications/SendEmail/Queue": ["email"],
        "Notifications/SendSms/Queue": ["sms"],
    }


def test_every_received_message_is_sent(document: Document) -> None:
    sent: set[str] = set()
    received: set[str] = set()
    for operation in document["operations"].values():
        (sent if operation["action"] == "send" else received).update(names(operation))
    # Retired events come only from a replay.
    assert received - sent == {"S3EventNotification", *RETIRED}


class ReturnLost(ReturnEvent, frozen=True, kw_only=True):
    """The parcel did not come back."""


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("INTERNAL", r"ReturnLost\.v1 is not published, and nothing in \w+ takes it"),
        ("PUBLISHED", r"\w+ publishes events, and has no relay"),
    ],
)
def test_an_event_without_a_route_is_an_error(
    shop: Assembly, monkeypatch: pytest.MonkeyPatch, where: str, reason: str
) -> None:
    monkeypatch.setattr(f"tools.contracts.asyncapi.{where}", {"ReturnLost.v1": ReturnLost})
    with pytest.raises(Undocumented, match=reason):
        asyncapi(shop, "1")


def test_only_what_feeds_a_channel_depends_on_the_kind_of_bus(
    classic: Assembly, custom: Assembly
) -> None:
    documents = asyncapi(classic, "1.0.0"), asyncapi(custom, "1.0.0")
    fed = [
        [each for channel in document["channels"].values() for each in channel.pop("x-fed-by", [])]
        for document in documents
    ]
    ours, others = map(json.dumps, documents)
    assert ours.replace("/Rule", "/Subscriber") == others
    assert len(fed[0]) == len(fed[1])
    assert {each["kind"] for each in fed[1]} - {each["kind"] for each in fed[0]} == {"subscriber"}
