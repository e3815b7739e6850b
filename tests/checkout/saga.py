"""The checkout, step by step: the synthesized workflow with the real tasks of all contexts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine

from cdk_rehearsal import Assembly
from lambdas.eventing.event import Cause, CloudEvent
from lambdas.inventory import release_closed_order, stock_store
from lambdas.inventory import settings as inventory_settings
from lambdas.inventory.domain import ReceivedItem
from lambdas.orders import cancel_order, sweep_orders
from lambdas.orders import settings as orders_settings
from lambdas.orders.domain import Order
from lambdas.orders.events import OrderCancelled, OrderExpired, OrderPlaced, PaymentMethod, SweepDue
from lambdas.orders.order_store import place
from lambdas.payments import refund_closed_order
from lambdas.payments import settings as payments_settings
from lambdas.shipping.events import ShipmentRecalled
from tests.inventory import context as inventory_context
from tests.orders import context as orders_context
from tests.payments import context as payments_context
from tests.support.cloud import Cloud, Table, Vault
from tests.support.messages import CONTEXT, Call, batch, enveloped, failed, task_input
from tests.support.orders import ADDRESS, line, placed
from tests.support.workflow import Workflow

ORDER = "00000000-0000-4000-8000-000000000001"


@dataclass
class Saga:
    """One order, and all processes that can run for it at the same time."""

    assembly: Assembly
    cloud: Cloud
    token: str = "tok_approve"
    units: int = 1
    """The stock of the only item."""
    vault: Vault = field(init=False)
    orders: Table = field(init=False)
    stock: Table = field(init=False)
    payments: Table = field(init=False)
    provider_table: Table = field(init=False)
    event: CloudEvent = field(init=False)
    delivered: bool = False
    """Whether the parcel of a cancelled order was delivered."""

    def __post_init__(self) -> None:
        self.vault = self.cloud.vault()
        parking = self.cloud.queue("parking").url
        self.cloud.configure({"DEAD_LETTER_QUEUE_URL": parking})
        for settings, read in (
            (orders_context.SETTINGS, orders_settings.settings),
            (inventory_context.SETTINGS, inventory_settings.settings),
            (payments_context.SETTINGS, payments_settings.settings),
        ):
            for name, value in settings.as_environment().items():
                self.cloud.monkeypatch.setenv(name, value)
            read()
        self.orders = self.cloud.table(orders_context.SETTINGS.table_name, pending_index=True)
        self.stock = self.cloud.table(inventory_context.SETTINGS.table_name)
        self.payments = self.cloud.table(payments_context.SETTINGS.table_name)
        self.provider_table = self.cloud.table(
            payments_context.SETTINGS.provider_resource, sort_key=False
        )
        key = {"pk": "STOCK#MUG", "sk": "STOCK"}
        amounts = {"received": self.units, "available": self.units, "reserved": 0}
        self.stock.put({**key, **amounts, "kind": "stock", "price_revision": 1})
        self._place()

    def _place(self) -> None:
        event = placed(line(), order_id=ORDER)
        self.event = enveloped(event)
        payment = PaymentMethod(token=self.token)
        new = Order.place(event, ADDRESS, payment, "of the request", self.event.time)
        place(new, self.event.deliver_to("test", (OrderPlaced,)))

    def checkout(self) -> Iterator[str]:
        """Runs the workflow; yields the name of a task before each attempt."""
        workflow = Workflow(self.assembly, self.assembly.at("Checkout/Workflow"))
        yield from workflow.run(task_input(self.event))

    def cancellation(self) -> Iterator[str]:
        """A customer cancels, and the other contexts receive the event."""
        yield "CancelOrder"
        Call(route="DELETE /orders/{order_id}", path={"order_id": ORDER}).send(cancel_order.handler)
        yield from self._release()
        yield from self._recall()

    def late_cancellation(self) -> Iterator[str]:
        """A customer cancels, who already has the parcel if the order was confirmed."""
        yield "CancelOrder"
        Call(route="DELETE /orders/{order_id}", path={"order_id": ORDER}).send(cancel_order.handler)
        yield from self._release()
        if self._cancelled_late:
            self.delivered = True

    def expiry(self) -> Iterator[str]:
        """The sweeper expires the order after two hours, and the other contexts get the event."""
        yield "SweepOrders"
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
            sweep = batch(enveloped(SweepDue()))
            assert failed(sweep_orders.handler(sweep, CONTEXT)) == []
        yield from self._release()

    def _release(self) -> Iterator[str]:
        for consumer in (release_closed_order.handler, refund_closed_order.handler):
            for envelope in self.orders.envelopes(OrderCancelled, OrderExpired):
                yield envelope.type
                assert failed(consumer(batch(envelope), CONTEXT)) == []

    @property
    def _cancelled_late(self) -> bool:
        """Whether the order was confirmed when it was cancelled, so that it had a parcel."""
        return any(event.confirmed for event in self.orders.events(OrderCancelled))

    def _recall(self) -> Iterator[str]:
        """Shipping recalls the parcel of a cancelled order, if it had one."""
        if self._cancelled_late:
            yield "RecallShipment"
            recalled = batch(enveloped(ShipmentRecalled(order_id=ORDER)))
            assert failed(release_closed_order.handler(recalled, CONTEXT)) == []

    def restock(self) -> Iterator[str]:
        """A unit is received."""
        yield "ImportStockFile"
        item = ReceivedItem(sku="MUG", quantity=1, unit_cost_minor=800, currency="EUR")
        stock_store.receive_rows(
            [item],
            supplier="north",
            file="file-1",
            uploaded_at=datetime.now(UTC),
            after=0,
            up_to=1,
            cause=Cause(correlation_id="file-1"),
        )

    @property
    def status(self) -> Any:
        """The status of the order."""
        return self.orders.one("order")["status"]

    @property
    def reserved(self) -> int:
        """The reserved units."""
        return sum(item["reserved"] for item in self.stock.items("stock"))

    @property
    def held(self) -> int:
        """Money that the provider holds, in minor units."""
        return sum(
            entry["amount_minor"]
            for entry in self.provider_table.items("authorization")
            if entry.get("status") == "authorized"
        )

    def assert_settled(self) -> None:
        """Asserts that a confirmed order holds stock and money, and any other order neither.

        The exception is a cancelled order that was delivered: its units stay reserved. The vault
        has no means of payment any more.
        """
        assert set(self.vault.kept()) == {"Address"}
        if self.delivered:
            assert (self.status, self.reserved, self.held) == ("cancelled", 1, 0)
        elif self.status == "confirmed":
            assert (self.reserved, self.held) == (1, 1250)
        else:
            assert self.status in {"rejected", "cancelled", "expired"}
            assert (self.reserved, self.held) == (0, 0)
