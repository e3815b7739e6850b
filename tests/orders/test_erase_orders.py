"""Erasing the personal data of a customer's orders: all of them, once no order is open."""

from collections.abc import Callable

import pytest

from lambdas.orders import check_orders, erase_orders
from lambdas.orders.personal_data import OrdersOpen
from lambdas.privacy.events import ErasureRequested
from lambdas.returns.events import (
    OrderReturned,
    RefusalReason,
    ReturnReason,
    ReturnRefused,
    ReturnRequested,
)
from lambdas.shipping.events import OrderDelivered, OrderShipped
from tests.orders.context import Orders
from tests.support.messages import CONTEXT, enveloped, task_input

PROOF = {"context": "orders", "kinds": ("Address", "PaymentMethod")}


def erasure(customer: str = "customer-1") -> dict[str, object]:
    event = ErasureRequested(customer_id=customer, erasure_id="erasure-1")
    return task_input(enveloped(event))


def confirmed(orders: Orders) -> str:
    order_id = orders.an_order()
    orders.confirm()
    return order_id


def shipped(orders: Orders) -> str:
    order_id = confirmed(orders)
    orders.receive(OrderShipped(order_id=order_id))
    return order_id


def delivered(orders: Orders) -> str:
    order_id = confirmed(orders)
    orders.receive(OrderDelivered(order_id=order_id))
    return order_id


def returning(orders: Orders) -> str:
    order_id = delivered(orders)
    orders.receive(
        ReturnRequested(order_id=order_id, customer_id="customer-1", reason=ReturnReason.DEFECTIVE)
    )
    return order_id


def returned(orders: Orders) -> str:
    order_id = returning(orders)
    orders.receive(OrderReturned(order_id=order_id, customer_id="customer-1"))
    return order_id


def return_refused(orders: Orders) -> str:
    order_id = returning(orders)
    orders.receive(
        ReturnRefused(order_id=order_id, customer_id="customer-1", reason=RefusalReason.USED)
    )
    return order_id


def cancelled(orders: Orders) -> str:
    order_id = confirmed(orders)
    orders.cancel(order_id)
    return order_id


@pytest.mark.parametrize("step", [check_orders, erase_orders])
@pytest.mark.parametrize("way", [Orders.an_order, confirmed, shipped, returning])
def test_nothing_is_erased_while_an_order_or_a_return_is_open(
    orders: Orders, way: Callable[[Orders], str], step: object
) -> None:
    way(orders)
    before = orders.vault.items()
    with pytest.raises(OrdersOpen, match=r"^orders_open$"):
        step.handler(erasure(), CONTEXT)  # type: ignore[attr-defined]
    assert orders.vault.items() == before


@pytest.mark.parametrize("way", [delivered, returned, return_refused, cancelled])
def test_the_data_of_orders_that_have_ended_are_erased(
    orders: Orders, way: Callable[[Orders], str]
) -> None:
    order_id = way(orders)
    assert check_orders.handler(erasure(), CONTEXT) is None
    assert erase_orders.handler(erasure(), CONTEXT) == PROOF
    assert orders.vault.items() == []
    assert orders.get(order_id).json["shipping_address"] is None


def test_all_orders_of_the_customer_are_found_and_those_of_others_stay(orders: Orders) -> None:
    orders.priced()
    for number in range(120):
        order_id = orders.place(key=f"key-{number}").json["order_id"]
        orders.cancel(order_id)
    orders.place(caller="customer-2")
    assert erase_orders.handler(erasure(), CONTEXT) == PROOF
    assert {item["pk"] for item in orders.vault.items()} == {
        "Address#customer-2",
        "PaymentMethod#customer-2",
    }


def test_one_open_order_among_many_is_found(orders: Orders) -> None:
    orders.priced()
    for number in range(120):
        order_id = orders.place(key=f"key-{number}").json["order_id"]
        if number != 60:
            orders.cancel(order_id)
    with pytest.raises(OrdersOpen):
        check_orders.handler(erasure(), CONTEXT)


def test_a_customer_without_orders_has_nothing_to_erase(orders: Orders) -> None:
    assert check_orders.handler(erasure("nobody"), CONTEXT) is None
    assert erase_orders.handler(erasure("nobody"), CONTEXT) == PROOF


def test_erasing_again_changes_nothing(orders: Orders) -> None:
    delivered(orders)
    assert erase_orders.handler(erasure(), CONTEXT) == erase_orders.handler(erasure(), CONTEXT)
