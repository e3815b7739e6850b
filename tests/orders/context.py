"""The orders context as its callers see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing.event import CloudEvent, Event
from lambdas.inventory.events import ItemPriced
from lambdas.orders import (
    cancel_order,
    confirm_order,
    follow_return,
    follow_shipment,
    get_order,
    keep_price_list,
    list_orders,
    place_order,
    reject_order,
    sweep_orders,
)
from lambdas.orders.events import Line, OrderPlaced, SweepDue
from lambdas.orders.settings import Settings
from lambdas.returns.events import ReturnEvent
from tests.support.cloud import Queue, Table, Vault
from tests.support.messages import CONTEXT, Answer, Call, batch, enveloped, failed, task_input
from tests.support.orders import ADDRESS, line

SETTINGS = Settings(table_name="orders", inbox_days=22, orders_per_hour=1_000, checkout_minutes=60)


@dataclass(frozen=True)
class Orders:
    """Calls the context's functions as API Gateway, Lambda and the workflow do."""

    table: Table
    vault: Vault
    parking: Queue

    def priced(
        self, sku: str = "MUG", price: int = 1250, *, currency: str = "EUR", revision: int = 1
    ) -> None:
        """Delivers the price of an item from inventory."""
        event = ItemPriced(sku=sku, unit_price_minor=price, currency=currency, revision=revision)
        assert failed(keep_price_list.handler(batch(enveloped(event)), CONTEXT)) == []

    def price_of(self, sku: str = "MUG") -> dict[str, Any]:
        """The entry of the price list."""
        (entry,) = [item for item in self.table.items("price") if item["sku"] == sku]
        return entry

    def place(
        self,
        lines: Sequence[Line | Mapping[str, Any]] | None = None,
        *,
        key: str | None = "key-1",
        caller: str = "customer-1",
        groups: str = "",
        without: str = "",
        **changes: Any,
    ) -> Answer:
        """Posts an order; `changes` replace fields of the body, `without` leaves one out.

        `groups` are those of the caller, as API Gateway writes them: in brackets.
        """
        body = {
            "currency": "EUR",
            "lines": [line()] if lines is None else lines,
            "shipping_address": ADDRESS,
            "payment_token": "tok_approve",
            **changes,
        }
        wire = {name: value for name, value in body.items() if name != without}
        headers = {} if key is None else {"idempotency-key": key}
        text = msgspec.json.encode(wire).decode()
        claims = {"cognito:groups": groups} if groups else {}
        call = Call(body=text, headers=headers, caller=caller, claims=claims)
        return call.send(place_order.handler)

    def get(self, order_id: str, *, caller: str = "customer-1") -> Answer:
        """Gets an order."""
        return self._call("GET", order_id, caller, get_order.handler)

    def cancel(self, order_id: str, *, caller: str = "customer-1") -> Answer:
        """Cancels an order."""
        return self._call("DELETE", order_id, caller, cancel_order.handler)

    def page(self, *, caller: str = "customer-1", **query: str) -> Answer:
        """Lists orders."""
        return Call(route="GET /orders", caller=caller, query=query).send(list_orders.handler)

    def placed_event(self) -> OrderPlaced:
        """The event of the only placed order."""
        (event,) = self.table.events(OrderPlaced)
        return event

    def confirm(self) -> None:
        """Runs the workflow's task that confirms the only placed order."""
        confirm_order.handler(task_input(self.table.envelopes(OrderPlaced)[0]), CONTEXT)

    def reject(self, reason: str = "out_of_stock") -> None:
        """Runs the workflow's task that rejects the only placed order."""
        envelope = self.table.envelopes(OrderPlaced)[0]
        event = task_input(envelope, error="StockRefused", reason=reason)
        reject_order.handler(event, CONTEXT)

    def receive(self, *events: Event | CloudEvent) -> None:
        """Delivers events of shipping and of returns, one by one."""
        for each in events:
            envelope = each if isinstance(each, CloudEvent) else enveloped(each)
            returns = envelope.source == ReturnEvent.source
            consumer = follow_return.handler if returns else follow_shipment.handler
            assert failed(consumer(batch(envelope), CONTEXT)) == []

    def sweep(self, context: LambdaContext = CONTEXT) -> None:
        """Runs the sweeper."""
        assert failed(sweep_orders.handler(batch(enveloped(SweepDue())), context)) == []

    def an_order(self) -> str:
        """Places an order and returns its id."""
        self.priced()
        answer = self.place()
        assert answer.status == 202
        order_id: str = answer.json["order_id"]
        return order_id

    def _call(self, method: str, order_id: str, caller: str, handler: Any) -> Answer:
        route = f"{method} /orders/{{order_id}}"
        return Call(route=route, path={"order_id": order_id}, caller=caller).send(handler)
