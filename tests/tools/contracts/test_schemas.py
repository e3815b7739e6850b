"""Schemas and examples follow from the event classes, and tools that are not ours agree."""

import json
from typing import Annotated, Any

import msgspec
import pytest
from jsonschema import Draft4Validator, Draft202012Validator, ValidationError
from msgspec import Meta

from lambdas.eventing.event import CloudEvent, Event
from lambdas.orders.events import OrderConfirmed, OrderPlaced, OrderRejected, OrderRejectedV1
from stacks.schemas import draft4
from stacks.schemas import json_schema as schemas
from stacks.schemas.events import (
    DEFINED,
    INTERNAL,
    PUBLISHED,
    RETIRED,
    AmbiguousEvent,
    by_name,
    consumers_of,
    readers_of,
)
from tests.support.messages import body, enveloped
from tests.support.orders import placed

ALL = pytest.mark.parametrize("event", DEFINED.values(), ids=DEFINED)
KINDS = pytest.mark.parametrize(
    "schema_of",
    [schemas.data_schema, schemas.bus_schema],  # that of the envelope is part of the latter
    ids=["data", "bus"],
)


def fits(schema: schemas.Schema, value: Any) -> None:
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(schema, format_checker=checker).validate(value)


class TestSchemas:
    @KINDS
    @ALL
    def test_each_is_a_json_schema(self, event: type[Event], schema_of: Any) -> None:
        Draft202012Validator.check_schema(schema_of(event))

    def test_they_describe_what_is_really_sent(self) -> None:
        sent = enveloped(placed(order_id="order-1"))
        fits(schemas.data_schema(OrderPlaced), msgspec.json.decode(sent.data))
        fits(schemas.envelope_schema(OrderPlaced), json.loads(sent.to_json()))
        fits(schemas.bus_schema(OrderPlaced), json.loads(body(sent)))

    def test_the_envelope_is_that_of_one_event(self) -> None:
        wire = json.loads(enveloped(placed(order_id="order-1")).to_json())
        changes: list[dict[str, Any]] = [{"type": "OrderPlaced.v2"}, {"source": "x"}, {"data": {}}]
        for wrong in changes:
            with pytest.raises(ValidationError):
                fits(schemas.envelope_schema(OrderPlaced), {**wire, **wrong})
        del wire["specversion"]
        with pytest.raises(ValidationError, match="'specversion' is a required property"):
            fits(schemas.envelope_schema(OrderPlaced), wire)

    def test_the_copy_in_an_older_version_names_the_newer_one_and_no_other_event_does(self) -> None:
        new = OrderRejected(**schemas.example(OrderRejected))
        envelope = enveloped(new)
        copy = envelope.also_as(OrderRejectedV1(**schemas.example(OrderRejectedV1)))
        fits(schemas.envelope_schema(OrderRejectedV1), json.loads(copy.to_json()))
        assert "supersededby" in schemas.envelope_schema(OrderRejectedV1)["properties"]
        assert "supersededby" not in schemas.envelope_schema(OrderRejected)["properties"]

    def test_what_a_consumer_would_refuse_does_not_fit(self) -> None:
        data = schemas.example(OrderPlaced)
        for wrong in ({"currency": "eur"}, {"currency": "EUR\n"}, {"total_minor": -1}):
            with pytest.raises(ValidationError):
                fits(schemas.data_schema(OrderPlaced), {**data, **wrong})

    @ALL
    def test_every_field_is_described_or_of_a_class_that_is(self, event: type[Event]) -> None:
        schema = schemas.data_schema(event)
        assert schema["description"]
        plain = {"postal_code", "city", "shipping_address"}
        for name, field in schema["properties"].items():
            inner = schema.get("$defs", {}).get(field.get("$ref", "").rpartition("/")[2], field)
            assert inner.get("description") or name in plain, (
                f"{event.detail_type()}.{name} has no description: annotate the field itself, "
                f"for example `{name}: Annotated[str, Meta(description=…)] | UnsetType = UNSET`, "
                f"or, if null is a value, `{name}: Annotated[str | None, Meta(description=…)]`"
            )


class TestExamples:
    @ALL
    def test_each_fits_its_schema_and_its_class(self, event: type[Event]) -> None:
        made = schemas.example(event)
        fits(schemas.data_schema(event), made)
        assert isinstance(msgspec.convert(made, event), event)
        assert schemas.example(event) == made

    @ALL
    def test_each_can_be_read_off_the_bus(self, event: type[Event]) -> None:
        message = schemas.bus_example(event)
        fits(schemas.bus_schema(event), message)
        envelope = msgspec.json.decode(json.dumps(message["detail"]), type=CloudEvent)
        assert envelope.subject == envelope.deliver_to("c", (event,)).event.subject

    def test_a_field_of_which_nothing_is_known_is_named(self) -> None:
        class OrderLost(OrderPlaced, frozen=True, kw_only=True):
            """Gone."""

            finder: str

        with pytest.raises(schemas.NoExample, match=r"OrderLost.v1 \$.finder: .*add one to"):
            schemas.example(OrderLost)

    def test_an_example_that_breaks_its_own_rules_is_named(self) -> None:
        class OrderLost(OrderPlaced, frozen=True, kw_only=True):
            """Gone."""

            finders: Annotated[int, Meta(ge=1, description="How many", examples=[0])]

        with pytest.raises(schemas.WrongExample, match=r"OrderLost.v1 .*1.*\$\.finders"):
            schemas.example(OrderLost)


class TestWhoIsWho:
    def test_what_is_scheduled_or_put_on_a_stream_is_told_apart(self) -> None:
        assert set(INTERNAL) == {
            "ItemAddedToCart.v1",
            "ItemViewed.v1",
            "ShipmentDue.v1",
            "SweepDue.v1",
        }
        assert {*PUBLISHED, *INTERNAL, *RETIRED} == set(DEFINED)
        assert DEFINED["OrderRejected.v1"] is OrderRejectedV1

    def test_two_events_of_one_name_are_refused(self) -> None:
        class OrderPlaced(Event, frozen=True, kw_only=True):
            pass

        with pytest.raises(AmbiguousEvent, match=r"both call an event OrderPlaced\.v1"):
            by_name([OrderPlaced, PUBLISHED["OrderPlaced.v1"]])

    def test_those_who_read_an_event_are_consumers_tasks_and_streams(self) -> None:
        assert "checkout.run_checkout" in consumers_of(OrderPlaced)
        assert "payments.authorize_payment" in readers_of(OrderPlaced)
        assert "analytics.aggregate_sales" in readers_of(OrderConfirmed)
        assert "analytics.aggregate_sales" not in consumers_of(OrderConfirmed)

    def test_those_who_read_a_version_read_what_it_supersedes(self) -> None:
        assert consumers_of(OrderRejectedV1) == consumers_of(OrderRejected)


class TestDraft4:
    """The registry's dialect: the same verdicts in fewer words."""

    @ALL
    def test_each_schema_is_one_of_draft_4(self, event: type[Event]) -> None:
        converted = draft4.to_draft4(schemas.bus_schema(event))
        Draft4Validator.check_schema(converted)
        Draft4Validator(converted).validate(schemas.bus_example(event))
        wrong = {**schemas.bus_example(event), "source": "elsewhere"}
        assert not Draft4Validator(converted).is_valid(wrong)
        inner = {**schemas.bus_example(event)["detail"], "type": "Another.v1"}
        assert not Draft4Validator(converted).is_valid({**wrong, "detail": inner})

    @pytest.mark.parametrize(
        ("schema", "good", "bad"),
        [
            ({"const": 1}, 1, 2),
            ({"exclusiveMinimum": 1}, 2, 1),
            ({"type": "number", "exclusiveMaximum": 1}, 0.5, 1),
            ({"type": "object", "properties": {}, "required": []}, {}, []),
            ({"$defs": {"A": {"type": "string"}}, "$ref": "#/$defs/A", "minLength": 2}, "ab", "a"),
            ({"properties": {"a": False}}, {}, {"a": 1}),
            ({"additionalProperties": {"const": 1}}, {"a": 1}, {"a": 2}),
            ({"items": {"anyOf": [{"const": 1}, {"type": "null"}]}}, [None, 1], [2]),
            ({"properties": {"const": {"const": 1}}}, {"const": 1}, {"const": 2}),
        ],
    )
    def test_a_verdict_stays_what_it_was(self, schema: Any, good: Any, bad: Any) -> None:
        converted = draft4.to_draft4(schema)
        Draft4Validator.check_schema(converted)
        for validator in (Draft202012Validator(schema), Draft4Validator(converted)):
            assert validator.is_valid(good)
            assert not validator.is_valid(bad)

    def test_what_draft_4_cannot_say_is_named(self) -> None:
        with pytest.raises(draft4.NotConvertible, match="#/properties/a/contains: draft 4 has no"):
            draft4.to_draft4({"properties": {"a": {"contains": {"const": 1}}}})
