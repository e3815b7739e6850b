"""Orders: taking them, the status of each, and orders' own price list."""

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.eventing.consumer import Consumer
from lambdas.orders import (
    cancel_order,
    confirm_order,
    events,
    follow_return,
    follow_shipment,
    get_order,
    keep_price_list,
    place_order,
    reject_order,
    sweep_orders,
)
from lambdas.orders.settings import Settings
from stacks.constructs.alarm import Alarm
from stacks.constructs.api import Api
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.metric import service_metric
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import Handler, PythonFunction
from stacks.constructs.scheduled_consumer import ScheduledConsumer

_CHECKOUT_MINUTES = 60
"""After how long a placed order expires. A checkout takes seconds; what takes an hour, with five
deliveries of its message, has been parked or lost."""


class Orders(Stack):
    """Takes orders and owns their life. Offers checkout its two last steps."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        orders = OutboxTable(
            self, "Orders", platform=platform, publishes=events.PUBLISHED, pending_index=True
        )
        settings = Settings(
            table_name=orders.settings.table_name,
            inbox_days=orders.settings.inbox_days,
            checkout_minutes=_CHECKOUT_MINUTES,
        )

        def function(id_: str, handler: Handler) -> PythonFunction:
            return PythonFunction(self, id_, platform=platform, handler=handler, settings=settings)

        def consumer(id_: str, consumer: Consumer[Any], *operations: str) -> None:
            EventConsumer(
                self,
                id_,
                platform=platform,
                consumer=consumer,
                table=orders,
                operations=operations,
                settings=settings,
            )

        place = function("PlaceOrder", place_order.handler)
        get = function("GetOrder", get_order.handler)
        cancel = function("CancelOrder", cancel_order.handler)
        self.confirm_order = function("ConfirmOrder", confirm_order.handler)
        self.reject_order = function("RejectOrder", reject_order.handler)
        changes = ("GetItem", "UpdateItem", "PutItem")
        consumer("KeepPriceList", keep_price_list.handler, "PutItem")
        consumer("FollowShipment", follow_shipment.handler, *changes)
        consumer("FollowReturn", follow_return.handler, *changes)
        sweep = ScheduledConsumer(
            self,
            "SweepOrders",
            platform=platform,
            consumer=sweep_orders.handler,
            event=events.SweepDue(),
            every=Duration.minutes(30),
            table=orders,
            operations=["UpdateItem", "PutItem"],
            settings=settings,
            timeout=Duration.minutes(1),
        )
        orders.allow_finding_pending(sweep.function)
        Alarm(
            self,
            "Expired",
            platform=platform,
            metric=service_metric(platform, context="orders", name="ExpiredOrders"),
            threshold=1,
            meaning="Orders expired: their checkouts do not come to an end.",
            page="orders-expire",
        )

        api.route(HttpMethod.POST, "/orders", place)
        api.route(HttpMethod.GET, "/orders/{order_id}", get)
        api.route(HttpMethod.DELETE, "/orders/{order_id}", cancel)

        orders.allow(place, "PutItem", "GetItem", "BatchGetItem")
        orders.allow(get, "GetItem")
        for changes_status in (cancel, self.confirm_order, self.reject_order):
            orders.allow(changes_status, *changes)
