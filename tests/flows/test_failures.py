"""What fails, what goes on meanwhile, and how everything comes back."""

import json

import pytest

from tests.flows.shop import FOREVER, Shop

HANDLERS = [
    "Checkout/RunCheckout/Function",
    "Inventory/ReserveStock",
    "Inventory/ReleaseStock",
    "Inventory/Stock/Relay",
    "Orders/ConfirmOrder",
    "Orders/KeepPriceList/Function",
    "Orders/Orders/Relay",
    "Orders/RejectOrder",
    "Payments/AuthorizePayment",
    "Payments/Payments/Relay",
    "Payments/RefundPayment",
]
CANCELLATION = [
    "Inventory/ReleaseCancelledOrder/Function",
    "Payments/RefundCancelledOrder/Function",
]


class Broken(Exception):
    """What a test makes a handler raise."""


def _some_orders(shop: Shop) -> None:
    shop.receive({"MUG": 3, "CUP": 50})
    for number, token in enumerate(["tok_approve", "tok_decline", "tok_flaky_1"] * 2):
        shop.place({"MUG": 1, "CUP": 2}, key=f"key-{number}", token=token)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_handler_that_fails_twice_changes_nothing_in_the_end(
    shop: Shop, handler: str, when: str
) -> None:
    shop.rehearsal.faults.fail(handler, times=2, error=Broken("in passing"), when=when)

    _some_orders(shop)
    shop.settle()

    assert shop.statuses().keys() <= {"confirmed", "rejected"}
    shop.assert_books_balance()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handler", CANCELLATION)
def test_cancellation_that_fails_twice_is_carried_out_once(
    shop: Shop, handler: str, when: str
) -> None:
    shop.receive({"MUG": 3})
    order_id = shop.place({"MUG": 1})
    shop.settle()
    shop.rehearsal.faults.fail(handler, times=2, error=Broken("in passing"), when=when)

    shop.cancel(order_id)
    shop.settle()

    assert shop.stock() == {"MUG": (3, 0)}
    assert shop.published()["PaymentRefunded.v1"] == 1
    shop.assert_books_balance()


def test_checkout_that_is_down_leaves_the_shop_open_and_catches_up(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    shop.rehearsal.faults.fail("Inventory/ReserveStock", times=FOREVER, error=Broken("down"))
    orders = [shop.place({"MUG": 1}, key=f"key-{number}") for number in range(3)]
    shop.settle()

    assert shop.parked() == {"Checkout/RunCheckout/DeadLetters": 3}
    assert [shop.status(order_id) for order_id in orders] == ["placed"] * 3
    shop.receive({"CUP": 1}, delivery="meanwhile")
    assert shop.stock() == {"MUG": (10, 0), "CUP": (1, 0)}

    shop.rehearsal.faults.clear()
    shop.redrive()

    assert [shop.status(order_id) for order_id in orders] == ["confirmed"] * 3
    shop.assert_books_balance()


def test_everything_delivered_twice_happens_once(shop: Shop) -> None:
    _some_orders(shop)
    shop.settle()
    before = shop.stock(), shop.held(), shop.statuses()
    outbox = [
        item
        for table in ("Orders/Orders", "Inventory/Stock", "Payments/Payments")
        for item in shop.items(f"{table}/Table", "outbox")
    ]
    bus = shop.rehearsal.client("events")
    for item in outbox:
        entry = {
            "EventBusName": shop.rehearsal.physical_id("Backbone/Bus"),
            "Source": item["source"],
            "DetailType": item["detail_type"],
            "Detail": item["detail"],
        }
        assert bus.put_events(Entries=[entry])["FailedEntryCount"] == 0
    shop.settle()

    assert (shop.stock(), shop.held(), shop.statuses()) == before
    shop.assert_books_balance()


def test_poison_is_parked_at_once_and_holds_up_nobody(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    queue = shop.rehearsal.physical_id("Checkout/RunCheckout/Queue")
    sqs = shop.rehearsal.client("sqs")
    for poison in ("not JSON", json.dumps({"detail": {"type": "OrderPlaced.v1"}})):
        sqs.send_message(QueueUrl=queue, MessageBody=poison)
    order_id = shop.place({"MUG": 1})
    started = shop.rehearsal.clock.now()
    shop.settle()

    assert shop.status(order_id) == "confirmed"
    parked = shop.rehearsal.messages("Checkout/RunCheckout/DeadLetters")
    assert min(message["body"] for message in parked) == "not JSON"
    assert len(parked) == 2
    assert all("checkout.run_checkout cannot read it" in str(message) for message in parked)
    assert shop.rehearsal.clock.now() - started < 60
