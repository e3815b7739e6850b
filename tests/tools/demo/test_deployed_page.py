"""The live page of a deployed stage in a real browser: its console shares only the AWS API."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal
from rehearsal.second_process import Command
from stacks.constructs.runbook import RUNBOOK
from tests.tools.catalogue.test_browser import required_browser
from tests.tools.demo.test_files import HEADER, write
from tests.tools.demo.test_page import ROWS, Visit, pause, run_with_page
from tools.demo.customers import shop_id_of
from tools.demo.orders_file import CustomerOrder, read_orders
from tools.demo.pace import Pace
from workspace.isolation import PROJECT

LETTERS = "Checkout/RunCheckout/DeadLetters"
HANDLER, SWEEP = "Checkout/RunCheckout/Function", "Orders/SweepOrders/Function"


def park_again(shop: Rehearsal, order: str) -> None:
    """Parks the message about an order that was processed before."""
    event = next(
        each
        for each in retained(shop)
        if each["detail-type"].startswith("OrderPlaced") and each["detail"]["subject"] == order
    )
    url = shop.physical_id(LETTERS)
    shop.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))


def retained(shop: Rehearsal) -> list[dict[str, Any]]:
    """The events of the shop's bus so far."""
    return [record.detail["event"] for record in shop.meter.of("published")]


def visited(shop: Rehearsal, order: str, journal: Path, *options: str) -> dict[str, Any]:
    """What a browser sees of the shop, on a page of another process."""
    site = journal.with_name("site")
    site.mkdir(exist_ok=True)
    (site / "pages.json").write_text(json.dumps({HANDLER: "function.html"}))
    given = ("--site", str(site), "--runbook", str(PROJECT / RUNBOOK), "--journal", str(journal))
    console = Command(shop, "--minutes", "1440", *given, *options).start()
    try:
        return Visit(console.url, "deployed", order, LETTERS).meanwhile(stepping(shop))
    finally:
        console.close()


def stepping(shop: Rehearsal) -> Callable[[], None]:
    def step() -> None:
        shop.run_for(0.05)
        pause()

    return step


@pytest.fixture
def orders(tmp_path: Path) -> list[CustomerOrder]:
    return read_orders(write(tmp_path, HEADER, *ROWS[:3])).items


# One test, so that the application is loaded once.
def test_a_stage_is_watched_and_a_message_brought_back(
    assembly: Path,
    orders: list[CustomerOrder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    required_browser()
    order = shop_id_of(orders[0])
    journal = tmp_path / "journal.jsonl"
    seen: list[dict[str, Any]] = []

    def stay(pace: Pace) -> None:
        shop = pace._shop
        for _ in range(2):
            park_again(shop, order)
        (mapping,) = (
            each.physical_id
            for each in shop.resources
            if each.type == "AWS::Lambda::EventSourceMapping" and each.path.startswith(SWEEP)
        )
        shop.client("lambda").update_event_source_mapping(UUID=mapping, Enabled=False)
        workflow = shop.physical_id("Returns/Workflow")
        start = shop.client("stepfunctions").start_execution
        start(stateMachineArn=workflow, input=json.dumps({"unknown": "input"}))
        shop.run_for(300)
        seen.append(visited(shop, order, journal))
        assert not journal.exists()
        seen.append(visited(shop, order, journal, "--operate"))

    monkeypatch.setattr(Pace, "stay", stay)
    run_with_page(assembly, orders, stay_at=0.01)
    reading, operating = seen

    with subtests.test("the page says which account it shows, as whom, and what it leaves out"):
        assert "Account 123456789012, eu-central-1, as arn:aws:sts::" in reading["account"]
        assert reading["account"].endswith("read-only")
        assert operating["account"].endswith("may operate")
        assert any("Travelling messages" in each for each in reading["leftOut"])
    with subtests.test("controls of a rehearsal are absent"):
        assert "Break it" not in reading["panel"]
        assert reading["controls"] == ["link", "● live"]
    with subtests.test("requests and events are counted"):
        assert int(reading["asked"]) > 0
        assert int(reading["events"].replace(",", "")) > 0
    with subtests.test("a function has its log"):
        assert "ProcessedEvents" in reading["log"]
    with subtests.test("a trace has all events of an order"):
        assert {"OrderPlaced.v2", "OrderConfirmed.v2"} <= {*reading["trace"]}
    with subtests.test("the alarms of the templates fire"):
        assert any(f"{LETTERS}/Parked" in each for each in reading["alarms"])
    with subtests.test("a page that is read-only shows only the number of messages"):
        assert "2 messages." in reading["queue"]
        assert "read-only" in reading["queue"]
        assert reading["operates"] == 0
    with subtests.test("a mapping that is disabled stands out, and settings are in the panel"):
        for each in seen:
            (banner,) = each["disabled"]
            assert banner.strip().startswith(f"{SWEEP} does not read")
            assert each["stopped"] == [SWEEP]
            assert "Enabled: reads Checkout/RunCheckout" in each["settings"]
    with subtests.test("an execution has its failing step, and its input on demand"):
        assert "It failed at" in reading["execution"]
        assert json.loads(reading["input"])
    with subtests.test("links lead to the catalogue, and alarms have their page of the runbook"):
        assert reading["page"] == "site/function.html"
        assert reading["runbook"].startswith("Messages in a dead-letter queue")
    with subtests.test("older logs are searched on demand"):
        assert f"found about {order}" in reading["older"]
    with subtests.test("one message is chosen, and the other one stays"):
        assert "of Checkout/RunCheckout/DeadLetters that were chosen: 1." in operating["chosen"]
    with subtests.test("a redrive says what it will do, and then who has done it"):
        assert "OrderPlaced.v" in operating["letter"]
        assert "to Checkout/RunCheckout" in operating["plan"]
        assert "by arn:aws:sts::" in operating["done"]
        assert '"what": "redrive"' in journal.read_text()
    with subtests.test("no view has a violation that axe finds, overflows, or has errors"):
        for each in seen:
            assert each["problems"] == []
            assert each["violations"] == []
            assert each["overflowing"] == []
            assert each["errors"] == []
            assert each["requests"] == []
