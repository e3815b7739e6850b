"""Analytics: live sales and activity, minute by minute."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.analytics import aggregate_sales, get_sales, record_activity
from lambdas.analytics.settings import Settings
from stacks.backbone import SOURCES
from stacks.constructs.api import Api
from stacks.constructs.context_table import ContextTable
from stacks.constructs.event_stream import EventStream
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import Handler, PythonFunction
from stacks.constructs.rule import ONCE
from stacks.constructs.stream_consumer import StreamConsumer


class Analytics(Stack):
    """Counts all events of the bus, and what customers do, once each. Publishes none."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        sales = ContextTable(self, "Sales", platform=platform)
        activity = EventStream(self, "Activity", platform=platform)
        settings = Settings(
            table_name=sales.settings.table_name,
            inbox_days=sales.settings.inbox_days,
            stream_name=activity.stream_name,
        )

        def function(id_: str, handler: Handler) -> PythonFunction:
            return PythonFunction(self, id_, platform=platform, handler=handler, settings=settings)

        aggregate = StreamConsumer(
            self,
            "AggregateSales",
            platform=platform,
            consumer=aggregate_sales.handler,
            stream=activity,
            table=sales,
            operations=["PutItem", "UpdateItem"],
            settings=settings,
        )
        activity.take_from_bus(
            platform=platform,
            pattern=events.EventPattern(source=events.Match.prefix(SOURCES), detail=ONCE),
            parking=aggregate.parking,
        )
        record = function("RecordActivity", record_activity.handler)
        get = function("GetSales", get_sales.handler)

        activity.allow_putting(record)
        sales.allow(get, "Query", "BatchGetItem")

        api.route(HttpMethod.POST, "/activity", record)
        api.route(HttpMethod.GET, "/sales", get)
