"""Frozen copies: a breaking change fails and names the affected consumers and the remedy."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lambdas.eventing.event import Event
from lambdas.orders.events import OrderConfirmed, OrderPlaced, OrderRejected, OrderRejectedV1
from stacks.schemas.events import DEFINED
from tools.contracts.frozen import COPIES, Contract, contract_of, contracts, renew, review, text
from workspace.isolation import PROJECT

FILE = "orders/OrderPlaced.v2.schema.json"
Edit = Callable[[dict[str, Any]], object]


def edited(event: type[Event], edit: Edit) -> Contract:
    """The contract after a change of the class."""
    contract = contract_of(event)
    schema = json.loads(json.dumps(contract.schema))
    edit(schema)
    return replace(contract, schema=schema)


def rename(schema: dict[str, Any]) -> None:
    schema["properties"]["customer"] = schema["properties"].pop("customer_id")
    schema["required"] = ["customer" if n == "customer_id" else n for n in schema["required"]]


def narrow(schema: dict[str, Any]) -> None:
    schema["$defs"]["Line"]["properties"]["quantity"]["maximum"] = 99


def money_as_text(schema: dict[str, Any]) -> None:
    schema["properties"]["total_minor"] = {"type": "string"}


def test_the_copies_match_the_classes() -> None:
    found = review(contracts())
    assert not found.broken, str(found)
    assert not found.stale, str(found)


def test_each_event_and_the_envelope_have_a_copy_that_is_a_json_schema() -> None:
    files = {path.relative_to(COPIES).as_posix() for path in COPIES.rglob("*.schema.json")}
    assert files == set(contracts())
    assert len(files) == len(DEFINED) + 1
    for file in files:
        Draft202012Validator.check_schema(json.loads((COPIES / file).read_bytes()))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (rename, "$.customer_id is renamed to customer"),
        (narrow, "$.lines[].quantity is changed: the greatest value is 99, was 100000"),
        (
            money_as_text,
            "$.total_minor (Total of all lines, in minor units) is of type string, was integer",
        ),
        (lambda schema: schema["properties"].pop("currency"), "$.currency is gone"),
    ],
)
def test_a_breaking_change_is_reported_with_field_consumers_and_remedy(
    edit: Edit, says: str
) -> None:
    contract = edited(OrderPlaced, edit)
    found = review({**contracts(), FILE: contract})
    assert list(found.broken) == [FILE]
    message = found.broken[FILE]
    assert message.startswith("OrderPlaced.v2 has changed in a way that breaks others:\n")
    assert f"  {says}\n" in message
    for reader in ("checkout.run_checkout", "notifications.address_customer"):
        assert reader in message
    assert "payments.authorize_payment" in message  # a workflow task reads it, too
    assert "Publish OrderPlaced.v3 beside OrderPlaced.v2: in lambdas/orders/events.py" in message
    assert "`supersedes = OrderPlacedV2`" in message


def test_the_report_names_the_direction_that_breaks() -> None:
    narrower = review({**contracts(), FILE: edited(OrderPlaced, narrow)}).broken[FILE]
    assert "breaks what was published before" in narrower
    assert "breaks those who read it with the class as it was" not in narrower


def test_the_page_in_a_report_exists() -> None:
    message = review({**contracts(), FILE: edited(OrderPlaced, narrow)}).broken[FILE]
    page = message.rpartition("See ")[2].rstrip(".\n")
    assert (PROJECT / page).is_file(), page


def test_the_next_version_after_the_second_is_the_third() -> None:
    assert "Publish OrderRejected.v3 beside OrderRejected.v2" in contract_of(OrderRejected).advice
    assert "call the class as it was OrderRejectedV2" in contract_of(OrderRejected).advice


def test_the_advice_on_a_superseded_version_is_not_to_change_it() -> None:
    assert contract_of(OrderRejectedV1).advice.startswith("OrderRejectedV1 is superseded: leave it")


def test_a_change_of_the_envelope_breaks_every_consumer() -> None:
    contract = contracts()["envelope.schema.json"]
    schema = json.loads(text(contract.schema))
    del schema["properties"]["subject"]
    changed = replace(contract, schema=schema)
    message = review({**contracts(), contract.file: changed}).broken[contract.file]
    assert "$.subject is gone" in message
    assert "shipping.request_shipment" in message


def test_a_removed_class_breaks_its_consumers() -> None:
    current = contracts()
    del current[FILE]
    message = review(current).broken[FILE]
    assert "OrderPlaced.v2 has a copy in docs/events/orders/OrderPlaced.v2.schema.json" in message
    assert "lambdas/orders/events.py has no such class any more" in message


def test_an_additive_change_asks_for_the_copy_to_be_renewed() -> None:
    contract = edited(
        OrderPlaced,
        lambda schema: schema["properties"].update(gift={"type": "boolean", "default": False}),
    )
    found = review({FILE: contract})
    assert FILE not in found.broken
    assert found.stale == {
        FILE: "OrderPlaced.v2 has changed in a way that breaks nobody: renew its copy "
        "docs/events/orders/OrderPlaced.v2.schema.json with `make generated`"
    }


def test_a_new_event_asks_for_a_copy(tmp_path: Path) -> None:
    contract = contract_of(OrderPlaced)
    found = review({FILE: contract}, tmp_path)
    assert not found.broken
    assert "OrderPlaced.v2 has no copy" in found.stale[FILE]


def test_renewing_updates_harmless_changes_and_leaves_breaking_ones(tmp_path: Path) -> None:
    placed, confirmed = contract_of(OrderPlaced), contract_of(OrderConfirmed)
    renew({placed.file: placed, confirmed.file: confirmed}, tmp_path)
    assert str(review({placed.file: placed, confirmed.file: confirmed}, tmp_path)) == ""

    broken = edited(OrderPlaced, narrow)
    more = edited(
        OrderConfirmed, lambda schema: schema["properties"].update(gift={"type": "boolean"})
    )
    found = renew({broken.file: broken, more.file: more}, tmp_path)
    assert (list(found.broken), list(found.stale)) == ([FILE], [confirmed.file])
    assert (tmp_path / placed.file).read_text() == text(placed.schema)
    assert (tmp_path / more.file).read_text() == text(more.schema)
