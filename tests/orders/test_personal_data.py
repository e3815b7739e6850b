"""Personal data of orders: in the vault for as long as they are needed, and nowhere else."""

import msgspec
import pytest

from lambdas.eventing.personal import Claim
from lambdas.orders.domain import ADDRESS_DAYS, PAYMENT_METHOD_DAYS, UNFINISHED_DAYS
from lambdas.orders.events import Address, OrderConfirmed, PaymentMethod
from lambdas.returns.events import OrderReturned
from lambdas.shipping.events import OrderDelivered, OrderShipped
from stacks.environment import DEAD_LETTER_DAYS, QUEUE_DAYS
from tests.orders.context import Orders
from tests.orders.test_sweep_orders import later
from tests.support.cloud import Commits, Crash, crash
from tests.support.orders import ADDRESS

ON_FILE = msgspec.to_builtins(ADDRESS)


def kept(orders: Orders) -> set[str]:
    return set(orders.vault.kept())


def test_a_placed_order_deposits_its_address_and_its_means_of_payment(orders: Orders) -> None:
    order_id = orders.an_order()
    assert orders.vault.kept() == {"Address": ON_FILE, "PaymentMethod": {"token": "tok_approve"}}
    assert {(item["pk"], item["sk"]) for item in orders.vault.items()} == {
        ("Address#customer-1", order_id),
        ("PaymentMethod#customer-1", order_id),
    }
    assert orders.vault.days(Address) == UNFINISHED_DAYS
    assert orders.vault.days(PaymentMethod) == PAYMENT_METHOD_DAYS


def test_neither_the_order_nor_its_events_have_personal_data(orders: Orders) -> None:
    orders.an_order()
    orders.confirm()
    stored = str(orders.table.items())
    for value in (*ON_FILE.values(), "tok_approve"):
        assert value not in stored


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_order_its_event_and_its_data_are_committed_together(
    orders: Orders, commits: Commits, when: str
) -> None:
    orders.priced()
    getattr(commits, when)(1, crash)
    with pytest.raises(Crash):
        orders.place()
    stored = len(orders.table.items("order")), len(orders.table.items("outbox")), len(kept(orders))
    assert stored == ((0, 0, 0) if when == "before" else (1, 1, 2))


def test_a_repeated_request_deposits_nothing_again(orders: Orders) -> None:
    orders.an_order()
    orders.confirm()
    assert orders.place().status == 202
    assert kept(orders) == {"Address"}


@pytest.mark.parametrize("end", ["confirm", "reject", "cancel", "sweep"])
def test_the_means_of_payment_is_deleted_in_the_step_that_ends_the_checkout(
    orders: Orders, end: str
) -> None:
    order_id = orders.an_order()
    with later(hours=2):
        getattr(orders, end)(*([order_id] if end == "cancel" else []))
    assert kept(orders) == {"Address"}


@pytest.mark.parametrize("end", ["reject", "cancel", "sweep"])
def test_the_address_of_an_order_that_is_closed_is_kept_for_a_while(
    orders: Orders, end: str
) -> None:
    order_id = orders.an_order()
    getattr(orders, end)(*([order_id] if end == "cancel" else []))
    if end == "sweep":
        with later(hours=2):
            orders.sweep()
            assert orders.vault.days(Address) == ADDRESS_DAYS
    else:
        assert orders.vault.days(Address) == ADDRESS_DAYS


def test_the_address_is_kept_until_some_time_after_the_delivery(orders: Orders) -> None:
    order_id = orders.an_order()
    orders.confirm()
    orders.receive(OrderShipped(order_id=order_id))
    assert orders.vault.days(Address) == UNFINISHED_DAYS
    orders.receive(OrderDelivered(order_id=order_id))
    assert orders.vault.days(Address) == ADDRESS_DAYS


def test_a_return_does_not_prolong_the_period(orders: Orders) -> None:
    order_id = orders.an_order()
    orders.confirm()
    orders.receive(OrderDelivered(order_id=order_id))
    with later(days=20):
        orders.receive(OrderReturned(order_id=order_id, customer_id="customer-1"))
        assert orders.vault.days(Address) == ADDRESS_DAYS - 20


def test_customers_see_the_address_until_it_is_deleted(orders: Orders) -> None:
    order_id = orders.an_order()
    orders.confirm()
    orders.receive(OrderDelivered(order_id=order_id))
    assert orders.get(order_id).json["shipping_address"] == ON_FILE
    with later(days=ADDRESS_DAYS + 1):
        assert orders.get(order_id).json["shipping_address"] is None
        assert orders.cancel(order_id).status == 409


def test_the_means_of_payment_outlasts_its_message_in_both_queues() -> None:
    assert PAYMENT_METHOD_DAYS > QUEUE_DAYS + DEAD_LETTER_DAYS


class TestOrdersOfEarlierReleases:
    """Their items have the address, and the vault does not."""

    @pytest.fixture
    def order_id(self, orders: Orders) -> str:
        order_id = orders.an_order()
        order = {**orders.table.one("order"), "shipping_address": ON_FILE}
        orders.table.put(order)
        orders.vault.clear()
        return order_id

    def test_customers_see_the_address(self, orders: Orders, order_id: str) -> None:
        assert orders.get(order_id).json["shipping_address"] == ON_FILE

    def test_the_vault_has_the_address_when_shipping_needs_it(
        self, orders: Orders, order_id: str
    ) -> None:
        orders.confirm()
        assert orders.table.events(OrderConfirmed)[0].claim == Claim(
            person="customer-1", purpose=order_id
        )
        assert orders.vault.kept() == {"Address": ON_FILE}
