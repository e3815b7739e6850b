"""The payments context as its callers see it."""

from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing.attributes import Item
from lambdas.eventing.event import CloudEvent
from lambdas.orders.events import PaymentMethod
from lambdas.payments import (
    authorize_payment,
    capture_payment,
    refund_closed_order,
    refund_payment,
    refund_returned_order,
    sweep_payments,
)
from lambdas.payments.events import PaymentEvent, PaymentSweepDue
from lambdas.payments.settings import Settings
from lambdas.returns.events import ReturnReason, ReturnRequested
from lambdas.shipping.events import OrderShipped
from tests.support.cloud import Cloud, Queue, Table, Vault
from tests.support.messages import CONTEXT, batch, enveloped, failed, task_input
from tests.support.orders import cancelled, expired, line, placed

SETTINGS = Settings(
    table_name="payments",
    inbox_days=22,
    payment_provider="sandbox",
    provider_resource="provider",
)


@dataclass(frozen=True)
class Payments:
    """Calls the context's functions as Lambda and the workflow do."""

    table: Table
    provider_table: Table
    """The provider's table."""
    vault: Vault
    parking: Queue
    placed: dict[str, CloudEvent] = field(default_factory=dict)
    """The event of each order, the same for each run of its checkout."""

    @classmethod
    def in_cloud(cls, cloud: Cloud) -> "Payments":
        """Creates the context and the provider with empty tables."""
        table = cloud.table(SETTINGS.table_name, pending_index=True)
        provider_table = cloud.table(SETTINGS.provider_resource, sort_key=False)
        parking = cloud.queue("parking")
        cloud.configure({**SETTINGS.as_environment(), "DEAD_LETTER_QUEUE_URL": parking.url})
        return cls(table, provider_table, cloud.vault(), parking)

    def order(self, token: str, order_id: str = "order-1", *, total: int = 2500) -> None:
        """Creates the event of an order, so that its checkout can run."""
        event = placed(line(price=total), order_id=order_id)
        self.vault.deposit(event.claim, PaymentMethod(token=token))
        self.placed[order_id] = enveloped(event)

    def authorize(self, order_id: str = "order-1") -> None:
        """Runs the workflow's task that authorizes the payment of an order."""
        authorize_payment.handler(task_input(self.placed[order_id]), CONTEXT)

    def refund(self, order_id: str = "order-1", *, reason: str = "out_of_stock") -> None:
        """Runs the workflow's compensation that refunds an order."""
        event = task_input(self.placed[order_id], error="OrderClosed", reason=reason)
        refund_payment.handler(event, CONTEXT)

    def cancel(self, order_id: str = "order-1") -> None:
        """Delivers the event of a cancelled order."""
        message = enveloped(cancelled(order_id))
        assert failed(refund_closed_order.handler(batch(message), CONTEXT)) == []

    def expire(self, order_id: str = "order-1") -> None:
        """Delivers the event of an expired order."""
        message = enveloped(expired(order_id))
        assert failed(refund_closed_order.handler(batch(message), CONTEXT)) == []

    def give_back(self, order_id: str = "order-1") -> None:
        """Runs the return workflow's task that refunds an order."""
        event = ReturnRequested(
            order_id=order_id, customer_id="customer-1", reason=ReturnReason.UNWANTED
        )
        refund_returned_order.handler(task_input(enveloped(event)), CONTEXT)

    def ship(self, order_id: str = "order-1", *, failures: int = 0) -> None:
        """Delivers the event of a parcel that left; `failures` messages have to come again."""
        message = enveloped(OrderShipped(order_id=order_id))
        assert len(failed(capture_payment.handler(batch(message), CONTEXT))) == failures

    def sweep(self, context: LambdaContext = CONTEXT) -> None:
        """Runs the sweep."""
        message = enveloped(PaymentSweepDue())
        assert failed(sweep_payments.handler(batch(message), context)) == []

    def state(self) -> Any:
        """The state of the only payment."""
        return self.table.one("payment")["state"]

    def booked(self) -> Item:
        """The only entry in the provider's table."""
        return self.provider_table.one("authorization")

    def events(self, event_type: type[PaymentEvent]) -> list[PaymentEvent]:
        """The published events of one type."""
        return self.table.events(event_type)
