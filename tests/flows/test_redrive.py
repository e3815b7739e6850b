"""A redrive on the Custom Event Bus: the runbook's own commands, after an outage of two days."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from cdk_rehearsal import FAULTS
from lambdas.notifications.events import Channel
from tests.flows.shop import FOREVER, Shop
from tools.catalogue.prose import blocks, failures
from tools.redrive import cli
from workspace.isolation import PROJECT

PAGE = failures(PROJECT)["a-subscriber-cannot-deliver"].text
BEGIN, OTHERS, DONE = (
    shlex.split(re.findall(r'ARGS="([^"]+)"', command)[0]) for command in blocks(PAGE)
)
"""The arguments of the page's three commands."""

DOWN = ("Analytics/", "Notifications/", "Payments/", "Returns/", "Shipping/")
"""The contexts that the bus does not reach. Orders are still accepted and checked out."""


@pytest.fixture(autouse=True)
def account(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command works in the rehearsal's account."""
    if not shop.is_custom:
        pytest.skip("a classic bus has no subscribers: see test_replay.py")
    monkeypatch.setattr(cli, "client", shop.rehearsal.client)


def subscribers(shop: Shop) -> list[str]:
    """The paths of the subscribers that are down in these tests."""
    return [
        resource.path
        for resource in shop.rehearsal.resources
        if resource.type == "AWS::EventsV2::Subscriber" and resource.path.startswith(DOWN)
    ]


def redrive(subscriber: str, options: list[str]) -> tuple[int, str]:
    """Runs a command of the runbook for a subscriber; returns its exit code and output."""
    context, consumer, _ = subscriber.split("/")
    arguments = ["--stage", "dev", context.lower(), consumer, *options[2:]]
    result = CliRunner().invoke(cli.app, arguments)
    return result.exit_code, result.output


def outage(shop: Shop, *paths: str, days: float = 2) -> str:
    """The bus reaches none of these targets for some time. Returns an order from this time."""
    shop.prefer(*Channel)
    shop.receive({"MUG": 10}, delivery="before-the-outage")
    for path in paths:
        shop.rehearsal.faults.plan(FAULTS["gone"], source=path, times=FOREVER)
    order_id = shop.place({"MUG": 2}, key="in-the-outage")
    shop.pass_days(days)
    shop.rehearsal.faults.clear()
    return order_id


def test_after_two_days_a_redrive_brings_everything_back(shop: Shop) -> None:
    reported = shop.sent()[Channel.EMAIL]
    order_id = outage(shop, *subscribers(shop))
    assert shop.status(order_id) == "confirmed"
    assert shop.shipment(order_id) is None
    assert shop.sent()[Channel.EMAIL] == reported
    assert shop.parked()

    for subscriber in subscribers(shop):
        code, _ = redrive(subscriber, BEGIN)
        assert code == 0 or f"{subscriber}/Undelivered" not in shop.parked()
    shop.settle()
    # Only now do topics, streams and relays carry what the redrive has caused.
    assert shop.shipment(order_id) == "requested"
    shop.deliver(order_id)
    shop.settle()
    for path in subscribers(shop):
        if f"{path}/Undelivered" in shop.parked():
            code, printed = redrive(path, DONE)
            assert code == 0, printed
            assert "deleted" in printed

    assert shop.status(order_id) == "delivered"
    assert shop.sent()[Channel.EMAIL] - reported
    shop.assert_books_balance()
    names = [
        each["Name"]
        for each in shop.rehearsal.client("eventbridgev2").list_subscribers()["Subscribers"]
    ]
    assert not [name for name in names if name.endswith("-redrive")]


SHIP = "Shipping/RequestShipment/Subscriber"


def test_records_stay_until_all_their_events_have_arrived(shop: Shop) -> None:
    outage(shop, SHIP)
    assert "give the command without --done first" in redrive(SHIP, DONE)[1]
    assert redrive(SHIP, BEGIN)[0] == 0
    code, printed = redrive(SHIP, DONE)
    assert (code, "1 events have not arrived yet" in printed) == (1, True)
    shop.settle()
    shop.pass_time(minutes=5)
    assert redrive(SHIP, DONE)[0] == 0
    assert not shop.parked()


def test_events_without_a_record_are_delivered_again_for_a_span_of_time(shop: Shop) -> None:
    start = datetime.now(UTC)
    order_id = outage(shop, SHIP)
    queue = shop.rehearsal.physical_id(f"{SHIP}/Undelivered")
    shop.rehearsal.client("sqs").purge_queue(QueueUrl=queue)
    assert "no events were given up" in redrive(SHIP, BEGIN)[1]
    span = [f"{each:%Y-%m-%dT%H:%M:%S}" for each in (start, start + timedelta(hours=1))]
    options = [*OTHERS[:3], span[0], OTHERS[4], span[1]]
    assert (OTHERS[2], OTHERS[4]) == ("--since", "--until")
    assert redrive(SHIP, options)[0] == 0
    shop.settle()
    assert shop.shipment(order_id) == "requested"


def test_what_the_bus_no_longer_retains_is_an_error(shop: Shop) -> None:
    outage(shop, SHIP, days=9)
    code, printed = redrive(SHIP, BEGIN)
    assert code == 1
    assert "the bus retains events only since" in printed


@pytest.mark.parametrize("body", ["no JSON", '{"failedMessages": [{}]}', "[]"])
def test_a_message_that_is_no_record_is_an_error(shop: Shop, body: str) -> None:
    shop.rehearsal.queues.by_path(f"{SHIP}/Undelivered").send(body)
    code, printed = redrive(SHIP, BEGIN)
    assert code == 1
    assert "is no dead-letter record of a subscriber" in printed


def test_an_unknown_consumer_is_an_error(shop: Shop) -> None:
    code, printed = redrive("Shipping/Nobody/Subscriber", BEGIN)
    assert code == 1
    assert "0 subscribers of Nobody in orderflow-dev-shipping" in printed


def records_of(shop: Shop) -> list[Any]:
    return [json.loads(each["body"]) for each in shop.rehearsal.messages(f"{SHIP}/Undelivered")]


def test_records_name_no_person_and_no_payload(shop: Shop) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""
    outage(shop, SHIP)
    (record,) = records_of(shop)
    assert not {"detail", "data", "payload"} & {key.lower() for key in record}
    assert record["exhaustedRetryCondition"] in ("MaximumEventAgeInSeconds", "MaximumRetryAttempts")
