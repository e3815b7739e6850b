"""Payments: authorizations and refunds, through a payment provider."""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from lambdas.payments import (
    authorize_payment,
    events,
    refund_closed_order,
    refund_payment,
    refund_returned_order,
)
from lambdas.payments.settings import Settings
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import Handler, PythonFunction
from stacks.constructs.sandbox_table import SandboxTable


class Payments(Stack):
    """Keeps one payment per order. Offers checkout a step and its compensation, returns a step."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        payments = OutboxTable(self, "Payments", platform=platform, publishes=events.PUBLISHED)
        sandbox = SandboxTable(self, "SandboxProvider", platform=platform)
        settings = Settings(
            table_name=payments.settings.table_name,
            inbox_days=payments.settings.inbox_days,
            provider_table_name=sandbox.table_name,
        )

        def function(id_: str, handler: Handler) -> PythonFunction:
            return PythonFunction(self, id_, platform=platform, handler=handler, settings=settings)

        self.authorize_payment = function("AuthorizePayment", authorize_payment.handler)
        self.refund_payment = function("RefundPayment", refund_payment.handler)
        self.refund_returned_order = function("RefundReturnedOrder", refund_returned_order.handler)
        closed = EventConsumer(
            self,
            "RefundClosedOrder",
            platform=platform,
            consumer=refund_closed_order.handler,
            table=payments,
            operations=["GetItem", "PutItem"],
            settings=settings,
        )

        tasks = (self.authorize_payment, self.refund_payment, self.refund_returned_order)
        for moves_money in tasks:
            payments.allow(moves_money, "GetItem", "PutItem")
        for asks_the_provider in (*tasks, closed.function):
            sandbox.grant(asks_the_provider, "dynamodb:UpdateItem")
