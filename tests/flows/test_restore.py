"""A restore: all items of a table are deleted, and the guide's own commands bring them back."""

import re
import shlex
import time
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from cdk_rehearsal import TableRecovery
from lambdas.notifications.events import Channel
from tests.flows.shop import Shop
from tests.support.documents import PAGES
from tools.catalogue.prose import blocks
from tools.demo import evidence
from tools.demo.audit import audit
from tools.redrive import cli as redrive
from tools.restore import cli as restore

GUIDE = blocks(PAGES["docs/how-to/restore-a-table.md"])
COMMANDS = [
    re.findall(r'^make (\w+) STAGE=prod ARGS="([^"]+)"', line)[0]
    for block in GUIDE
    for line in block.splitlines()
]
"""The programs of the guide, with their arguments."""
OUTAGE_S = 360

TABLES = (
    *(evidence.ORDERS, evidence.STOCK, evidence.PAYMENTS, evidence.SHIPMENTS),
    *(evidence.RETURNS, evidence.NOTIFICATIONS, evidence.SALES),
)


@pytest.fixture(autouse=True)
def account(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands work in the rehearsal's account."""
    if not shop.is_custom:
        pytest.skip("the guide's redrive is for a Custom Event Bus")
    monkeypatch.setattr(restore, "client", shop.rehearsal.client)
    monkeypatch.setattr(redrive, "client", shop.rehearsal.client)


def delete_all(shop: Shop, path: str) -> int:
    """The mistake of an operator. Returns how many items are gone."""
    name = shop.rehearsal.physical_id(path)
    found = [*evidence.scan(shop.rehearsal, path)]
    for item in found:
        key = {part: item[part] for part in ("pk", "sk") if part in item}
        shop.rehearsal.client("dynamodb").delete_item(TableName=name, Key=key)
    return len(found)


def consumers(shop: Shop, context: str) -> list[str]:
    return [
        resource.path.split("/")[1]
        for resource in shop.rehearsal.resources
        if resource.type == "AWS::EventsV2::Subscriber" and resource.path.startswith(f"{context}/")
    ]


def bring_back(shop: Shop, path: str, lost_at: float) -> list[str]:
    """Works through the guide for a table. Returns what its commands print."""
    context, name, *_ = path.split("/")
    meant = {"08:30:14": lost_at - 1, "08:30:15": lost_at, "08:45:00": time.time()}
    printed = []
    for program, text in COMMANDS:
        arguments = re.sub(
            r"2026-01-05T([\d:]+)",
            lambda stated: f"{datetime.fromtimestamp(int(meant[stated[1]]), UTC):%FT%T}",
            text,
        )
        _, _, *options = shlex.split(arguments)
        names = [name] if program == "restore" else consumers(shop, context)
        app = restore.app if program == "restore" else redrive.app
        for each in names:
            stated = ["--stage", "dev", context.lower(), each, *options]
            result = CliRunner().invoke(app, stated)
            assert result.exit_code == 0, result.output
            printed.append(result.output)
        shop.settle()
    shop.redrive()
    return printed


def make_restorable(shop: Shop) -> None:
    """Gives the shop stock, and tables that can be restored: not in a fixture, which all share."""
    TableRecovery(shop.rehearsal)
    shop.prefer(*Channel)
    shop.receive({"MUG": 100}, delivery="before")


@pytest.mark.parametrize("path", TABLES)
def test_nothing_is_lost_if_nothing_was_written_in_the_second_of_the_loss(
    shop: Shop, path: str
) -> None:
    make_restorable(shop)
    delivered, sent, waiting = (shop.place({"MUG": 2}, key=f"before-{n}") for n in range(3))
    shop.settle()
    shop.deliver(delivered)
    shop.settle()
    shop.rehearsal.run_for(600)

    lost_at = time.time()
    gone = delete_all(shop, path)
    shop.rehearsal.run_for(5)
    shop.order({"MUG": 1}, key="meanwhile")
    shop.deliver(sent)
    shop.rehearsal.run_for(OUTAGE_S)
    printed = bring_back(shop, path, lost_at)

    copied, there = re.findall(r"(\d+) items were missing .* (\d+) left", "".join(printed))[0]
    assert int(copied) + int(there) == gone
    shop.deliver(sent)
    shop.deliver(waiting)
    shop.place({"MUG": 1}, key="afterwards")
    shop.settle()
    assert [shop.status(each) for each in (delivered, sent, waiting)] == ["delivered"] * 3
    shop.assert_books_balance()
    tables = shop.rehearsal.client("dynamodb").list_tables()["TableNames"]
    assert not [name for name in tables if name.endswith("-restored")]


def test_what_a_consumer_wrote_in_the_second_of_the_loss_comes_back_with_its_event(
    shop: Shop,
) -> None:
    make_restorable(shop)
    shop.rehearsal.run_for(600)
    before = shop.items(evidence.RETURNS)
    order_id = shop.place({"MUG": 1}, key="in-this-second")
    while len(shop.items(evidence.RETURNS)) == len(before):
        shop.rehearsal.run_for(0.05)
    lost_at = time.time()
    delete_all(shop, evidence.RETURNS)
    shop.rehearsal.run_for(OUTAGE_S)
    bring_back(shop, evidence.RETURNS, lost_at)

    shop.deliver(order_id)
    shop.settle()
    # Returns know the order only from the event.
    assert shop.give_back(order_id).status == 202


def test_an_order_of_the_second_of_the_loss_is_lost_until_its_customer_repeats_it(
    shop: Shop,
) -> None:
    make_restorable(shop)
    shop.rehearsal.run_for(601 - time.time() % 1)
    begun = time.time()
    order_id = shop.place({"MUG": 1}, key="in-this-second")
    lost_at = time.time()
    assert int(begun) == int(lost_at)
    delete_all(shop, evidence.ORDERS)
    shop.rehearsal.run_for(OUTAGE_S)
    bring_back(shop, evidence.ORDERS, lost_at)

    view = shop.request("GET", f"/orders/{order_id}", "customer-1")
    assert view.status == 404
    assert shop.place({"MUG": 1}, key="in-this-second") == order_id
    shop.settle()
    # Its first event may have been parked, for lack of the order.
    shop.redrive()
    shop.deliver(order_id)
    shop.settle()
    assert shop.status(order_id) == "delivered"
    findings = [each for check in audit(shop.evidence()) for each in check.findings]
    # The fact has been published twice. Stock and money have moved once.
    twice = r"OrderPlaced\.v2|5 messages were sent, 4 are due"
    assert findings
    assert [each for each in findings if not re.search(twice, each)] == []
    assert not shop.parked()
