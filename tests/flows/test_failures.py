"""What fails, what goes on meanwhile, and how everything comes back."""

import json

from tests.flows.shop import FOREVER, Broken, Shop, place_some_orders


def test_checkout_that_is_down_leaves_the_shop_open_and_catches_up(busy_shop: Shop) -> None:
    busy_shop.receive({"STUCK": 10}, delivery="stuck")
    busy_shop.rehearsal.faults.fail("Inventory/ReserveStock", times=FOREVER, error=Broken("down"))
    orders = [busy_shop.place({"STUCK": 1}, key=f"stuck-{number}") for number in range(3)]
    busy_shop.settle()

    assert busy_shop.parked() == {"Checkout/RunCheckout/DeadLetters": 3}
    assert [busy_shop.status(order_id) for order_id in orders] == ["placed"] * 3
    busy_shop.receive({"OTHER": 1}, delivery="meanwhile")
    stock = busy_shop.stock()
    assert (stock["STUCK"], stock["OTHER"]) == ((10, 0), (1, 0))

    busy_shop.rehearsal.faults.clear()
    busy_shop.redrive()

    assert [busy_shop.status(order_id) for order_id in orders] == ["confirmed"] * 3
    busy_shop.assert_books_balance()


def test_everything_delivered_twice_happens_once(busy_shop: Shop) -> None:
    place_some_orders(busy_shop)
    busy_shop.settle()
    before = busy_shop.stock(), busy_shop.held(), busy_shop.statuses()
    busy_shop.tell_again()

    assert (busy_shop.stock(), busy_shop.held(), busy_shop.statuses()) == before
    busy_shop.assert_books_balance()


def test_poison_is_parked_at_once_and_holds_up_nobody(busy_shop: Shop) -> None:
    busy_shop.receive({"HEALTHY": 10}, delivery="healthy")
    sqs = busy_shop.rehearsal.client("sqs")
    queue, dead_letters = (
        busy_shop.rehearsal.physical_id(f"Checkout/RunCheckout/{name}")
        for name in ("Queue", "DeadLetters")
    )
    for poison in ("not JSON", json.dumps({"detail": {"type": "OrderPlaced.v1"}})):
        sqs.send_message(QueueUrl=queue, MessageBody=poison)
    order_id = busy_shop.place({"HEALTHY": 1}, key="healthy")
    started = busy_shop.rehearsal.clock.now()
    busy_shop.settle()

    assert busy_shop.status(order_id) == "confirmed"
    parked = busy_shop.rehearsal.messages("Checkout/RunCheckout/DeadLetters")
    assert min(message["body"] for message in parked) == "not JSON"
    assert len(parked) == 2
    assert all("checkout.run_checkout cannot read it" in str(message) for message in parked)
    # Nothing comes back after a visibility time-out: the last to end is the window of the sales.
    assert busy_shop.rehearsal.clock.now() - started < 150
    sqs.purge_queue(QueueUrl=dead_letters)
    busy_shop.assert_books_balance()
