"""Transient failures of each handler, before it did anything or after it did everything."""

from typing import Literal

import pytest

from tests.flows.shop import Broken, Shop, place_some_orders

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
    "Inventory/ReleaseClosedOrder/Function",
    "Payments/RefundClosedOrder/Function",
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_that_fails_twice_does_not_change_the_final_result(
    shop: Shop, handler: str, when: Literal["before", "after"]
) -> None:
    before = shop.statuses()
    shop.rehearsal.faults.fail(handler, times=2, error=Broken("in passing"), when=when)
    place_some_orders(shop)
    shop.settle()

    shop.assert_books_balance()
    ended = shop.statuses() - before
    assert ended.total() == 4
    assert ended.keys() <= {"confirmed", "rejected"}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handler", CANCELLATION)
def test_a_cancellation_that_fails_twice_takes_effect_once(
    shop: Shop, handler: str, when: Literal["before", "after"]
) -> None:
    shop.receive({"MUG": 3})
    order_id = shop.place({"MUG": 1})
    shop.settle()
    before = shop.published()
    shop.rehearsal.faults.fail(handler, times=2, error=Broken("in passing"), when=when)

    shop.cancel(order_id)
    shop.settle()

    shop.assert_books_balance()
    assert shop.stock()["MUG"] == (3, 0)
    assert shop.published() - before == {
        "OrderCancelled.v1": 1,
        "PaymentReleased.v1": 1,
        "ShipmentRecalled.v1": 1,
        "StockReleased.v1": 1,
    }
