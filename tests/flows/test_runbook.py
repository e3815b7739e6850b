"""The runbook: each page's commands run after its failure has happened, down to its last line."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import FAULTS
from lambdas.notifications.events import Channel
from tests.flows.shop import (
    FOREVER,
    PRICE,
    Shop,
    confirmed_order,
    order_with_requested_return,
)
from tests.support.desk import Shell, inline, lay_out
from tests.support.documents import PAGES
from tools.catalogue.prose import blocks, failures
from tools.demo import schedules
from workspace.isolation import PROJECT

RUNBOOK = PAGES["docs/runbook.md"]
SECTIONS = {page: document.text for page, document in failures(PROJECT).items()}
PREPARATION = blocks(RUNBOOK.partition("\n## ")[0])
STEP = timedelta(minutes=5)
QUIET = timedelta(minutes=30)
"""The time after which all alarms have seen a repaired application."""


def nothing(_: Shop) -> None:
    """Does nothing."""


def no_values(_: Shop, __: str) -> Mapping[str, str]:
    """Replaces nothing."""
    return {}


@dataclass(frozen=True)
class Failure:
    """What happened before an operator opens a page, and what else the operator does."""

    happens: Callable[[Shop], object]
    consumer: str = "checkout RunCheckout"
    """Context and name of the consumer that the alarm names."""
    repair: Callable[[Shop], object] = nothing
    """Removes the cause."""
    diagnosis: int = 0
    """The number of blocks that come before the cause is removed."""
    values: Callable[[Shop, str], Mapping[str, str]] = no_values
    """What the operator writes instead of placeholders, given what was printed so far."""
    body: Callable[[Shop], str] = lambda _: ""
    """Returns the body that the operator has saved in a file."""
    within: timedelta = timedelta(minutes=20)
    """The time within which an alarm fires."""
    quiet: timedelta = QUIET
    """The time after which its alarms have seen a repaired application."""


def broken(path: str | None, fault: str = "raises-on", **options: Any) -> Callable[[Shop], None]:
    """Plans a fault that acts until the cause is removed."""

    def plan(shop: Shop) -> None:
        shop.rehearsal.faults.plan(FAULTS[fault], target=path, times=FOREVER, **options)

    return plan


def mended(shop: Shop) -> None:
    """Removes all faults."""
    shop.rehearsal.faults.clear()


def orders(
    count: int, *causes: Callable[[Shop], None], minutes: float = 5, rounds: int = 1, **options: Any
) -> Callable[[Shop], None]:
    """After some causes, customers place orders, some in each round."""

    def happens(shop: Shop) -> None:
        shop.receive({"WANTED": 10 * count * rounds}, delivery="wanted")
        for cause in causes:
            cause(shop)
        for number in range(rounds):
            for each in range(count):
                # The API limits the rate, and what a customer orders at once.
                key = f"wanted-{number}-{each}"
                shop.order({"WANTED": 1}, key=key, customer=f"customer-{each % 5 + 1}", **options)
                shop.pass_time(seconds=1)
            shop.pass_time(minutes=minutes)

    return happens


def key_of_a_file(shop: Shop) -> str:
    """Returns the key of a supplier's file."""
    bucket = shop.rehearsal.physical_id("Inventory/SupplierFiles/Bucket")
    listed = shop.rehearsal.client("s3").list_objects_v2(Bucket=bucket, Prefix="incoming/")
    return str(listed["Contents"][0]["Key"])


def an_object_goes_astray(shop: Shop) -> None:
    bucket = shop.rehearsal.physical_id("Inventory/SupplierFiles/Bucket")
    key = key_of_a_file(shop)
    client = shop.rehearsal.client("s3")
    body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    client.put_object(Bucket=bucket, Key="Incoming/stock.csv", Body=body)
    shop.settle()


def requests_are_refused(shop: Shop) -> None:
    for _ in range(4):
        for _ in range(25):
            shop.rehearsal.http.request("GET", "/orders/unknown")
        shop.pass_time(minutes=5)


def activity(*causes: Callable[[Shop], None], minutes: float) -> Callable[[Shop], None]:
    """After some causes, customers look at items for a while."""

    def happens(shop: Shop) -> None:
        for cause in causes:
            cause(shop)
        kind = {"kind": "viewed", "sku": "MUG", "unit_price_minor": 1250, "currency": "EUR"}
        for number in range(int(minutes)):
            seen = {"activities": [{"activity_id": f"late-{number}", **kind}]}
            shop.request("POST", "/activity", "customer-1", body=seen)
            shop.pass_time(minutes=1)

    return happens


def something_unreadable_is_on_the_stream(shop: Shop) -> None:
    shop.rehearsal.client("kinesis").put_record(
        StreamName=shop.rehearsal.physical_id("Analytics/Activity"),
        Data=b"unreadable",
        PartitionKey="any",
    )
    shop.settle()


def last_event(shop: Shop) -> str:
    """Returns an event as the bus puts it on the stream."""
    return json.dumps(shop.rehearsal.meter.of("published")[-1].detail["event"])


def position(shop: Shop, printed: str) -> Mapping[str, str]:
    """The position on the stream and the receipt handles that were printed."""
    shards = re.findall(r"shardId-[0-9]+", printed)
    numbers = re.findall(r"shardId-[0-9]+:([0-9]+)", printed)
    handles = re.findall(r'"ReceiptHandle": "([^"]+)"', printed)
    return {
        "--shard-id PASTE": f"--shard-id {shards[-1] if shards else 'shardId-000000000000'}",
        "--starting-sequence-number PASTE": f"--starting-sequence-number {(numbers or ['0'])[-1]}",
        "--receipt-handle PASTE": f"--receipt-handle '{(handles or ['none'])[-1]}'",
        "ID_OF_EVENT": "event-1",
    }


def a_text_message_is_expensive(shop: Shop) -> None:
    shop.rehearsal.metrics.sms_price_usd = 1.0
    shop.prefer(Channel.SMS)
    confirmed_order(shop, "TOLD")
    shop.pass_time(minutes=1)


def nobody_decides(shop: Shop) -> None:
    order_with_requested_return(shop, "WAITING")
    shop.pass_days(1.9)


def a_refund_fails(shop: Shop) -> None:
    order_id = order_with_requested_return(shop, "REFUND")
    broken("Payments/RefundReturnedOrder")(shop)
    shop.decide(order_id, approved=True)


def execution_of_a_return(shop: Shop, printed: str) -> Mapping[str, str]:
    arns = re.findall(r"arn:aws:states:[^\s\"]+:execution:[^\s\"]+", printed)
    return {"EXECUTION=PASTE": f"EXECUTION={arns[-1] if arns else ''}"}


def checkouts_are_slow(shop: Shop) -> None:
    shop.receive({"SLOW": 30}, delivery="slow")
    for number in range(4):
        shop.pause("Checkout/RunCheckout/Function")
        shop.place({"SLOW": 1}, key=f"slow-{number}")
        shop.pass_time(minutes=2)
        shop.resume("Checkout/RunCheckout/Function")
        shop.pass_time(minutes=3)


def canaries_are_slow(shop: Shop) -> None:
    schedules.enable(shop.rehearsal, schedules.CANARY)
    broken(CHECKOUT, "throttled")(shop)
    shop.pass_time(minutes=30)


def messages_are_slow(shop: Shop) -> None:
    shop.prefer(Channel.EMAIL)
    shop.receive({"SLOW": 30}, delivery="slow")
    shop.pause("Notifications/SendEmail/Function")
    shop.place({"SLOW": 1}, key="slow")
    shop.pass_time(minutes=2)
    shop.resume("Notifications/SendEmail/Function")
    shop.pass_time(minutes=1)


def parcels_are_overdue(shop: Shop) -> None:
    orders(5)(shop)
    shop.pass_days(4.8)


def a_parcel_comes_back(shop: Shop) -> None:
    order_id = confirmed_order(shop, "RETURNED")
    assert shop.report(order_id, "failed").status == 200
    shop.pass_time(minutes=1)


def a_price_doubles(shop: Shop) -> None:
    shop.receive({"DEAR": 1}, delivery="dear")
    shop.price(["DEAR"], 10 * PRICE)
    shop.pass_time(minutes=1)


def recalls_are_late(shop: Shop) -> None:
    shop.receive({"LATE": 5}, delivery="late")
    placed = [shop.place({"LATE": 1}, key=f"late-{number}") for number in range(5)]
    shop.settle()
    shop.pause("Orders/FollowShipment/Function")
    for order_id in placed:
        shop.deliver(order_id)
    shop.settle()
    for order_id in placed:
        assert shop.cancel(order_id).status == 200
    shop.settle()
    shop.resume("Orders/FollowShipment/Function")


def somebody_forges_callbacks(shop: Shop) -> None:
    order_id = confirmed_order(shop, "FORGED")
    for _ in range(5):
        assert shop.report(order_id, "delivered", secret="a guess").status == 401
    shop.pass_time(minutes=1)


def an_authorization_ends(shop: Shop) -> None:
    confirmed_order(shop, "LEFT")
    shop.pass_days(6.4)


def a_parcel_leaves_too_late(shop: Shop) -> None:
    order_id = confirmed_order(shop, "UNPAID")
    shop.pause("Payments/CapturePayment/Function")
    shop.pass_days(5)
    shop.report(order_id, "picked_up")
    shop.pass_days(2.5)
    shop.resume("Payments/CapturePayment/Function")
    shop.settle()


def provider_reports(type_: str, **more: Any) -> Callable[[Shop], None]:
    """The provider reports an event about a captured payment."""

    def happens(shop: Shop) -> None:
        order_id = confirmed_order(shop, "PROVIDER")
        shop.report(order_id, "picked_up")
        shop.settle()
        subject = {"id": "x_1", "payment_intent": order_id, **more}
        assert shop.report_payment(type_, subject, event_id="evt_1").status == 200
        shop.pass_time(minutes=1)

    return happens


def an_event_of_the_outbox(shop: Shop, _: str) -> Mapping[str, str]:
    item = next(item for item in shop.items("Orders/Orders/Table", "outbox"))
    return {
        '{"pk": {"S": "PASTE"}, "sk": {"S": "PASTE"}}': json.dumps(
            {"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}}
        )
    }


HALF_A_DAY = timedelta(hours=12)
EVALUATION = timedelta(hours=25)
"""Longer than the evaluation range of the longest window in which an error budget is watched.
Without new data, CloudWatch looks further back than one period:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html"""
CHECKOUT = "Checkout/RunCheckout/Function"
STREAM = "analytics AggregateSales"
OF_ONE_BUS = {"a-rule-cannot-deliver", "a-subscriber-cannot-deliver"}
"""Pages for one kind of bus: their commands run in test_replay.py and test_redrive.py."""

FAILURES: Mapping[str, Failure] = {
    "messages-in-a-dead-letter-queue": Failure(
        orders(1, broken(CHECKOUT), minutes=60),
        repair=mended,
        diagnosis=2,
        values=lambda shop, _: {"incoming/SUPPLIER/FILE": key_of_a_file(shop)},
    ),
    "messages-wait-too-long": Failure(
        orders(1, broken(CHECKOUT, "throttled"), minutes=20), repair=mended, diagnosis=1
    ),
    "the-relay-lags": Failure(orders(1, broken("Orders/Orders/Relay"), minutes=10), repair=mended),
    "events-that-the-relay-gave-up-on": Failure(
        orders(1, broken("Orders/Orders/Relay"), minutes=21 * 60),
        repair=mended,
        values=an_event_of_the_outbox,
    ),
    "function-errors": Failure(orders(6, broken(CHECKOUT)), repair=mended, diagnosis=1),
    "consumers-keep-failing": Failure(
        orders(5, broken("Inventory/ReserveStock")), repair=mended, diagnosis=1
    ),
    "function-throttles": Failure(
        orders(3, broken(CHECKOUT, "throttled"), minutes=20), repair=mended, diagnosis=1
    ),
    "a-workflow-fails": Failure(
        orders(8, broken("Inventory/ReserveStock"), minutes=10), repair=mended, diagnosis=1
    ),
    "the-api-answers-with-5xx": Failure(
        orders(6, broken("Orders/PlaceOrder")), repair=mended, diagnosis=1
    ),
    "the-api-refuses-most-requests": Failure(requests_are_refused),
    "the-api-is-slow": Failure(
        orders(1, broken(None, "hangs", source="Orders/PlaceOrder"), rounds=4), repair=mended
    ),
    "a-record-of-the-stream-was-parked": Failure(
        something_unreadable_is_on_the_stream,
        STREAM,
        values=position,
        body=last_event,
    ),
    "a-stream-is-read-late": Failure(
        activity(broken("Analytics/AggregateSales/Function"), minutes=15), STREAM, repair=mended
    ),
    "a-stream-refuses-records": Failure(
        activity(broken(None, "call-throttled", source="Analytics/RecordActivity"), minutes=16),
        STREAM,
        repair=mended,
    ),
    "a-topic-cannot-deliver": Failure(
        orders(
            1,
            lambda shop: shop.prefer(Channel.EMAIL),
            broken("Notifications/SendEmail/Queue", "gone"),
            minutes=2,
        ),
        "notifications SendEmail",
        repair=mended,
    ),
    "sms-cost-too-much": Failure(a_text_message_is_expensive),
    "orders-expire": Failure(
        orders(1, broken("Inventory/ReserveStock")),
        repair=mended,
        within=timedelta(hours=2),
    ),
    "canary-orders-are-overdue": Failure(
        canaries_are_slow, repair=mended, within=timedelta(hours=1), quiet=timedelta(hours=2)
    ),
    "a-schedule-cannot-deliver": Failure(
        orders(0, broken("Orders/SweepOrders/Queue", "gone"), minutes=32),
        "shipping WatchDeadline",
        repair=mended,
        body=lambda _: '{"detail": {}}',
    ),
    "an-execution-waits-to-be-redriven": Failure(
        a_refund_fails,
        repair=mended,
        diagnosis=2,
        values=execution_of_a_return,
        within=timedelta(hours=6),
    ),
    "nobody-looks-at-a-return": Failure(nobody_decides, within=HALF_A_DAY),
    "orders-are-rejected": Failure(orders(21, token="tok_decline", minutes=4.65, rounds=3)),
    "orders-wait-for-their-confirmation": Failure(checkouts_are_slow, quiet=EVALUATION),
    "notifications-are-late": Failure(messages_are_slow, quiet=EVALUATION),
    "shipments-are-overdue": Failure(parcels_are_overdue, within=HALF_A_DAY),
    "a-parcel-cannot-be-delivered": Failure(a_parcel_comes_back),
    "stray-objects-in-the-suppliers-bucket": Failure(
        an_object_goes_astray,
        values=lambda shop, _: {
            "$BUCKET/KEY": "$BUCKET/Incoming/stock.csv",
            "incoming/SUPPLIER/NAME": key_of_a_file(shop).replace(".csv", "-again.csv"),
        },
    ),
    "a-price-waits-for-approval": Failure(
        a_price_doubles, values=lambda _, __: {"STOCK#SKU": "STOCK#DEAR"}
    ),
    "recalls-come-too-late": Failure(recalls_are_late),
    "call-backs-are-refused": Failure(somebody_forges_callbacks),
    "authorizations-expire": Failure(an_authorization_ends, within=HALF_A_DAY),
    "a-parcel-is-not-paid": Failure(a_parcel_leaves_too_late),
    "a-payment-is-disputed": Failure(
        provider_reports("charge.dispute.created", amount=1, status="needs_response")
    ),
    "a-refund-was-made-outside-the-shop": Failure(
        provider_reports("charge.refunded", captured=True, amount_refunded=10**6)
    ),
    "a-refund-failed": Failure(
        provider_reports("refund.failed", amount=1, status="failed", failure_reason="lost")
    ),
}


def test_each_page_has_a_failure() -> None:
    assert FAILURES.keys() | OF_ONE_BUS == SECTIONS.keys()


@pytest.mark.parametrize("page", FAILURES)
def test_the_commands_of_a_page_work_after_its_failure_until_all_is_done(
    shop: Shop, page: str, aws: str, tmp_path: Path
) -> None:
    work_through(page, FAILURES[page], shop, aws, tmp_path)


def work_through(page: str, failure: Failure, shop: Shop, aws: str, tmp_path: Path) -> None:
    """Lets a failure happen, and follows its page."""
    failure.happens(shop)
    await_alarm(shop, page, failure.within)
    desk = lay_out(tmp_path)
    (desk / "body.json").write_text(failure.body(shop))
    with Shell(desk, shop.rehearsal, aws) as shell:
        follow(page, failure, shop, shell)


def await_alarm(shop: Shop, page: str, within: timedelta) -> None:
    """Lets time pass until an alarm of a page fires."""
    client = shop.rehearsal.client("cloudwatch")
    for _ in range(int(within / STEP)):
        pages = client.get_paginator("describe_alarms").paginate(StateValue="ALARM")
        for alarm in (each for found in pages for each in found["MetricAlarms"]):
            if alarm["AlarmDescription"].endswith(f"#{page}"):
                return
        shop.pass_time(minutes=STEP / timedelta(minutes=1))
    raise AssertionError(f"no alarm leads to {page}")


def follow(page: str, failure: Failure, shop: Shop, shell: Shell) -> None:
    """Runs the commands of a page, and checks that its alarms fire before and not afterwards."""
    context, consumer = failure.consumer.split()
    printed = ""

    def run(block: str) -> str:
        values = {
            "STAGE=prod": "STAGE=dev",
            "CONTEXT=checkout CONSUMER=RunCheckout": f"CONTEXT={context} CONSUMER={consumer}",
            **failure.values(shop, printed),
        }
        for placeholder, value in values.items():
            block = block.replace(placeholder, value)
        return shell.run(block)

    for block in PREPARATION:
        run(block)
    done = f"firing {page}"
    assert shell.run(done).split(), "no alarm fires"
    commands = blocks(SECTIONS[page])
    for number, block in enumerate(commands):
        if number == failure.diagnosis:
            failure.repair(shop)
        printed += run(block)
    if failure.diagnosis >= len(commands):
        failure.repair(shop)
    shop.rehearsal.run_for(failure.quiet.total_seconds())
    assert done in inline(SECTIONS[page].rpartition("Done when")[2])
    assert shell.run(done).split() == []
