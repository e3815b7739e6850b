"""Inventory: stock, prices, reservations, and suppliers' files."""

from typing import Any

from aws_cdk import Duration
from constructs import Construct

from lambdas.inventory import (
    import_stock_file,
    issue_stock,
    release_closed_order,
    release_stock,
    reserve_stock,
    restock_returned_order,
)
from lambdas.inventory.supplier_files import INCOMING, REPORTS
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.file_drop import FileDrop
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import QueueConsumer


class Inventory(ContextStack):
    """Keeps stock and prices.

    Offers checkout a step and its compensation, returns a step, and suppliers a bucket for files.
    """

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, **kwargs: Any) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(self, "Stock", platform=platform)
        self.reserve_stock = self.function("ReserveStock", reserve_stock.handler)
        self.release_stock = self.function("ReleaseStock", release_stock.handler)
        self.restock_returned_order = self.function(
            "RestockReturnedOrder", restock_returned_order.handler
        )
        self.consumer(EventConsumer, "IssueStock", issue_stock.handler)
        self.consumer(EventConsumer, "ReleaseClosedOrder", release_closed_order.handler)
        imports = self.consumer(
            QueueConsumer,
            "ImportStockFile",
            import_stock_file.handler,
            timeout=Duration.minutes(15),
            batch_size=1,
        )
        files = FileDrop(
            self, "SupplierFiles", platform=platform, name="files", queue=imports.queue
        )
        self.alarm(
            "StrayObjects",
            "StrayObjects",
            threshold=1,
            meaning="An object in the suppliers' bucket is outside incoming/ and reports/.",
            page="stray-objects-in-the-suppliers-bucket",
        )

        files.allow_reading(imports.function, under=INCOMING)
        files.allow_writing(imports.function, under=REPORTS)
