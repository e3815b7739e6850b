"""The checkout, step by step: the synthesized workflow over the real tasks of all contexts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from lambdas.eventing.event import CloudEvent
from lambdas.inventory import receive_stock, release_cancelled_order
from lambdas.inventory import settings as inventory_settings
from lambdas.orders import cancel_order
from lambdas.orders import settings as orders_settings
from lambdas.orders.domain import Status, fingerprint
from lambdas.orders.events import OrderCancelled, OrderPlaced
from lambdas.orders.order_store import Order, place
from lambdas.payments import refund_cancelled_order
from lambdas.payments import settings as payments_settings
from tests.inventory import context as inventory_context
from tests.orders import context as orders_context
from tests.payments import context as payments_context
from tests.support.assemblies import Assembly
from tests.support.cloud import Cloud, Table
from tests.support.messages import CONTEXT, Call, batch, enveloped, failed, task_input
from tests.support.orders import line, placed

ORDER = "00000000-0000-4000-8000-000000000001"


@dataclass
class Saga:
    """One order, and everything that may happen to it at the same time."""

    assembly: Assembly
    cloud: Cloud
    token: str = "tok_approve"
    units: int = 1
    """What there is of the only item."""
    orders: Table = field(init=False)
    stock: Table = field(init=False)
    payments: Table = field(init=False)
    book: Table = field(init=False)
    event: CloudEvent = field(init=False)

    def __post_init__(self) -> None:
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
        self.orders = self.cloud.table(orders_context.SETTINGS.table_name)
        self.stock = self.cloud.table(inventory_context.SETTINGS.table_name)
        self.payments = self.cloud.table(payments_context.SETTINGS.table_name)
        self.book = self.cloud.table(payments_context.SETTINGS.provider_table_name, sort_key=False)
        key = {"pk": "STOCK#MUG", "sk": "STOCK"}
        amounts = {"received": self.units, "available": self.units, "reserved": 0}
        self.stock.put({**key, **amounts, "kind": "stock", "price_revision": 1})
        self._place()

    def _place(self) -> None:
        event = placed(line(), order_id=ORDER, token=self.token)
        self.event = enveloped(event)
        order = Order(
            order_id=ORDER,
            customer_id=event.customer_id,
            status=Status.PLACED,
            currency=event.currency,
            total_minor=event.total_minor,
            lines=event.lines,
            shipping_address=event.shipping_address,
            placed_at=self.event.time,
            fingerprint=fingerprint(""),
        )
        place(order, event, self.event.deliver_to("test", (OrderPlaced,)))

    def checkout(self) -> Iterator[str]:
        """A run of the workflow; it stops before each attempt of a task, and names it."""
        (machine,) = self.assembly.of_type("AWS::StepFunctions::StateMachine")
        definition = self.assembly.definition(machine)
        states, name = definition["States"], definition["StartAt"]
        state = task_input(self.event)
        attempts: dict[str, int] = {}
        while states[name]["Type"] != "Succeed":
            yield name
            try:
                self._task(states[name])(state, CONTEXT)
            except Exception as error:
                handled = self._handled(states[name], error, attempts)
                if handled is None:
                    raise
                if handled:
                    failure = task_input(self.event, error=type(error).__name__, reason=str(error))
                    state, name = failure, handled
                continue
            name, attempts = states[name]["Next"], {}

    def _task(self, state: dict[str, Any]) -> Any:
        function = self.assembly.at(state["Parameters"]["FunctionName"])
        module, _, attribute = function.properties["Handler"].rpartition(".")
        return getattr(import_module(module), attribute)

    def _handled(
        self, state: dict[str, Any], error: Exception, attempts: dict[str, int]
    ) -> str | None:
        """The state that catches an error; nothing if the task is to be tried again."""
        name = type(error).__name__
        for retrier in state.get("Retry", []):
            if name in retrier["ErrorEquals"] and attempts.get(name, 0) < retrier["MaxAttempts"]:
                attempts[name] = attempts.get(name, 0) + 1
                return ""
        for catcher in state.get("Catch", []):
            if name in catcher["ErrorEquals"]:
                attempts.clear()
                following: str = catcher["Next"]
                return following
        return None

    def cancellation(self) -> Iterator[str]:
        """A customer cancels, and those who hold something hear of it."""
        yield "CancelOrder"
        Call(route="DELETE", path={"order_id": ORDER}).send(cancel_order.handler)
        for consumer in (release_cancelled_order.handler, refund_cancelled_order.handler):
            for envelope in self.orders.envelopes(OrderCancelled):
                yield "OrderCancelled"
                assert failed(consumer(batch(envelope), CONTEXT)) == []

    def restock(self) -> Iterator[str]:
        """A unit comes in."""
        yield "ReceiveStock"
        item = {"sku": "MUG", "quantity": 1, "unit_price_minor": 1250, "currency": "EUR"}
        receive_stock.handler({"delivery_id": "delivery-1", "items": [item]}, CONTEXT)

    @property
    def status(self) -> Any:
        """What became of the order."""
        return self.orders.one("order")["status"]

    @property
    def reserved(self) -> int:
        """Units that are held."""
        return sum(item["reserved"] for item in self.stock.items("stock"))

    @property
    def held(self) -> int:
        """Money that the provider holds, in minor units."""
        return sum(
            entry["amount_minor"]
            for entry in self.book.items("authorization")
            if entry.get("status") == "authorized"
        )

    def assert_settled(self) -> None:
        """A confirmed order has its stock and its money; no other order holds anything."""
        if self.status == "confirmed":
            assert (self.reserved, self.held) == (1, 1250)
        else:
            assert self.status in {"rejected", "cancelled"}
            assert (self.reserved, self.held) == (0, 0)
