"""Inventory: stock, prices, reservations, and suppliers' files."""

from typing import Any

from aws_cdk import Duration
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.inventory import (
    assign_item,
    decide_price,
    get_price,
    import_stock_file,
    issue_stock,
    list_proposals,
    release_closed_order,
    release_stock,
    reprice_item,
    reserve_stock,
    restock_returned_order,
    set_prices,
    stock_store,
)
from lambdas.inventory.supplier_files import INCOMING, REPORTS
from stacks.constructs import outbox_table
from stacks.constructs.api import Api
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.file_drop import FileDrop
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import GATHERING, QueueConsumer


class Inventory(ContextStack):
    """Keeps stock and prices.

    Offers checkout a step and its compensation, returns a step, suppliers a bucket for files, and
    staff the prices.
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(
            self,
            "Stock",
            platform=platform,
            pending_index=True,
            append_only=stock_store.RECORDS,
            gathering=outbox_table.BRIEF_GATHERING,
        )
        self.reserve_stock = self.function("ReserveStock", reserve_stock.handler)
        self.release_stock = self.function("ReleaseStock", release_stock.handler)
        self.restock_returned_order = self.function(
            "RestockReturnedOrder", restock_returned_order.handler
        )
        self.consumer(
            EventConsumer,
            "IssueStock",
            issue_stock.handler,
            seconds_per_order=0.03,
            gathering=GATHERING,
        )
        self.consumer(EventConsumer, "ReleaseClosedOrder", release_closed_order.handler)
        self.consumer(EventConsumer, "RepriceItem", reprice_item.handler, max_concurrency=5)
        imports = self.consumer(
            QueueConsumer,
            "ImportStockFile",
            import_stock_file.handler,
            timeout=Duration.minutes(15),
            max_concurrency=5,
            batch_size=1,
        )
        files = FileDrop(
            self, "SupplierFiles", platform=platform, name="files", queue=imports.queue
        )
        get_ = self.function("GetPrice", get_price.handler)
        set_ = self.function("SetPrices", set_prices.handler)
        list_ = self.function("ListProposals", list_proposals.handler)
        decide = self.function("DecidePrice", decide_price.handler)
        assign = self.function("AssignItem", assign_item.handler)
        self._alarms()

        files.allow_reading(imports.function, under=INCOMING)
        files.allow_writing(imports.function, under=REPORTS)
        for supplier in platform.environment.suppliers:
            files.admit(supplier, incoming=INCOMING, reports=REPORTS)
        api.route(HttpMethod.GET, "/prices", get_)
        api.route(HttpMethod.PUT, "/prices", set_)
        api.route(HttpMethod.GET, "/prices/proposals", list_)
        api.route(HttpMethod.POST, "/prices/decision", decide)
        api.route(HttpMethod.PUT, "/items/supplier", assign)

    def _alarms(self) -> None:
        self.alarm(
            "StrayObjects",
            "StrayObjects",
            threshold=1,
            meaning="An object in the suppliers' bucket is outside incoming/ and reports/.",
            page="stray-objects-in-the-suppliers-bucket",
        )
        self.alarm(
            "Proposals",
            "PricesProposed",
            threshold=1,
            meaning="A price waits for the approval of staff.",
            page="a-price-waits-for-approval",
        )
