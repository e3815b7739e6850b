"""Inventory: stock, prices and reservations."""

from typing import Any

from aws_cdk import Duration, Stack
from constructs import Construct

from lambdas.inventory import (
    events,
    receive_stock,
    release_cancelled_order,
    release_stock,
    reserve_stock,
)
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import Handler, PythonFunction


class Inventory(Stack):
    """Knows what the shop has and what it costs. Offers checkout a step and its compensation."""

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        stock = OutboxTable(self, "Stock", platform=platform, publishes=events.PUBLISHED)

        def function(id_: str, handler: Handler, timeout: Duration | None = None) -> PythonFunction:
            return PythonFunction(
                self,
                id_,
                platform=platform,
                handler=handler,
                settings=stock.settings,
                timeout=timeout,
            )

        receive = function("ReceiveStock", receive_stock.handler, Duration.minutes(2))
        self.reserve_stock = function("ReserveStock", reserve_stock.handler)
        self.release_stock = function("ReleaseStock", release_stock.handler)
        EventConsumer(
            self,
            "ReleaseCancelledOrder",
            platform=platform,
            consumer=release_cancelled_order.handler,
            table=stock,
            operations=["GetItem", "UpdateItem", "PutItem"],
        )

        for changes_stock in (receive, self.reserve_stock, self.release_stock):
            stock.allow(changes_stock, "GetItem", "UpdateItem", "PutItem")
