"""Orders: taking them, the status of each, and orders' own price list."""

from typing import Any

from aws_cdk import Stack
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.orders import (
    cancel_order,
    confirm_order,
    events,
    get_order,
    keep_price_list,
    place_order,
    reject_order,
)
from stacks.constructs.api import Api
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import Handler, PythonFunction


class Orders(Stack):
    """Takes orders and owns their life. Offers checkout its two last steps."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        orders = OutboxTable(self, "Orders", platform=platform, publishes=events.PUBLISHED)

        def function(id_: str, handler: Handler) -> PythonFunction:
            return PythonFunction(
                self, id_, platform=platform, handler=handler, settings=orders.settings
            )

        place = function("PlaceOrder", place_order.handler)
        get = function("GetOrder", get_order.handler)
        cancel = function("CancelOrder", cancel_order.handler)
        self.confirm_order = function("ConfirmOrder", confirm_order.handler)
        self.reject_order = function("RejectOrder", reject_order.handler)
        EventConsumer(
            self,
            "KeepPriceList",
            platform=platform,
            consumer=keep_price_list.handler,
            table=orders,
            operations=["PutItem"],
        )

        api.route(HttpMethod.POST, "/orders", place)
        api.route(HttpMethod.GET, "/orders/{order_id}", get)
        api.route(HttpMethod.DELETE, "/orders/{order_id}", cancel)

        orders.allow(place, "PutItem", "GetItem", "BatchGetItem")
        orders.allow(get, "GetItem")
        for changes_status in (cancel, self.confirm_order, self.reject_order):
            orders.allow(changes_status, "GetItem", "UpdateItem", "PutItem")
