"""Bodies of earlier releases still place orders, and their repetitions are still recognized."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lambdas.orders import place_order
from lambdas.orders.place_order import PlaceOrder
from tests.orders.context import Orders
from tests.support.cloud import Cloud
from tests.support.messages import Answer, Call
from tools.contracts.openapi import components

RELEASED = json.loads(Path(__file__).with_name("released_bodies.json").read_text("utf-8"))
"""Bodies as text and the fingerprints of their orders, by release. Add entries; change none."""


def send(body: str) -> Answer:
    return Call(body=body, headers={"idempotency-key": "key-1"}).send(place_order.handler)


@pytest.fixture(params=RELEASED, ids=lambda each: each["release"])
def released(request: pytest.FixtureRequest, orders: Orders) -> dict[str, str]:
    for line in json.loads(request.param["body"])["lines"]:
        orders.priced(line["sku"], line["unit_price_minor"])
    found: dict[str, str] = request.param
    return found


def test_a_released_body_places_an_order_with_the_fingerprint_of_its_release(
    orders: Orders, released: dict[str, str]
) -> None:
    assert send(released["body"]).status == 202
    assert orders.table.one("order")["fingerprint"] == released["fingerprint"]


def test_a_request_repeated_across_a_deployment_gets_its_order(
    orders: Orders, released: dict[str, str]
) -> None:
    first = send(released["body"])
    orders.table.put({**orders.table.one("order"), "fingerprint": released["fingerprint"]})
    assert send(released["body"]) == first
    assert len(orders.table.items("order")) == 1


def test_a_request_with_a_former_fingerprint_gets_its_order(orders: Orders) -> None:
    """If this fails after a change of `PlaceOrder`, remove `_former_fingerprint` and this test."""
    orders.priced()
    first = orders.place()
    body = b'{"currency":"EUR","lines":[{"sku":"MUG","quantity":1,"unit_price_minor":1250}],'
    body += b'"shipping_address":{"name":"Ada Lovelace","street":"St James Sq 12","postal_code":'
    body += b'"SW1Y","city":"London","country":"GB"},"payment_token":"tok_approve"}'
    former = {"fingerprint": sha256(body).hexdigest()}
    orders.table.put({**orders.table.one("order"), **former})
    assert orders.place() == first
    assert orders.place(payment_token="tok_decline").status == 422


def test_a_new_field_does_not_change_fingerprints_of_old_bodies(
    cloud: Cloud, orders: Orders, released: dict[str, str]
) -> None:
    first = send(released["body"])

    class WithGift(PlaceOrder, frozen=True, kw_only=True, forbid_unknown_fields=True):
        gift: str | None = None

    later = msgspec.structs.replace(place_order.handler.contract, body=WithGift)
    cloud.monkeypatch.setattr(place_order.handler, "contract", later)
    assert send(released["body"]) == first
    with_gift = json.dumps({**json.loads(released["body"]), "gift": "ribbon"})
    assert send(with_gift).status == 422


def test_the_newest_example_has_every_field() -> None:
    known = components([PlaceOrder])
    body = json.loads(RELEASED[-1]["body"])
    missing = set(fields(known["PlaceOrder"], known)) - set(given(body))
    assert not missing, (
        f"tests/orders/released_bodies.json: the last body has no {', '.join(sorted(missing))}: "
        "append an entry with such a body and any fingerprint; then test_a_released_body_places_"
        "an_order_with_the_fingerprint_of_its_release shows the right fingerprint"
    )
    assert set(given(body)) <= set(fields(known["PlaceOrder"], known))


def fields(schema: dict[str, Any], known: dict[str, Any], path: str = "$") -> Iterator[str]:
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from fields(field, known, f"{path}.{name}")
    for inner in (schema.get("items"), *schema.get("anyOf", ())):
        yield from fields(inner, known, path) if inner else ()


def given(value: Any, path: str = "$") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from given(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from given(inner, path)
