"""Each handler fails in passing: before it did anything, and after it did everything."""

from collections import Counter
from typing import Literal

import pytest

from tests.flows.shop import Broken, Shop, place_some_orders
from tests.support.forks import in_a_fork

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


@pytest.fixture(scope="module")
def warm_shop(busy_shop: Shop) -> Shop:
    """A shop whose functions are warm: each fork would have to start all of them otherwise."""
    place_some_orders(busy_shop, "first")
    order_id = busy_shop.place({"CUP-first": 1}, key="first")
    busy_shop.settle()
    busy_shop.cancel(order_id)
    busy_shop.settle()
    busy_shop.assert_books_balance()
    return busy_shop


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_handler_that_fails_twice_changes_nothing_in_the_end(
    warm_shop: Shop, handler: str, when: Literal["before", "after"]
) -> None:
    def orders_of_which_some_fail() -> set[str]:
        warm_shop.rehearsal.faults.fail(handler, times=2, error=Broken("in passing"), when=when)
        place_some_orders(warm_shop)
        warm_shop.settle()
        warm_shop.assert_books_balance()
        return {*warm_shop.statuses()}

    assert in_a_fork(orders_of_which_some_fail) <= {"confirmed", "rejected", "cancelled"}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handler", CANCELLATION)
def test_cancellation_that_fails_twice_is_carried_out_once(
    warm_shop: Shop, handler: str, when: Literal["before", "after"]
) -> None:
    def cancel_one() -> tuple[tuple[int, int], Counter[str]]:
        warm_shop.receive({"MUG": 3})
        order_id = warm_shop.place({"MUG": 1})
        warm_shop.settle()
        before = warm_shop.published()
        warm_shop.rehearsal.faults.fail(handler, times=2, error=Broken("in passing"), when=when)

        warm_shop.cancel(order_id)
        warm_shop.settle()

        warm_shop.assert_books_balance()
        return warm_shop.stock()["MUG"], warm_shop.published() - before

    stock, published = in_a_fork(cancel_one)
    assert stock == (3, 0)
    assert published == {
        "OrderCancelled.v1": 1,
        "PaymentRefunded.v1": 1,
        "ShipmentRecalled.v1": 1,
        "StockReleased.v1": 1,
    }
