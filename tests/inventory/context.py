"""The inventory context as its callers see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lambdas.eventing.event import Cause, CloudEvent, Event
from lambdas.eventing.settings import TableSettings
from lambdas.inventory import (
    issue_stock,
    release_closed_order,
    release_stock,
    reserve_stock,
    restock_returned_order,
    stock_store,
)
from lambdas.inventory.domain import ReceivedItem
from lambdas.orders.events import OrderPlaced
from lambdas.returns.events import ReturnReason, ReturnRequested
from lambdas.shipping.events import OrderShipped, ShipmentRecalled
from tests.support.cloud import Cloud, Queue, Table
from tests.support.messages import CONTEXT, batch, enveloped, failed, task_input
from tests.support.orders import cancelled, expired, line, placed

SETTINGS = TableSettings(table_name="inventory", inbox_days=22)
MORNING = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""The default time of an upload."""
COUNTERS = ("received", "available", "reserved", "issued", "returned")


@dataclass(frozen=True)
class Inventory:
    """Calls the context's functions as Lambda and the workflow do."""

    table: Table
    parking: Queue
    placed: dict[str, CloudEvent] = field(default_factory=dict)
    """The event of each order, the same for each run of its checkout."""

    @classmethod
    def in_cloud(cls, cloud: Cloud) -> "Inventory":
        """Creates the context with an empty table."""
        table = cloud.table(SETTINGS.table_name, pending_index=True)
        parking = cloud.queue("parking")
        cloud.configure({**SETTINGS.as_environment(), "DEAD_LETTER_QUEUE_URL": parking.url})
        return cls(table, parking)

    def receive(self, file: str = "file-1", *, cost: int = 800, **units: int) -> None:
        """Receives units of these SKUs once, like a supplier's file."""
        items = [
            ReceivedItem(sku=sku, quantity=quantity, unit_cost_minor=cost, currency="EUR")
            for sku, quantity in units.items()
        ]
        if not stock_store.lines_taken(file):
            stock_store.receive_rows(
                items,
                supplier="north",
                file=file,
                uploaded_at=MORNING,
                after=0,
                up_to=len(items),
                cause=Cause(correlation_id=file),
            )

    def stock(self, sku: str = "MUG") -> tuple[int, int, int]:
        """The units of an item: received, available, reserved."""
        (item,) = [item for item in self.table.items("stock") if item["pk"] == f"STOCK#{sku}"]
        return item["received"], item["available"], item["reserved"]

    def units(self, sku: str = "MUG") -> Mapping[str, int]:
        """The counters of an item that are not zero."""
        return self.units_by_sku()[sku]

    def units_by_sku(self) -> Mapping[str, Mapping[str, int]]:
        """The same of all items."""
        return {
            item["pk"].removeprefix("STOCK#"): {
                name: item[name] for name in COUNTERS if item.get(name)
            }
            for item in self.table.items("stock")
        }

    def available(self) -> Mapping[str, int]:
        """The available units by SKU."""
        return {
            item["pk"].removeprefix("STOCK#"): item["available"]
            for item in self.table.items("stock")
        }

    def balanced(self) -> bool:
        """Whether the units of each item add up and none is negative."""
        return all(
            item["received"] - item.get("issued", 0) + item.get("returned", 0)
            == item["available"] + item["reserved"]
            and min(item.get(name, 0) for name in COUNTERS) >= 0
            for item in self.table.items("stock")
        )

    def order(self, order_id: str = "order-1", /, **units: int) -> OrderPlaced:
        """Creates the event of an order for units of SKUs, so that its checkout can run."""
        event = placed(*(line(sku, units[sku]) for sku in units), order_id=order_id)
        self.placed[order_id] = enveloped(event)
        return event

    def reserve(self, order_id: str = "order-1") -> None:
        """Runs the workflow's task that reserves stock for an order."""
        reserve_stock.handler(task_input(self.placed[order_id]), CONTEXT)

    def release(self, order_id: str = "order-1", *, reason: str = "payment_declined") -> None:
        """Runs the workflow's compensation that releases the stock of an order."""
        event = task_input(self.placed[order_id], error="PaymentRefused", reason=reason)
        release_stock.handler(event, CONTEXT)

    def cancel(self, order_id: str = "order-1", *, confirmed: bool = False) -> None:
        """Delivers the event of a cancelled order."""
        self._deliver(cancelled(order_id, confirmed=confirmed))

    def expire(self, order_id: str = "order-1") -> None:
        """Delivers the event of an expired order."""
        self._deliver(expired(order_id))

    def recall(self, order_id: str = "order-1") -> None:
        """Delivers shipping's event of a recalled parcel."""
        self._deliver(ShipmentRecalled(order_id=order_id))

    def ship(self, order_id: str = "order-1") -> list[str]:
        """Delivers shipping's event of a shipped order; returns what is to be delivered again."""
        shipped = OrderShipped(order_id=order_id)
        return failed(issue_stock.handler(batch(enveloped(shipped)), CONTEXT))

    def _deliver(self, event: Event) -> None:
        assert failed(release_closed_order.handler(batch(enveloped(event)), CONTEXT)) == []

    def restock(self, order_id: str = "order-1") -> None:
        """Runs the return workflow's task that restocks an order."""
        event = ReturnRequested(
            order_id=order_id, customer_id="customer-1", reason=ReturnReason.DAMAGED
        )
        restock_returned_order.handler(task_input(enveloped(event)), CONTEXT)

    def reservation(self) -> Any:
        """The only reservation."""
        return self.table.one("reservation")
