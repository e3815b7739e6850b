"""Payments: authorizations and refunds, through a payment provider."""

from typing import Any

from constructs import Construct

from lambdas.payments import (
    authorize_payment,
    refund_closed_order,
    refund_payment,
    refund_returned_order,
)
from lambdas.payments.settings import Settings
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.sandbox_table import SandboxTable


class Payments(ContextStack):
    """Keeps one payment per order. Offers checkout a step and its compensation, returns a step."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, **kwargs: Any) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(self, "Payments", platform=platform)
        provider = SandboxTable(self, "SandboxProvider", platform=platform)
        self.settings = Settings(
            table_name=self.table.settings.table_name,
            inbox_days=self.table.settings.inbox_days,
            provider_table_name=provider.table_name,
        )
        self.authorize_payment = self.function("AuthorizePayment", authorize_payment.handler)
        self.refund_payment = self.function("RefundPayment", refund_payment.handler)
        self.refund_returned_order = self.function(
            "RefundReturnedOrder", refund_returned_order.handler
        )
        closed = self.consumer(EventConsumer, "RefundClosedOrder", refund_closed_order.handler)

        for asks_the_provider in (
            self.authorize_payment,
            self.refund_payment,
            self.refund_returned_order,
            closed.function,
        ):
            provider.grant(asks_the_provider, "dynamodb:UpdateItem")
