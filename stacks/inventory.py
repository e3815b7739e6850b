"""Inventory: stock, prices and reservations, and the suppliers' files that fill it."""

from typing import Any

from aws_cdk import Duration, Stack
from constructs import Construct

from lambdas.inventory import (
    events,
    import_stock_file,
    release_closed_order,
    release_stock,
    reserve_stock,
    restock_returned_order,
)
from lambdas.inventory.supplier_files import INCOMING, REPORTS
from stacks.constructs.alarm import Alarm
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.file_drop import FileDrop
from stacks.constructs.metric import service_metric
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import Handler, PythonFunction
from stacks.constructs.queue_consumer import QueueConsumer


class Inventory(Stack):
    """Knows what the shop has and what it costs.

    Offers checkout a step and its compensation, returns a step, and suppliers a place for files.
    """

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        stock = OutboxTable(self, "Stock", platform=platform, publishes=events.PUBLISHED)

        def function(id_: str, handler: Handler) -> PythonFunction:
            return PythonFunction(
                self, id_, platform=platform, handler=handler, settings=stock.settings
            )

        self.reserve_stock = function("ReserveStock", reserve_stock.handler)
        self.release_stock = function("ReleaseStock", release_stock.handler)
        self.restock_returned_order = function(
            "RestockReturnedOrder", restock_returned_order.handler
        )
        EventConsumer(
            self,
            "ReleaseClosedOrder",
            platform=platform,
            consumer=release_closed_order.handler,
            table=stock,
            operations=["GetItem", "UpdateItem", "PutItem"],
        )
        imports = QueueConsumer(
            self,
            "ImportStockFile",
            platform=platform,
            consumer=import_stock_file.handler,
            table=stock,
            operations=["GetItem", "BatchGetItem", "UpdateItem", "PutItem"],
            timeout=Duration.minutes(15),
            batch_size=1,
        )
        files = FileDrop(
            self,
            "SupplierFiles",
            platform=platform,
            name="files",
            queue=imports.queue,
        )
        files.allow_reading(imports.function, under=INCOMING)
        files.allow_writing(imports.function, under=REPORTS)
        Alarm(
            self,
            "StrayObjects",
            platform=platform,
            metric=service_metric(platform, context="inventory", name="StrayObjects"),
            threshold=1,
            meaning="An object in the suppliers' bucket is outside incoming/ and reports/.",
            page="stray-objects-in-the-suppliers-bucket",
        )

        for changes_stock in (self.reserve_stock, self.release_stock, self.restock_returned_order):
            stock.allow(changes_stock, "GetItem", "UpdateItem", "PutItem")
        stock.allow(self.reserve_stock, "BatchGetItem")
