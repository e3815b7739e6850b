"""Orders: orders with their status and history, and a price list."""

from typing import Any

from aws_cdk import Duration
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.orders import (
    cancel_order,
    cancel_unpaid_order,
    check_orders,
    confirm_order,
    erase_orders,
    follow_return,
    follow_shipment,
    get_order,
    keep_price_list,
    list_orders,
    order_store,
    place_canary,
    place_order,
    reject_order,
    sweep_orders,
)
from lambdas.orders.events import CanaryDue, SweepDue
from lambdas.orders.settings import Settings
from stacks.constructs.api import Api
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.scheduled_consumer import ScheduledConsumer

_ORDERS_PER_HOUR = 60
"""How many orders a customer may place in an hour: more than people need, too few for a test of
stolen cards to be worth it."""

_CHECKOUT_MINUTES = 45
"""After how long a placed order expires. A checkout takes seconds. A message that checkout cannot
handle is parked before that, so that a redrive may still confirm the order."""

_SWEEP_EVERY = Duration.minutes(15)
"""How much later than that an order may expire: it is closed within an hour."""

_CANARY_EVERY = Duration.minutes(30)
_CANARY_MS = 60_000
"""The longest that a canary order may take. It takes a second or two; a retry exceeds the limit."""

_SWEEP_TIMEOUT = Duration.seconds(30)
"""Enough for some ten thousand orders. A sweep that fails is parked before the next one begins:
after five deliveries, each six times this long."""


class Orders(ContextStack):
    """Accepts orders and keeps their status. Offers steps to checkout and to erasures."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(
            self,
            "Orders",
            platform=platform,
            pending_index=True,
            listing=order_store.BY_CUSTOMER,
        )
        self.settings = Settings(
            table_name=self.table.settings.table_name,
            inbox_days=self.table.settings.inbox_days,
            orders_per_hour=_ORDERS_PER_HOUR,
            checkout_minutes=_CHECKOUT_MINUTES,
        )
        place = self.function("PlaceOrder", place_order.handler)
        get = self.function("GetOrder", get_order.handler)
        list_ = self.function("ListOrders", list_orders.handler)
        cancel = self.function("CancelOrder", cancel_order.handler)
        self.confirm_order = self.function("ConfirmOrder", confirm_order.handler)
        self.reject_order = self.function("RejectOrder", reject_order.handler)
        self.check_orders = self.function("CheckOrders", check_orders.handler)
        self.erase_orders = self.function("EraseOrders", erase_orders.handler)
        self.consumer(EventConsumer, "KeepPriceList", keep_price_list.handler, max_concurrency=5)
        self.consumer(
            EventConsumer, "FollowShipment", follow_shipment.handler, seconds_per_order=0.085
        )
        self.consumer(EventConsumer, "FollowReturn", follow_return.handler)
        self.consumer(EventConsumer, "CancelUnpaidOrder", cancel_unpaid_order.handler)
        self.consumer(
            ScheduledConsumer,
            "SweepOrders",
            sweep_orders.handler,
            event=SweepDue(),
            every=_SWEEP_EVERY,
            timeout=_SWEEP_TIMEOUT,
        )
        self.consumer(
            ScheduledConsumer,
            "PlaceCanary",
            place_canary.handler,
            event=CanaryDue(),
            every=_CANARY_EVERY,
            synthetic=True,
            enabled=platform.environment.canary,
        )
        self.alarm(
            "CanaryOverdue",
            "CanaryOrder",
            threshold=_CANARY_MS,
            statistic="Maximum",
            over=_CANARY_EVERY,
            expected=platform.environment.canary,
            meaning="A canary order took too long, as customers' orders do, or none is placed.",
            page="canary-orders-are-overdue",
        )
        self.alarm(
            "Expired",
            "ExpiredOrders",
            threshold=1,
            meaning="Orders expired: their checkouts do not come to an end.",
            page="orders-expire",
        )

        api.route(HttpMethod.POST, "/orders", place)
        api.route(HttpMethod.GET, "/orders", list_)
        api.route(HttpMethod.GET, "/orders/{order_id}", get)
        api.route(HttpMethod.DELETE, "/orders/{order_id}", cancel)
