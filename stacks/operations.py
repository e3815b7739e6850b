"""Operations: dashboards of all hops and of one order, alarms on business metrics, the budget."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from cdk_monitoring_constructs import (
    CustomMetricGroup,
    DefaultDashboardFactory,
    MonitoringFacade,
)
from constructs import Construct

from stacks.constructs.alarm import Alarm
from stacks.constructs.api import Api
from stacks.constructs.budget import Budget
from stacks.constructs.error_budget import ErrorBudget
from stacks.constructs.metric import service_metric, share, sms_spending
from stacks.constructs.platform import Platform
from stacks.constructs.span_queries import OrderDashboard, save_queries

_PERIOD = Duration.minutes(5)

_HOPS: Mapping[str, Mapping[str, Sequence[tuple[str, str, str]]]] = {
    "Queues": {
        "Age of the oldest message (s)": [
            ("AWS/SQS,QueueName", "ApproximateAgeOfOldestMessage", "Maximum")
        ],
        "Messages that wait": [
            ("AWS/SQS,QueueName", "ApproximateNumberOfMessagesVisible", "Maximum")
        ],
        "Messages in dead-letter queues": [
            (
                "AWS/SQS,QueueName",
                "ApproximateNumberOfMessagesVisible (DeadLetters OR Unpublished OR Parked)",
                "Maximum",
            )
        ],
    },
    "Topics and schedules": {
        "Deliveries": [("AWS/SNS,TopicName", "NumberOfNotificationsDelivered", "Sum")],
        "Failed or parked": [
            ("AWS/SNS,TopicName", "NumberOfNotificationsFailed", "Sum"),
            ("AWS/SNS,TopicName", "NumberOfNotificationsRedrivenToDlq", "Sum"),
        ],
        "Schedules dropped": [("AWS/Scheduler,ScheduleGroup", "InvocationDroppedCount", "Sum")],
    },
    "Workflows": {
        "Executions": [
            ("AWS/States,StateMachineArn", name, "Sum")
            for name in ("ExecutionsStarted", "ExecutionsSucceeded")
        ],
        "Ended badly": [
            ("AWS/States,StateMachineArn", name, "Sum")
            for name in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
        ],
        "State transitions throttled": [
            ("AWS/States,StateMachineArn", "ExecutionThrottled", "Sum")
        ],
    },
    "Streams": {
        "Age of the oldest record (ms)": [("AWS/Lambda,FunctionName", "IteratorAge", "Maximum")],
        "Records in": [("AWS/Kinesis,StreamName", "IncomingRecords", "Sum")],
        "Writes refused": [("AWS/Kinesis,StreamName", "WriteProvisionedThroughputExceeded", "Sum")],
    },
    "Functions": {
        "Invocations": [("AWS/Lambda,FunctionName", "Invocations", "Sum")],
        "Errors and throttles": [
            ("AWS/Lambda,FunctionName", "Errors", "Sum"),
            ("AWS/Lambda,FunctionName", "Throttles", "Sum"),
        ],
        "Duration (ms)": [("AWS/Lambda,FunctionName", "Duration", "p99")],
    },
}
"""Graphs by headline and title: schema, metric name with further terms, and statistic."""


class Operations(Stack):
    """Shows a whole stage on one dashboard, and one order on another.

    The graphs of the hops search for metrics by the stage's name, with which the names of all its
    resources begin. So a new consumer appears on the dashboard as soon as it is deployed, and no
    stack has to export anything to this one. Only the API is referenced directly.
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        stage = platform.environment.name
        # A dashboard's name is unique across all regions of an account.
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Dashboards.html
        name = f"orderflow-{stage}-{self.region}"
        dashboard = MonitoringFacade(
            self,
            "Monitoring",
            dashboard_factory=DefaultDashboardFactory(
                self, "Dashboards", dashboard_name_prefix=name
            ),
        )
        dashboard.add_large_header(f"Orderflow, {stage}")
        self._show(dashboard, "Business", _business(platform))
        self._show(dashboard, "API", _api(api))
        api.deploy(self)
        Budget(self, "Budget", platform=platform)
        (queues, *others) = _HOPS.items()
        routes = (platform.bus.headline, platform.bus.graphs)
        for headline, graphs in (queues, routes, *others):
            found = {
                title: [_search(stage, *search) for search in searches]
                for title, searches in graphs.items()
            }
            self._show(dashboard, headline, found)
        Alarm(
            self,
            "RejectedOrders",
            platform=platform,
            metric=share(
                _orders(platform, "OrdersRejected"),
                _orders(platform, "OrdersPlaced"),
                label="Orders rejected (%)",
            ),
            threshold=50,
            periods=3,
            meaning="More than half of the orders are rejected.",
            page="orders-are-rejected",
        )
        ErrorBudget(
            self,
            "ConfirmationBudget",
            platform=platform,
            metric=_durations(platform, "orders", "PlacedToConfirmed"),
            percent=99.5,
            limit=Duration.seconds(30),
            meaning="Too many orders wait longer than 30 seconds for their confirmation",
            page="orders-wait-for-their-confirmation",
        )
        ErrorBudget(
            self,
            "NotificationBudget",
            platform=platform,
            metric=_durations(platform, "notifications", "RequestedToSent"),
            percent=99,
            limit=Duration.minutes(1),
            meaning="Too many e-mails and text messages are sent later than a minute after their "
            "request",
            page="notifications-are-late",
        )
        save_queries(self, stage=stage)
        OrderDashboard(self, "Order", stage=stage, name=f"{name}-Order")

    def _show(
        self,
        dashboard: MonitoringFacade,
        headline: str,
        graphs: Mapping[str, Sequence[cloudwatch.Metric | cloudwatch.MathExpression]],
    ) -> None:
        dashboard.monitor_custom(
            human_readable_name=headline,
            alarm_friendly_name=headline.replace(" ", ""),
            metric_groups=[
                CustomMetricGroup(title=title, metrics=list(metrics), graph_widget_width=8)
                for title, metrics in graphs.items()
            ],
        )


def _business(platform: Platform) -> dict[str, list[cloudwatch.Metric]]:
    return {
        "Orders": [
            _orders(platform, name)
            for name in ("OrdersPlaced", "OrdersConfirmed", "OrdersRejected")
        ],
        "From placed to confirmed (ms)": [
            _orders(platform, "PlacedToConfirmed", statistic) for statistic in ("p50", "p99")
        ],
        "From requested to sent (ms)": [
            service_metric(
                platform, context="notifications", name="RequestedToSent", statistic=statistic
            )
            for statistic in ("p50", "p99")
        ],
        "Spent on SMS this month (USD)": [sms_spending()],
    }


def _api(api: Api) -> dict[str, list[cloudwatch.Metric]]:
    return {
        "Requests": [api.metric("Count", "Sum")],
        "Refused and failed": [api.metric(name, "Sum") for name in ("4xx", "5xx")],
        "Latency (ms)": [api.metric("Latency", statistic) for statistic in ("p50", "p99")],
    }


def _orders(platform: Platform, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
    return service_metric(platform, context="orders", name=name, statistic=statistic)


def _durations(
    platform: Platform, context: str, name: str
) -> Callable[[str, Duration], cloudwatch.Metric]:
    def metric(statistic: str, window: Duration) -> cloudwatch.Metric:
        found = service_metric(platform, context=context, name=name, statistic=statistic)
        return found.with_(period=window)

    return metric


def _search(stage: str, schema: str, terms: str, statistic: str) -> cloudwatch.MathExpression:
    """Returns an expression for all metrics of a stage's resources that match `terms`.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
    """
    name, _, further = terms.partition(" ")
    query = f'{{{schema}}} MetricName="{name}" orderflow {stage} {further}'.strip()
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{query}', '{statistic}', {_PERIOD.to_seconds()})",
        using_metrics={},
        label="",
        period=_PERIOD,
    )
