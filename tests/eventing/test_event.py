"""Events are CloudEvents 1.0 on the wire and typed, frozen values in code."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
import time_machine

from lambdas.eventing.event import MAX_EVENT_BYTES, Cause, CloudEvent, Event, EventTooLarge
from tests.eventing.sample import CAUSE, CoinAdded, CoinCounted, CoinCountedLater, coin
from tests.support.messages import enveloped


def changed(**fields: object) -> CloudEvent:
    """An envelope with changed fields, as another publisher could send it."""
    wire = {**json.loads(enveloped(coin()).to_json()), **fields}
    wire = {name: value for name, value in wire.items() if value is not ...}
    return msgspec.json.decode(json.dumps(wire), type=CloudEvent)


def test_an_envelope_has_the_attributes_that_cloudevents_requires() -> None:
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes."""
    now = datetime(2026, 1, 5, 8, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        wire = json.loads(CloudEvent.wrap(coin(7), CAUSE).to_json())
    event_id = wire.pop("id")
    assert event_id
    assert wire == {
        "specversion": "1.0",
        "source": "orderflow.sample",
        "type": "CoinAdded.v1",
        "time": "2026-01-05T08:00:00Z",
        "subject": "p",
        "datacontenttype": "application/json",
        "correlationid": "correlation-1",
        "causationid": "cause-1",
        "data": {"purse": "p", "cents": 7},
    }


def test_extension_names_are_lower_case_letters_and_digits() -> None:
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#attribute-naming-convention."""
    assert all(name.isalnum() and name.islower() for name in CloudEvent.__struct_fields__)


def test_two_envelopes_of_one_event_have_different_ids() -> None:
    assert enveloped(coin()).id != enveloped(coin()).id


def test_the_version_is_part_of_the_type() -> None:
    assert CoinCountedLater.detail_type() == "CoinCountedLater.v2"


def test_an_event_is_equal_after_encoding_and_decoding() -> None:
    sent = CloudEvent.wrap(coin(3, purse="Geldbörse"), CAUSE)
    received = msgspec.json.decode(sent.to_json(), type=CloudEvent)
    assert received == sent
    assert received.deliver_to("c", (CoinAdded,)).event == coin(3, purse="Geldbörse")


def test_a_delivery_continues_the_correlation_and_names_the_event_as_the_cause() -> None:
    envelope = CloudEvent.wrap(coin(), CAUSE)
    delivery = envelope.deliver_to("sample.count", (CoinAdded,))
    assert delivery.correlation_id == "correlation-1"
    assert delivery.causation_id == delivery.event_id == envelope.id
    next_envelope = CloudEvent.wrap(CoinCounted(purse="p"), delivery)
    assert next_envelope.correlationid == "correlation-1"
    assert next_envelope.causationid == envelope.id


def test_the_first_event_of_a_chain_has_no_cause() -> None:
    first = CloudEvent.wrap(coin(), Cause(correlation_id="request-1"))
    assert json.loads(first.to_json())["causationid"] is None


def test_unknown_attributes_and_unknown_fields_are_ignored() -> None:
    envelope = changed(
        dataschema="https://example.com/coin", data={"purse": "p", "cents": 5, "metal": "gold"}
    )
    assert envelope.deliver_to("c", (CoinAdded,)).event == coin(5)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("specversion", "0.3"),
        ("id", ...),
        ("id", 7),
        ("source", ...),
        ("type", ...),
        ("subject", ...),
        ("time", "2026-01-05T08:00:00"),  # no time zone
        ("time", "yesterday"),
        ("datacontenttype", "text/xml"),
        ("correlationid", ...),
        ("data", ...),
    ],
)
def test_an_envelope_with_an_invalid_attribute_is_rejected(attribute: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=attribute if value is not ... else "missing"):
        changed(**{attribute: value})


def test_a_time_in_another_zone_is_the_same_instant() -> None:
    envelope = changed(time="2026-01-05T09:30:00+01:30")
    assert envelope.time == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert envelope.time.utcoffset() == timedelta(hours=1, minutes=30)


def test_the_time_is_in_utc_in_any_time_zone_of_the_clock() -> None:
    elsewhere = datetime(2026, 1, 5, 8, tzinfo=timezone(timedelta(hours=-7)))
    with time_machine.travel(elsewhere, tick=False):
        time = enveloped(coin()).time
    assert time == elsewhere
    assert time.tzinfo is UTC


@pytest.mark.parametrize(
    "fields",
    [{"type": "CoinAdded.v2"}, {"type": "CoinCounted.v1"}, {"source": "orderflow.other"}],
)
def test_an_event_of_another_type_or_source_is_rejected(fields: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"sample.count consumes CoinAdded.v1, not"):
        changed(**fields).deliver_to("sample.count", (CoinAdded,))


@pytest.mark.parametrize("data", [{"purse": "p", "cents": 0}, {"cents": 1}, "coin", None])
def test_data_that_violates_its_type_is_rejected(data: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        changed(data=data).deliver_to("c", (CoinAdded,))


def test_an_event_of_two_possible_types_gets_its_own_class() -> None:
    both: tuple[type[Event], ...] = (CoinAdded, CoinCounted)
    assert enveloped(coin()).deliver_to("c", both).event == coin()
    counted = CoinCounted(purse="p")
    assert enveloped(counted).deliver_to("c", both).event == counted


@pytest.mark.parametrize("letter", ["x", "ü", "€"])
def test_an_event_can_have_the_maximum_size_and_no_more(letter: str) -> None:
    frame = len(enveloped(CoinCounted(purse="p", note="")).to_json().encode())
    room, width = MAX_EVENT_BYTES - frame, len(letter.encode())
    fits = letter * (room // width) + "x" * (room % width)
    wire = enveloped(CoinCounted(purse="p", note=fits)).to_json()
    assert len(wire.encode()) == MAX_EVENT_BYTES
    with pytest.raises(EventTooLarge, match=r"CoinCounted.v1 of p has 262145 bytes.*S3"):
        enveloped(CoinCounted(purse="p", note=fits + "x")).to_json()


def test_an_event_cannot_be_changed() -> None:
    event = coin()
    with pytest.raises(AttributeError):
        event.cents = 2  # type: ignore[misc]


def test_an_event_class_without_a_subject_is_named_in_the_error() -> None:
    class Nothing(Event, frozen=True, kw_only=True):
        pass

    with pytest.raises(NotImplementedError, match="Nothing names no subject"):
        Nothing().subject  # noqa: B018 - the property raises
