"""The carrier's edge of stage `prod`, with the real client: whatever breaks there, one label."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from cdk_rehearsal import Response
from tests.flows.shop import Shop
from tools.demo.carrier import EasyPostLedger, callback, carrier_secret, send_callback

Fault = Callable[[Shop, Callable[[], Response]], Response]
_SILENCE_S = 60.0
"""Longer than each timeout of the client."""


def host(shop: Shop) -> EasyPostLedger:
    assert isinstance(shop.carrier, EasyPostLedger)
    return shop.carrier


def silent(shop: Shop, answer: Callable[[], Response]) -> Response:
    shop.rehearsal.scheduler.sleep(_SILENCE_S)
    return 204, {}, ""


def silent_after_the_effect(shop: Shop, answer: Callable[[], Response]) -> Response:
    answer()
    return silent(shop, answer)


def answering(status: int, body: str = "") -> Fault:
    return lambda shop, answer: (status, {}, body)


def answering_after_the_effect(status: int, body: str = "") -> Fault:
    def fail(shop: Shop, answer: Callable[[], Response]) -> Response:
        answer()
        return status, {}, body

    return fail


FAULTS: dict[str, Fault] = {
    "timeout before the effect": silent,
    "timeout after the effect": silent_after_the_effect,
    "429": answering(429),
    "500 before the effect": answering(500),
    "500 after the effect": answering_after_the_effect(500),
    "malformed body": answering_after_the_effect(200, "<html>"),
}


def assert_one_label(shop: Shop, order_id: str) -> None:
    assert host(shop).labels()[order_id] == 1
    assert not shop.parked()


@pytest.mark.parametrize("operation", ["open", "find", "buy"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_a_request_delays_the_label_and_buys_no_second_one(
    shop: Shop, operation: str, fault: str
) -> None:
    host(shop).fail(operation, lambda answer: FAULTS[fault](shop, answer))
    order_id = shop.place({"MUG": 1})
    shop.settle()
    assert shop.shipment(order_id) == "requested"
    assert_one_label(shop, order_id)
    shop.deliver(order_id)
    shop.settle()
    assert shop.status(order_id) == "delivered"
    assert shop.payment(order_id) == "captured"


@pytest.mark.parametrize("operation", ["find", "refund"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_a_recall_delays_the_refund_of_the_label(
    shop: Shop, operation: str, fault: str
) -> None:
    order_id = shop.place({"MUG": 1})
    shop.settle()
    host(shop).fail(operation, lambda answer: FAULTS[fault](shop, answer))
    assert shop.cancel(order_id).status == 200
    shop.settle()
    assert shop.shipment(order_id) == "recalled"
    assert host(shop).states()[order_id] == "recalled"
    assert_one_label(shop, order_id)


def test_while_the_certificate_is_invalid_nothing_is_sent_and_a_redrive_sends_it(
    shop: Shop,
) -> None:
    web_host = host(shop).host
    web_host.name = "another.example"
    order_id = shop.place({"MUG": 1})
    shop.settle()
    assert web_host.requests == []
    assert list(shop.parked()) == ["Shipping/RequestShipment/DeadLetters"]
    web_host.name = "api.easypost.com"
    shop.pass_days(5)
    shop.redrive()
    assert shop.shipment(order_id) == "requested"
    assert_one_label(shop, order_id)


def test_a_replay_after_thirty_days_buys_no_second_label(shop: Shop) -> None:
    order_id = shop.place({"MUG": 1})
    shop.settle()
    shop.deliver(order_id)
    shop.settle()
    shop.pass_days(30)
    shop.replay("Shipping/RequestShipment")
    shop.settle()
    assert shop.status(order_id) == "delivered"
    assert_one_label(shop, order_id)


def test_a_webhook_counts_once_and_only_if_it_is_signed_and_recent(shop: Shop) -> None:
    order_id = shop.place({"MUG": 1})
    shop.settle()
    tracking_id = shop.tracking_id(order_id)
    body = callback(host(shop).parcel_id(order_id), tracking_id, "picked_up", "evt_1")
    secret = carrier_secret(shop.rehearsal)
    now = datetime.now(UTC)
    for forged, at in (("a guess", now), (secret, now - timedelta(minutes=6))):
        answer = send_callback(shop.rehearsal, body, forged, at=at)
        assert (answer.status, answer.json()["code"]) == (401, "forged")
    assert shop.shipment(order_id) == "requested"

    answers = [send_callback(shop.rehearsal, body, secret).status for _ in range(2)]
    shop.settle()
    assert answers == [200, 200]
    shipped = shop.on_bus("OrderShipped.v1", subject=order_id)
    assert len(shipped) == 1

    # EasyPost repeats an event hours later, signed again.
    shop.pass_time(hours=20)
    assert send_callback(shop.rehearsal, body, secret).status == 200
    assert len(shop.on_bus("OrderShipped.v1", subject=order_id)) == 1


def test_while_the_carrier_does_not_answer_a_webhook_is_to_be_sent_again(shop: Shop) -> None:
    order_id = shop.place({"MUG": 1})
    shop.settle()
    for fault in FAULTS.values():
        host(shop).fail("find", lambda answer, fault=fault: fault(shop, answer))  # type: ignore[misc]
        assert shop.report(order_id, "picked_up").status == 503
    assert shop.report(order_id, "picked_up").status == 200
    shop.settle()
    assert shop.status(order_id) == "shipped"


def test_an_order_cancelled_as_its_parcel_leaves_is_refunded_and_its_parcel_goes_on(
    shop: Shop,
) -> None:
    order_id = shop.place({"MUG": 1})
    shop.settle()
    host(shop).move(order_id, "picked_up")  # The callback is late.
    assert shop.cancel(order_id).status == 200
    shop.settle()
    assert shop.shipment(order_id) == "shipped"
    assert [event.subject for event in shop.on_bus("OrderShipped.v1")] == [order_id]
    assert not shop.on_bus("ShipmentRecalled.v1")
    assert shop.status(order_id) == "cancelled"
    assert_one_label(shop, order_id)
