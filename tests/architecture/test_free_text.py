"""No event has a field for free text, into which a person could type personal data."""

from collections.abc import Iterator
from typing import Any

import pytest

from lambdas.eventing.event import Event
from lambdas.orders.events import OrderPlacedV1
from lambdas.returns.events import ReturnRequestedV1
from stacks.schemas.events import DEFINED, successor_of
from stacks.schemas.json_schema import data_schema
from tools.contracts.compatibility import dereferenced

IDS = {"order_id", "customer_id", "erasure_id"}
"""Random or hashed, and made by the shop or its user pool."""

OTHERS = {
    "ShipmentRequested.v1.tracking_id": "the carrier's id of the parcel",
    "PaymentDisputed.v1.dispute_id": "the provider's id",
    "DisputeClosed.v1.dispute_id": "the provider's id",
    "RefundFailed.v1.refund_id": "the provider's id",
    "RefundFailed.v1.failure": "a code of the provider",
    "ErasureRefused.v1.reason": "a code, set by a rule",
    "CustomerErased.v1.erased[].context": "the name of a context",
    "CustomerErased.v1.erased[].kinds[]": "the names of classes",
    "NotificationRequested.v1.occasion": "the name of an event",
    "NotificationRequested.v1.facts.*": "amounts, dates and codes, from the fields of events",
}
"""Fields that take any text, and what sets them: no person."""

_CLOSED = {"enum", "const", "pattern", "format"}


def texts(schema: Any, path: str) -> Iterator[str]:
    """The paths at which a schema allows any text."""
    for part in schema.get("anyOf", ()):
        yield from texts(part, path)
    for name, part in schema.get("properties", {}).items():
        yield from texts(part, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from texts(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from texts(schema["additionalProperties"], f"{path}.*")
    if schema.get("type") == "string" and not schema.keys() & _CLOSED:
        yield path


def texts_of(event: type[Event]) -> set[str]:
    found = texts(dereferenced(data_schema(event)), event.detail_type())
    return {path for path in found if path.rpartition(".")[2] not in IDS}


def test_only_fields_that_no_person_sets_take_any_text() -> None:
    current = [event for event in DEFINED.values() if successor_of(event) is None]
    assert set[str]().union(*map(texts_of, current)) == OTHERS.keys()


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (ReturnRequestedV1, {"ReturnRequested.v1.reason"}),
        (
            OrderPlacedV1,
            {
                "OrderPlaced.v1.payment_token",
                *(
                    f"OrderPlaced.v1.shipping_address.{name}"
                    for name in ("name", "street", "postal_code", "city")
                ),
            },
        ),
    ],
)
def test_free_text_in_superseded_events_is_found(event: type[Event], found: set[str]) -> None:
    assert texts_of(event) == found


def test_free_text_is_found_in_any_place() -> None:
    class Noted(Event, frozen=True, kw_only=True):
        source = "orderflow.sample"
        notes: dict[str, tuple[str | None, ...]]

    assert texts_of(Noted) == {"Noted.v1.notes.*[]"}
