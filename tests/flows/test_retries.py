"""Each handler fails in passing: before it did anything, and after it did everything."""

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
def test_handler_that_fails_twice_changes_nothing_in_the_end(
    busy_shop: Shop, handler: str, when: Literal["before", "after"]
) -> None:
    faults = busy_shop.rehearsal.faults
    faults.clear()
    faults.fail(handler, times=2, error=Broken("in passing"), when=when)

    place_some_orders(busy_shop, f"{handler}-{when}")
    busy_shop.settle()

    assert busy_shop.statuses().keys() <= {"confirmed", "rejected", "cancelled"}
    busy_shop.assert_books_balance()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handler", CANCELLATION)
def test_cancellation_that_fails_twice_is_carried_out_once(
    busy_shop: Shop, handler: str, when: Literal["before", "after"]
) -> None:
    name = f"{handler}-{when}"
    faults = busy_shop.rehearsal.faults
    faults.clear()
    busy_shop.receive({name: 3}, delivery=name)
    order_id = busy_shop.place({name: 1}, key=name)
    busy_shop.settle()
    before = busy_shop.published()
    faults.fail(handler, times=2, error=Broken("in passing"), when=when)

    busy_shop.cancel(order_id)
    busy_shop.settle()

    assert busy_shop.stock()[name] == (3, 0)
    published = busy_shop.published() - before
    assert published == {
        "OrderCancelled.v1": 1,
        "PaymentRefunded.v1": 1,
        "ShipmentRecalled.v1": 1,
        "StockReleased.v1": 1,
    }
    busy_shop.assert_books_balance()
