"""A small run of the demo: its report repeats, its audit finds what is wrong."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from demo import scenario
from demo.books import audit
from demo.cli import app
from demo.display import Display
from demo.evidence import Evidence, gather
from demo.orders_file import Order, read_orders
from demo.report import report
from demo.run import Run, rehearse
from demo.stock_file import plenty_for
from rehearsal import Rehearsal
from tests.demo.test_files import HEADER, write

TOKENS = ["tok_approve", "tok_approve", "tok_decline", "tok_flaky_1", "tok_approve"]


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> list[Order]:
    rows = [
        f"o{number},c{number % 7},SKU-{line},{line + 1},{100 * line + 50},EUR,{TOKENS[number % 5]}"
        for number in range(25)
        for line in range(number % 4 + 1)
    ]
    wrong_price = "late,c1,SKU-0,1,51,EUR,tok_approve"
    return read_orders(write(tmp_path_factory.mktemp("orders"), HEADER, *rows, wrong_price)).orders


def run(assembly: Path, orders: list[Order], linger: Callable[[], None] = lambda: None) -> Run:
    return rehearse(
        assembly,
        plenty_for(orders),
        scenario.plain(orders),
        seed=7,
        display=Display(Console(file=io.StringIO())),
        announce=lambda _: None,
        linger=linger,
    )


def reported(run: Run) -> dict[str, Any]:
    return report(
        run.evidence,
        run.journal,
        run.checks,
        invocations=run.tally.invocations,
        rows_read=0,
        rows_skipped=0,
        seconds=0,
        seed=7,
    )


def test_same_seed_gives_the_same_report(assembly: Path, orders: list[Order]) -> None:
    first, second = (json.dumps(reported(run(assembly, orders)), sort_keys=True) for _ in "12")

    assert first == second
    told = json.loads(first)
    assert told["balanced"] is True
    assert told["orders"] == {
        "placed": 25,
        "refused": 1,
        "confirmed": 20,
        "rejected": 5,
        "cancelled": 0,
        "pending": 0,
    }
    assert told["refusals"] == {"price_changed": 1}
    assert told["rejections"] == {"payment_declined": 5}
    assert told["events"]["OrderConfirmed.v1"] == 20
    assert told["stock"]["SKU-0"]["reserved"] == 20
    assert told["money"]["authorized_minor"] > 0
    assert sum(told["dead_letters"].values()) == 0
    assert told["invocations"]["Orders/PlaceOrder"] == 26


FORGERIES = {
    "stock that vanished": ("Inventory/Stock/Table", "STOCK#", "STOCK", "available", "1"),
    "money that was doubled": (
        "Payments/Payments/Table",
        "PAYMENT#",
        "PAYMENT",
        "amount_minor",
        "9",
    ),
    "a book at the provider that differs": (
        "Payments/SandboxProvider",
        "",
        None,
        "amount_minor",
        "9",
    ),
    "a price that was changed": ("Orders/Orders/Table", "ORDER#", "ORDER", "total_minor", "9"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_cooked_books_are_found_out(assembly: Path, orders: list[Order], forgery: str) -> None:
    table, prefix, sort_key, attribute, value = FORGERIES[forgery]
    with Rehearsal(assembly) as shop:
        evidence = Evidence()
        client = shop.client("dynamodb")
        shop.invoke(
            "Inventory/ReceiveStock",
            {
                "delivery_id": "d",
                "items": [
                    {"sku": "MUG", "quantity": 5, "unit_price_minor": 100, "currency": "EUR"}
                ],
            },
        )
        shop.run_until_idle()
        evidence.delivered["MUG"] = 5
        body = {
            "currency": "EUR",
            "lines": [{"sku": "MUG", "quantity": 1, "unit_price_minor": 100}],
            "shipping_address": {
                "name": "A",
                "street": "B",
                "postal_code": "C",
                "city": "D",
                "country": "EE",
            },
            "payment_token": "tok_approve",
        }
        headers = {"authorization": f"Bearer {shop.token('c')}", "idempotency-key": "k"}
        order_id = shop.http.request("POST", "/orders", headers=headers, body=body).json()[
            "order_id"
        ]
        evidence.accepted.add(order_id)
        shop.run_until_idle()
        key = {"pk": {"S": f"{prefix}{'MUG' if 'STOCK' in prefix else order_id}"}}
        if sort_key:
            key["sk"] = {"S": sort_key}
        client.update_item(
            TableName=shop.physical_id(table),
            Key=key,
            UpdateExpression="SET #attribute = :value",
            ExpressionAttributeNames={"#attribute": attribute},
            ExpressionAttributeValues={":value": {"N": value}},
        )

        checks = audit(gather(shop, evidence))

    assert any(not check.holds for check in checks)
    assert any(table in fault for check in checks for fault in check.faults)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--orders", "missing.csv"], "missing.csv"),
        (["--report", "/no/such/folder/report.json"], "no report can be written"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_begins(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", "")
    assert "Traceback" not in result.output
