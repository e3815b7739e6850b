"""Failures: what continues in the meantime, and how everything recovers."""

import json

from tests.flows.shop import FOREVER, Broken, Shop, place_some_orders


def test_while_the_checkout_is_down_the_shop_stays_open_and_later_catches_up(shop: Shop) -> None:
    shop.receive({"STUCK": 10}, delivery="stuck")
    shop.rehearsal.faults.fail("Inventory/ReserveStock", times=FOREVER, error=Broken("down"))
    orders = [shop.place({"STUCK": 1}, key=f"stuck-{number}") for number in range(3)]
    shop.settle()

    assert shop.parked() == {"Checkout/RunCheckout/DeadLetters": 3}
    assert [shop.status(order_id) for order_id in orders] == ["placed"] * 3
    shop.receive({"OTHER": 1}, delivery="meanwhile")
    stock = shop.stock()
    assert (stock["STUCK"], stock["OTHER"]) == ((10, 0), (1, 0))

    shop.rehearsal.faults.clear()
    shop.redrive()

    assert [shop.status(order_id) for order_id in orders] == ["confirmed"] * 3
    shop.assert_books_balance()


def test_events_delivered_twice_take_effect_once(shop: Shop) -> None:
    place_some_orders(shop)
    shop.settle()
    before = shop.stock(), shop.held(), shop.statuses()
    shop.tell_again()

    assert (shop.stock(), shop.held(), shop.statuses()) == before
    shop.assert_books_balance()


def test_a_poison_message_is_parked_at_once_and_delays_no_other(shop: Shop) -> None:
    shop.receive({"HEALTHY": 10}, delivery="healthy")
    sqs = shop.rehearsal.client("sqs")
    queue, dead_letters = (
        shop.rehearsal.physical_id(f"Checkout/RunCheckout/{name}")
        for name in ("Queue", "DeadLetters")
    )
    for poison in ("not JSON", json.dumps({"detail": {"type": "OrderPlaced.v2"}})):
        sqs.send_message(QueueUrl=queue, MessageBody=poison)
    order_id = shop.place({"HEALTHY": 1}, key="healthy")
    started = shop.rehearsal.clock.now()
    shop.settle()

    assert shop.status(order_id) == "confirmed"
    parked = shop.rehearsal.messages("Checkout/RunCheckout/DeadLetters")
    assert min(message["body"] for message in parked) == "not JSON"
    assert len(parked) == 2
    assert all("checkout.run_checkout cannot read it" in str(message) for message in parked)
    # No message waits for a visibility timeout: the last step is the end of the sales window.
    assert shop.rehearsal.clock.now() - started < 150
    sqs.purge_queue(QueueUrl=dead_letters)
    shop.assert_books_balance()
