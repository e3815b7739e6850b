"""A small run of the demo: its report is reproducible, and its audit finds wrong items."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from rich.console import Console

from cdk_rehearsal import Rehearsal
from tests.support.assemblies import assembly_directory
from tests.tools.demo.printed import assert_each_line_adds_up
from tests.tools.demo.test_files import HEADER, write
from tools.demo import pace, sample
from tools.demo.audit import Check, audit
from tools.demo.audit.payments import LEDGER
from tools.demo.csv_file import FileContent
from tools.demo.display import Display, LiveDisplay
from tools.demo.evidence import ORDERS, PAYMENTS, PROVIDER, STOCK, Evidence, gather
from tools.demo.json_report import report
from tools.demo.orders_file import CustomerOrder, read_orders
from tools.demo.run import DemoRun, DemoSetup, rehearse, setup_of
from tools.demo.stock_file import plenty_for
from tools.demo.summary import show_summary
from tools.demo.supplier import files_of
from tools.demo.visits import plain_visits
from workspace.isolation import PROJECT

SEED = 7
WIDTH, HEIGHT = 80, 24
TOKENS = ["tok_approve", "tok_approve", "tok_decline", "tok_flaky_1", "tok_approve"]
ROWS = [
    *(
        f"o{number},c{number % 7},SKU-{line},{line + 1},{100 * line + 50},EUR,{TOKENS[number % 5]}"
        for number in range(10)
        for line in range(number % 4 + 1)
    ),
    "late,c1,SKU-0,1,51,EUR,tok_approve",
    "wrong,c1,SKU-0,none,51,EUR,tok_approve",
]
BOOKS = (
    "orders",
    "statuses",
    "parcels",
    "returns",
    "stock",
    "money",
    "sales",
    "messages",
    "events",
)
FORGERIES: Mapping[str, tuple[str, str, str]] = {
    "stock that vanished": (STOCK, "STOCK#SKU-1", "available"),
    "stock without an order": (STOCK, "STOCK#SKU-1", "reserved"),
    "stock that was issued for nobody": (STOCK, "STOCK#SKU-1", "issued"),
    "stock without a delivery": (STOCK, "STOCK#SKU-1", "received"),
    "an order whose total was changed": (ORDERS, "ORDER#", "total_minor"),
    "money that grew": (PAYMENTS, "PAYMENT#", "amount_minor"),
    "a provider whose book differs": (PROVIDER, "", "amount_minor"),
}


@dataclass
class ObservedRun:
    """The output of one run, and the audits of forged tables."""

    wanted: FileContent[CustomerOrder]
    screen: io.StringIO
    run: DemoRun | None = None
    forged: dict[str, list[Check]] = field(default_factory=dict)

    def conclude(self, shop: Rehearsal, run: DemoRun) -> None:
        self.run = run
        for forgery, where in FORGERIES.items():
            with altered(shop, *where):
                known = outside_knowledge(run.evidence)
                self.forged[forgery] = audit(gather(shop, known))

    def report(self) -> dict[str, Any]:
        assert self.run
        return report(self.run, self.wanted, seed=SEED)


def outside_knowledge(evidence: Evidence) -> Evidence:
    """Returns what customers and suppliers know."""
    return Evidence(accepted=evidence.accepted, supplied=evidence.supplied)


@contextmanager
def altered(shop: Rehearsal, table: str, prefix: str, attribute: str) -> Iterator[None]:
    """Adds one to a number in an item of a table within the block."""
    client, name = shop.client("dynamodb"), shop.physical_id(table)
    item = next(
        item
        for item in client.scan(TableName=name)["Items"]
        if item["pk"]["S"].startswith(prefix)
        and attribute in item
        and item.get("state", item.get("status", {})).get("S") in {None, "captured", "delivered"}
    )
    changed = {**item, attribute: {"N": str(int(item[attribute]["N"]) + 1)}}
    client.put_item(TableName=name, Item=changed)
    yield
    client.put_item(TableName=name, Item=item)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("orders"), HEADER, *ROWS)


@pytest.fixture(scope="module")
def observed(assembly: Path, file: Path) -> ObservedRun:
    return observe(assembly, file)


def observe(assembly: Path, file: Path) -> ObservedRun:
    wanted = read_orders(file)
    screen = io.StringIO()
    display = LiveDisplay(Console(file=screen, width=WIDTH, height=HEIGHT, force_terminal=True))
    display.pause_s = 5.0  # a frame costs as much as an order
    observed = ObservedRun(wanted, screen)
    items = plenty_for(wanted.items)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pace, "_pause", lambda _: None)
        rehearse(
            assembly,
            DemoSetup(
                files=[*files_of(items)],
                catalogue=items,
                right={item.sku: item.quantity for item in items},
                visits=plain_visits(wanted.items),
            ),
            seed=SEED,
            display=display,
            conclude=observed.conclude,
        )
    return observed


def test_the_audit_of_a_plain_run_passes(observed: ObservedRun) -> None:
    report = observed.report()

    assert report["faults"] == []
    assert report["balanced"] is True
    assert report["orders"] == {
        "placed": 10,
        "refused": 1,
        "confirmed": 8,
        "rejected": 2,
        "cancelled": 0,
        "expired": 0,
        "pending": 0,
    }
    assert report["statuses"] == {"delivered": 8, "rejected": 2}
    assert report["parcels"] == {"delivered": 8}
    assert report["messages"] == dict.fromkeys(("email", "sms", "webhook"), ANY)
    assert report["messages"]["email"] > 0
    assert report["sales"]["units"] == sum(item["issued"] for item in report["stock"].values())
    assert report["refusals"] == {"price_changed": 1}
    assert report["rejections"] == {"payment_declined": 2}
    assert report["events"]["OrderConfirmed.v2"] == 8
    assert report["stock"]["SKU-0"] == {
        "initial": 10_000,
        "reserved": 0,
        "issued": 8,
        "returned": 0,
        "on_hand": 9_992,
    }
    assert report["money"]["refunded_minor"] == 0
    assert report["money"]["by_currency"] == {
        "EUR": {
            "authorized_minor": report["money"]["authorized_minor"],
            "released_minor": 0,
            "refunded_minor": 0,
        }
    }
    assert set(report["dead_letters"].values()) == {0}
    assert report["invocations"]["Orders/PlaceOrder"] == 11
    assert report["rows"] == {"read": len(ROWS), "skipped": 1}


def test_the_same_seed_ends_with_the_same_books_on_either_kind_of_bus(
    observed: ObservedRun, file: Path, shared_directory: Path
) -> None:
    classic = observe(assembly_directory("dev", shared_directory, bus="classic"), file).report()
    custom = observed.report()

    assert classic["dead_letters"].keys() != custom["dead_letters"].keys()
    assert {name: classic[name] for name in BOOKS} == {name: custom[name] for name in BOOKS}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_the_audit_finds_forged_items(observed: ObservedRun, forgery: str) -> None:
    findings = [finding for check in observed.forged[forgery] for finding in check.findings]

    table = FORGERIES[forgery][0]
    named = LEDGER if table == PROVIDER else table
    assert any(named in finding for finding in findings)


def test_the_live_display_fits_the_screen_and_shows_each_hop(observed: ObservedRun) -> None:
    last = observed.screen.getvalue().rpartition("Orderflow")[2].splitlines()

    assert len(last) <= HEIGHT  # the cursor waits on the last line
    text = "\n".join(last)
    assert "11 of 11" in text
    for hop in ("POST /orders", "outboxes → bus", "bus → checkout", "→ webhook", "→ sales"):
        assert hop in text


def test_the_summary_traces_an_order_and_shows_the_result_of_the_audit(
    observed: ObservedRun,
) -> None:
    console = Console(file=io.StringIO(), width=WIDTH, force_terminal=False)
    assert observed.run

    show_summary(console, observed.run)

    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "Trace of order" in text
    assert "OrderDelivered.v1" in text
    assert "payment_declined" in text
    assert "The audit passes" in text


def test_command_gives_the_same_report_in_another_process(
    assembly: Path, file: Path, tmp_path: Path, observed: ObservedRun
) -> None:
    """With another hash seed, and without a terminal."""
    program = (
        "from pathlib import Path; from tools.demo import cli, pace; pace._pause = lambda _: None; "
        f"cli.host_assembly = lambda *_, **__: Path({str(assembly)!r}); cli.main()"
    )
    output = tmp_path / "report.json"
    environment = {name: os.environ[name] for name in os.environ if name != "COLUMNS"}
    arguments = ["--orders", str(file), "--report", str(output), "--seed", str(SEED)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=PROJECT,
        env={**environment, "PYTHONHASHSEED": "7", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "The audit passes" in done.stdout
    assert_each_line_adds_up(done.stdout)
    assert "\x1b" not in done.stdout + done.stderr
    assert f"file.csv, line {len(ROWS) + 1}: quantity must be a whole number" in done.stderr
    report = json.loads(output.read_text())
    assert report.pop("seconds") > 0
    expected = observed.report()
    del expected["seconds"]
    assert report == expected


def test_no_canary_order_is_placed_while_a_tool_counts_those_of_customers(
    shared_directory: Path,
) -> None:
    """Although days pass until a lost parcel is overdue."""
    orders = read_orders(sample.ORDERS).items[:2]
    setup = setup_of(plenty_for(orders), plain_visits(orders), is_sample=False)
    run = rehearse(
        assembly_directory("prod", shared_directory),
        replace(setup, lost_parcels=1),
        seed=1,
        display=Display(Console(quiet=True)),
        hurried=True,
    )

    assert run.passes, [check for check in run.checks if not check.holds]
    assert run.counts.invocations["Orders/PlaceCanary/Function"] == 1
    assert run.timelines.by_order.keys() == run.evidence.orders.keys()
    assert len(run.evidence.orders) == len(orders)
