"""Schemas and examples follow from the event classes, as external validators confirm."""

import json
from typing import Annotated, Any, ClassVar

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
    [schemas.data_schema, schemas.bus_schema],  # the latter includes the schema of the envelope
    ids=["data", "bus"],
)


def assert_matches(schema: schemas.Schema, value: Any) -> None:
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(schema, format_checker=checker).validate(value)


class TestSchemas:
    @KINDS
    @ALL
    def test_each_schema_is_a_valid_json_schema(self, event: type[Event], schema_of: Any) -> None:
        Draft202012Validator.check_schema(schema_of(event))

    def test_schemas_match_sent_events(self) -> None:
        sent = enveloped(placed(order_id="order-1"))
        assert_matches(schemas.data_schema(OrderPlaced), msgspec.json.decode(sent.data))
        assert_matches(schemas.envelope_schema(OrderPlaced), json.loads(sent.to_json()))
        assert_matches(schemas.bus_schema(OrderPlaced), json.loads(body(sent)))

    def test_the_schema_of_an_envelope_matches_one_event(self) -> None:
        wire = json.loads(enveloped(placed(order_id="order-1")).to_json())
        changes: list[dict[str, Any]] = [{"type": "OrderPlaced.v1"}, {"source": "x"}, {"data": {}}]
        for wrong in changes:
            with pytest.raises(ValidationError):
                assert_matches(schemas.envelope_schema(OrderPlaced), {**wire, **wrong})
        del wire["specversion"]
        with pytest.raises(ValidationError, match="'specversion' is a required property"):
            assert_matches(schemas.envelope_schema(OrderPlaced), wire)

    def test_only_the_schema_of_an_older_version_has_the_name_of_the_newer_one(self) -> None:
        new = OrderRejected(**schemas.example(OrderRejected))
        envelope = enveloped(new)
        copy = envelope.also_as(OrderRejectedV1(**schemas.example(OrderRejectedV1)))
        assert_matches(schemas.envelope_schema(OrderRejectedV1), json.loads(copy.to_json()))
        assert "supersededby" in schemas.envelope_schema(OrderRejectedV1)["properties"]
        assert "supersededby" not in schemas.envelope_schema(OrderRejected)["properties"]

    def test_data_that_a_consumer_rejects_does_not_match(self) -> None:
        data = schemas.example(OrderPlaced)
        for wrong in ({"currency": "eur"}, {"currency": "EUR\n"}, {"total_minor": -1}):
            with pytest.raises(ValidationError):
                assert_matches(schemas.data_schema(OrderPlaced), {**data, **wrong})

    @ALL
    def test_every_field_or_its_class_has_a_description(self, event: type[Event]) -> None:
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
    def test_each_example_matches_its_schema_and_its_class(self, event: type[Event]) -> None:
        made = schemas.example(event)
        assert_matches(schemas.data_schema(event), made)
        assert isinstance(msgspec.convert(made, event), event)
        assert schemas.example(event) == made

    @ALL
    def test_each_example_can_be_decoded_from_a_bus_message(self, event: type[Event]) -> None:
        message = schemas.bus_example(event)
        assert_matches(schemas.bus_schema(event), message)
        envelope = msgspec.json.decode(json.dumps(message["detail"]), type=CloudEvent)
        assert envelope.subject == envelope.deliver_to("c", (event,)).event.subject

    def test_a_field_without_an_example_is_named(self) -> None:
        class OrderLost(OrderPlaced, frozen=True, kw_only=True):
            """A lost order."""

            finder: str

        with pytest.raises(schemas.NoExample, match=r"OrderLost.v2 \$.finder: .*add one to"):
            schemas.example(OrderLost)

    def test_an_example_that_violates_its_own_rules_is_named(self) -> None:
        class OrderLost(OrderPlaced, frozen=True, kw_only=True):
            """A lost order."""

            finders: Annotated[int, Meta(ge=1, description="How many", examples=[0])]

        with pytest.raises(schemas.WrongExample, match=r"OrderLost.v2 .*1.*\$\.finders"):
            schemas.example(OrderLost)


class TestEvents:
    def test_scheduled_and_streamed_events_are_internal(self) -> None:
        assert set(INTERNAL) == {
            "CanaryDue.v1",
            "ItemAddedToCart.v1",
            "ItemViewed.v1",
            "PaymentSweepDue.v1",
            "ShipmentDue.v1",
            "SweepDue.v1",
        }
        assert {*PUBLISHED, *INTERNAL, *RETIRED} == set(DEFINED)
        assert DEFINED["OrderRejected.v1"] is OrderRejectedV1

    def test_two_events_with_one_name_are_an_error(self) -> None:
        class OrderPlaced(Event, frozen=True, kw_only=True):
            version: ClassVar[int] = 2

        with pytest.raises(AmbiguousEvent, match=r"both call an event OrderPlaced\.v2"):
            by_name([OrderPlaced, PUBLISHED["OrderPlaced.v2"]])

    def test_readers_of_an_event_are_consumers_tasks_and_streams(self) -> None:
        assert "checkout.run_checkout" in consumers_of(OrderPlaced)
        assert "payments.authorize_payment" in readers_of(OrderPlaced)
        assert "analytics.aggregate_sales" in readers_of(OrderConfirmed)
        assert "analytics.aggregate_sales" not in consumers_of(OrderConfirmed)

    def test_consumers_of_a_version_consume_the_superseded_versions(self) -> None:
        assert consumers_of(OrderRejectedV1) == consumers_of(OrderRejected)


class TestDraft4:
    """The registry's dialect: the same validation with fewer keywords."""

    @ALL
    def test_each_converted_schema_is_valid_draft_4(self, event: type[Event]) -> None:
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
    def test_a_converted_schema_accepts_and_rejects_the_same(
        self, schema: Any, good: Any, bad: Any
    ) -> None:
        converted = draft4.to_draft4(schema)
        Draft4Validator.check_schema(converted)
        for validator in (Draft202012Validator(schema), Draft4Validator(converted)):
            assert validator.is_valid(good)
            assert not validator.is_valid(bad)

    def test_a_keyword_without_an_equivalent_in_draft_4_is_named(self) -> None:
        with pytest.raises(draft4.NotConvertible, match="#/properties/a/contains: draft 4 has no"):
            draft4.to_draft4({"properties": {"a": {"contains": {"const": 1}}}})
