"""Analytics: live sales and activity, minute by minute."""

from typing import Any

from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.analytics import aggregate_sales, get_sales, record_activity
from lambdas.analytics.domain import FROM_THE_BUS
from lambdas.analytics.settings import Settings
from stacks.constructs.api import Api
from stacks.constructs.bus import pattern_of
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.context_table import ContextTable
from stacks.constructs.event_stream import EventStream
from stacks.constructs.platform import Platform
from stacks.constructs.stream_consumer import StreamConsumer


class Analytics(ContextStack):
    """Counts sales, returns and customers' activities, each once. Publishes nothing.

    Synthetic orders never reach it: the bus leaves them out.
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = ContextTable(self, "Sales", platform=platform)
        activity = EventStream(self, "Activity", platform=platform)
        self.settings = Settings(
            table_name=self.table.settings.table_name,
            inbox_days=self.table.settings.inbox_days,
            stream_name=activity.stream_name,
        )
        aggregate = self.consumer(
            StreamConsumer, "AggregateSales", aggregate_sales.handler, stream=activity
        )
        record = self.function("RecordActivity", record_activity.handler)
        get = self.function("GetSales", get_sales.handler)

        activity.take_from_bus(
            platform=platform,
            pattern=pattern_of(
                [version for event in FROM_THE_BUS for version in event.versions()],
                synthetic=False,
            ),
            parking=aggregate.parking,
        )
        activity.allow_putting(record)
        api.route(HttpMethod.POST, "/activity", record)
        api.route(HttpMethod.GET, "/sales", get)
