"""CloudWatch: metrics of what the rehearsal meters, of handlers' logs, and of API clients.

They are read from the meter and the logs when somebody asks, so that they cost nothing before.
Only the state of queues is sampled, once a minute as by SQS, while a queue has messages.
"""

import json
import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend, MetricAggregatedDatum, MetricDatum
from moto.sqs.models import sqs_backends

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.core import Core
from cdk_rehearsal.meter import Record
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.outboxes import Outboxes
from cdk_rehearsal.services.queues import Queues

Dimensions = Mapping[str, str]
Key = tuple[str, str, frozenset[tuple[str, str]]]
"""A metric's namespace, name and dimensions."""

METERED: Mapping[str, frozenset[str]] = {
    "AWS/ApiGateway": frozenset({"4xx", "5xx", "4XXError", "5XXError", "Count", "Latency"}),
    "AWS/Events": frozenset(
        {
            "FailedInvocations",
            "Invocations",
            "InvocationsFailedToBeSentToDlq",
            "InvocationsSentToDlq",
        }
    ),
    "AWS/EventsV2": frozenset(
        {
            "EventDeliveryAttempts",
            "EventTransformationFailures",
            "EventsDelivered",
            "EventsDropped",
            "OnFailureDestinationDelivered",
            "OnFailureDestinationFailed",
        }
    ),
    "AWS/Kinesis": frozenset({"PutRecords.FailedRecords", "WriteProvisionedThroughputExceeded"}),
    "AWS/Lambda": frozenset(
        {
            *("ConcurrentExecutions", "Duration", "Errors", "Invocations", "IteratorAge"),
            *("Throttles", "Url4xxCount", "Url5xxCount", "UrlRequestCount", "UrlRequestLatency"),
        }
    ),
    "AWS/SNS": frozenset(
        {
            "NumberOfNotificationsDelivered",
            "NumberOfNotificationsFailed",
            "NumberOfNotificationsFailedToRedriveToDlq",
            "NumberOfNotificationsRedrivenToDlq",
            "SMSMonthToDateSpentUSD",
        }
    ),
    "AWS/SQS": frozenset(
        {
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
        }
    ),
    "AWS/Scheduler": frozenset(
        {
            "InvocationAttemptCount",
            "InvocationDroppedCount",
            "InvocationsFailedToBeSentToDeadLetterCount",
            "InvocationsSentToDeadLetterCount",
            "TargetErrorCount",
        }
    ),
    "AWS/States": frozenset(
        {
            # State transitions have no rate in a rehearsal, so this one never has data.
            "ExecutionThrottled",
            "ExecutionsAborted",
            "ExecutionsFailed",
            "ExecutionsRedriven",
            "ExecutionsStarted",
            "ExecutionsSucceeded",
            "ExecutionsTimedOut",
        }
    ),
}
"""The metrics of AWS's own namespaces that the rehearsal has; all others have no data.

Pages: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html
"""

_SAMPLE_S = 60.0
_BEGINNINGS = {"started": "ExecutionsStarted", "redriven": "ExecutionsRedriven"}
_EXECUTIONS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}
_OF_REQUESTS = {
    "ApiId": ("AWS/ApiGateway", "Count", "4xx", "5xx", "Latency"),
    "ApiName": ("AWS/ApiGateway", "Count", "4XXError", "5XXError", "Latency"),
    "FunctionName": (
        *("AWS/Lambda", "UrlRequestCount", "Url4xxCount", "Url5xxCount", "UrlRequestLatency"),
    ),
}
"""Namespaces and names of the metrics of requests, by the dimension of the API or function URL."""
_SIMPLE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Sum": sum,
}


class UnknownStatistic(Exception):
    """A statistic that the rehearsal does not have."""


def is_metered(namespace: str, name: str) -> bool:
    """Whether a metric has data if there is something to measure."""
    return not namespace.startswith("AWS/") or name in METERED.get(namespace, ())


def statistic(name: str) -> Callable[[Sequence[float]], float]:
    """Returns what computes a statistic such as ``Sum`` or ``p99``; UnknownStatistic otherwise.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
    """
    if name in _SIMPLE:
        return _SIMPLE[name]
    try:
        share = float(name.removeprefix("p")) / 100
    except ValueError:
        share = -1.0
    if not name.startswith("p") or not 0 <= share <= 1:
        raise UnknownStatistic(
            f"the rehearsal does not know the statistic {name}: use {', '.join(_SIMPLE)} or a "
            "percentile such as p99"
        )
    return lambda values: sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


class Series:
    """The values of one metric, in the order of time."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.values: list[float] = []

    def add(self, moment: float, value: float) -> None:
        """Adds a value, which need not be the latest."""
        place = len(self.times)
        while place and self.times[place - 1] > moment:
            place -= 1
        self.times.insert(place, moment)
        self.values.insert(place, value)

    def within(self, start: float, end: float) -> list[float]:
        """Returns the values from ``start`` on and before ``end``."""
        return self.values[bisect_left(self.times, start) : bisect_left(self.times, end)]


class Metrics:
    """All metrics of an account."""

    def __init__(
        self,
        core: Core,
        resources: Iterable[Resource],
        lambdas: LambdaService,
        queues: Queues,
        outboxes: Outboxes,
    ) -> None:
        self._core = core
        self._resources = resources
        self._lambdas = lambdas
        self._queues = queues
        self._outboxes = outboxes
        self._series: defaultdict[Key, Series] = defaultdict(Series)
        self._seen = 0
        self._sms_seen = 0
        self._sms_of_month = Counter[str]()
        self._positions: dict[str, int] = {}
        self._sampling = False
        self._sampled: set[str] = set()
        self.sms_price_usd = 0.0
        """The price of a text message, which depends on its country."""

    def install(self, patches: Patches) -> None:
        """Takes what API clients put, and lists all metrics."""
        put = CloudWatchBackend.put_metric_data
        metrics = self

        def put_metric_data(backend: Any, namespace: str, metric_data: list[Any]) -> None:
            put(backend, namespace, metric_data)
            for datum in backend.metric_data:
                metrics._take(datum)
            backend.metric_data.clear()

        def get_all_metrics(_: CloudWatchBackend) -> list[Any]:
            metrics.refresh()
            return [
                MetricDatum(
                    namespace,
                    name,
                    series.values[-1],
                    [{"Name": key, "Value": value} for key, value in sorted(dimensions)],
                    None,
                )
                for (namespace, name, dimensions), series in metrics._series.items()
                if series.values
            ]

        patches.set(CloudWatchBackend, "put_metric_data", put_metric_data)
        patches.set(CloudWatchBackend, "get_all_metrics", get_all_metrics)
        self._queues.on_message.append(self._sample_soon)

    def add(
        self, namespace: str, name: str, dimensions: Dimensions, moment: float, value: float
    ) -> None:
        """Adds a value of a metric."""
        self._series[namespace, name, frozenset(dimensions.items())].add(moment, value)

    def series(self, namespace: str, name: str, dimensions: Dimensions) -> Series:
        """Returns the values of a metric, as of the last refresh."""
        return self._series.get((namespace, name, frozenset(dimensions.items())), _NOTHING)

    def refresh(self) -> None:
        """Reads what was metered and logged since the last time."""
        records = self._core.meter.records
        for record in records.since(self._seen):
            if (read := _READERS.get(record.kind)) is not None:
                read(self, record)
        self._seen = len(records)
        # Versions and aliases write to the log of their function.
        functions = [each for each in self._lambdas.functions.values() if not each.unqualified]
        for function in {each.arn: each for each in functions}.values():
            position = self._positions.get(function.arn, 0)
            lines, self._positions[function.arn] = function.log.lines(position)
            for _, line in lines:
                if '"_aws"' in line:
                    self._embedded(line)
        for sms in self._outboxes.sms[self._sms_seen :]:
            self._sms_seen += 1
            month = datetime.fromtimestamp(sms.time, UTC).strftime("%Y-%m")
            self._sms_of_month[month] += 1
            spent = self._sms_of_month[month] * self.sms_price_usd
            self.add("AWS/SNS", "SMSMonthToDateSpentUSD", {}, sms.time, spent)

    # -- sources --------------------------------------------------------------------------

    def _take(self, datum: Any) -> None:
        """Takes a value that an API client has put, or a set of statistics as such values."""
        dimensions = {each.name: each.value for each in datum.dimensions}
        values = [getattr(datum, "value", 0.0)]
        if isinstance(datum, MetricAggregatedDatum):
            count = int(datum.sample_count)
            rest = datum.sum - datum.min - datum.max
            values = [datum.sum] if count < 2 else [datum.min, datum.max]
            values += [rest / (count - 2)] * (count - 2)
        moment = datum.timestamp.timestamp() if datum.timestamp else self._core.scheduler.now()
        for value in values:
            self.add(datum.namespace, datum.name, dimensions, moment, value)

    def _embedded(self, line: str) -> None:
        """Reads the metrics of a log event.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
        """
        try:
            event = json.loads(line)
            moment = event["_aws"]["Timestamp"] / 1000
            directives = event["_aws"]["CloudWatchMetrics"]
            for directive in directives:
                for names in directive.get("Dimensions", [[]]):
                    dimensions = {name: str(event[name]) for name in names}
                    for metric in directive["Metrics"]:
                        values = event.get(metric["Name"], [])
                        for value in values if isinstance(values, list) else [values]:
                            self.add(
                                directive["Namespace"], metric["Name"], dimensions, moment, value
                            )
        except (ValueError, KeyError, TypeError):
            return  # CloudWatch drops metrics that are not in this form, too.

    def _invocation(self, record: Record) -> None:
        """Counts and measures an invocation.

        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
        """
        detail = record.detail
        for name, value in (
            ("Invocations", 1),
            ("Errors", 1 if detail["error"] else 0),
            ("Duration", detail["duration_s"] * 1000),
            ("ConcurrentExecutions", detail["concurrent"]),
        ):
            self._of_function(record.target, name, record.time, value)

    def _throttle(self, record: Record) -> None:
        self._of_function(record.target, "Throttles", record.time, 1)

    def _of_function(self, path: str, name: str, moment: float, value: float) -> None:
        function = self._lambdas.functions.get(path)
        if function is not None:
            self.add("AWS/Lambda", name, {"FunctionName": function.name}, moment, value)

    def _request(self, record: Record) -> None:
        """Counts and measures a request.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
        https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html
        """
        detail = record.detail
        if "eventType" in detail["context"]:
            return  # Metrics of WebSocket APIs have other names, and no data here.
        api = detail["api"]
        (of_api,) = api
        namespace, *names = _OF_REQUESTS[of_api]
        values = (
            *(1, 1 if 400 <= detail["status"] < 500 else 0, 1 if detail["status"] >= 500 else 0),
            detail["latency_s"] * 1000,
        )
        per_stage = [] if of_api == "FunctionName" else [{**api, "Stage": detail["stage"]}]
        for dimensions in (api, *per_stage):
            for name, value in zip(names, values, strict=True):
                self.add(namespace, name, dimensions, record.time, value)

    def _execution(self, record: Record) -> None:
        """Counts the start or the end of an execution.

        https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
        """
        detail = record.detail
        name = _BEGINNINGS.get(detail["what"]) or _EXECUTIONS.get(detail["status"])
        if name is not None:
            dimensions = {"StateMachineArn": detail["state_machine"]}
            self.add("AWS/States", name, dimensions, record.time, 1)

    def _delivery(self, record: Record) -> None:
        detail = record.detail
        if "age_s" in detail and detail["outcome"] != "throttled":
            self._of_function(record.target, "IteratorAge", record.time, detail["age_s"] * 1000)
        if detail["outcome"] == "delivered":
            names = {
                "rule": ["Invocations"],
                "subscriber": ["EventsDelivered"],
                "topic": [f"{_NOTIFICATIONS}Delivered"],
            }
            self._of_sender(record, names)
        if detail["outcome"] in ("delivered", "failed"):
            attempts = {
                "schedule": ["InvocationAttemptCount"],
                "subscriber": ["EventDeliveryAttempts"],
            }
            self._of_sender(record, attempts)
        if detail["outcome"] == "failed":
            self._of_sender(record, {"schedule": ["TargetErrorCount"]})
            if detail.get("error") == "INPUT_TRANSFORMATION_FAILURE":
                self._of_sender(record, {"subscriber": ["EventTransformationFailures"]})

    def _given_up(self, record: Record) -> None:
        names = {
            "rule": ["FailedInvocations"],
            "topic": [f"{_NOTIFICATIONS}Failed"],
            "schedule": ["InvocationDroppedCount"],
            "subscriber": list[str](),
        }
        if record.detail.get("records", 1) == 0:
            pass  # The record that names this event is counted with the first of its events.
        elif record.kind == "dead_letter":
            names["subscriber"].append("OnFailureDestinationDelivered")
        elif record.detail.get("refused"):
            names["subscriber"].append("OnFailureDestinationFailed")
        if record.kind == "discarded" and not record.detail.get("refused"):
            names["subscriber"].append("EventsDropped")
        if record.kind == "dead_letter":
            names["rule"].append("InvocationsSentToDlq")
            names["topic"].append(f"{_NOTIFICATIONS}RedrivenToDlq")
            names["schedule"].append("InvocationsSentToDeadLetterCount")
        elif record.detail.get("refused"):
            names["rule"].append("InvocationsFailedToBeSentToDlq")
            names["topic"].append(f"{_NOTIFICATIONS}FailedToRedriveToDlq")
            names["schedule"].append("InvocationsFailedToBeSentToDeadLetterCount")
        self._of_sender(record, names)

    def _of_sender(self, record: Record, names: Mapping[str, Sequence[str]]) -> None:
        """Counts for the rule, subscriber, topic or schedule that is the source of a delivery.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
        https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-observability.html
        """
        if "schedule" in record.detail:
            found = [("AWS/Scheduler", {"ScheduleGroup": record.detail["group"]}, "schedule")]
        elif "subscriber" in record.detail:
            arns = {"EventBus": record.detail["bus"], "Subscriber": record.detail["subscriber"]}
            found = [("AWS/EventsV2", arns, "subscriber")]
        else:
            found = [
                (namespace, dimensions, kind)
                for resource in self._at[record.source]
                for namespace, dimensions, kind in _as_sender(resource)
            ]
        for namespace, dimensions, kind in found:
            for name in names.get(kind, ()):
                self.add(namespace, name, dimensions, record.time, 1)

    @cached_property
    def _at(self) -> Mapping[str, list[Resource]]:
        """The resources by their path; to be read once all are created."""
        found = defaultdict[str, list[Resource]](list)
        for resource in self._resources:
            found[resource.path].append(resource)
        return found

    def _call(self, record: Record) -> None:
        """Counts what a stream refuses.

        https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html
        """
        detail = record.detail
        if detail["service"] != "kinesis" or not detail["operation"].startswith("PutRecord"):
            return
        for resource in self._at[record.target]:
            dimensions = {"StreamName": resource.physical_id}
            throttled = "ProvisionedThroughputExceeded" in (detail["error"] or "")
            for name, value in (
                ("WriteProvisionedThroughputExceeded", 1 if throttled else 0),
                ("PutRecords.FailedRecords", 1 if detail["error"] and not throttled else 0),
            ):
                self.add("AWS/Kinesis", name, dimensions, record.time, value)

    # -- queues ---------------------------------------------------------------------------

    def _sample_soon(self) -> None:
        """Samples at the next full minute, unless that is planned already."""
        if self._sampling:
            return
        self._sampling = True
        now = self._core.scheduler.now()
        moment = (now // _SAMPLE_S + 1) * _SAMPLE_S
        self._core.scheduler.call_at(moment, self._sample, daemon=True)

    def _sample(self) -> None:
        """Samples all queues, and again in a minute if one has messages.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        """
        self._sampling = False
        moment = self._core.scheduler.now()
        for queue in sqs_backends[self._core.account][self._core.region].queues.values():
            messages: Any = queue._messages
            if not messages and queue.name not in self._sampled:
                continue
            visible = queue.approximate_number_of_messages
            sent = [float(message.sent_timestamp) for message in messages]
            oldest = min(sent, default=moment * 1000)
            for name, value in (
                ("ApproximateNumberOfMessagesVisible", visible),
                ("ApproximateNumberOfMessagesNotVisible", len(messages) - visible),
                ("ApproximateAgeOfOldestMessage", moment - oldest / 1000),
            ):
                # What is measured at the end of a minute belongs to that minute.
                self.add("AWS/SQS", name, {"QueueName": queue.name}, moment - 1, value)
            if messages:
                self._sampled.add(queue.name)
                self._sample_soon()
            else:
                self._sampled.discard(queue.name)


_NOTIFICATIONS = "NumberOfNotifications"
_NOTHING = Series()
_READERS: Mapping[str, Callable[[Metrics, Record], None]] = {
    "call": Metrics._call,
    "dead_letter": Metrics._given_up,
    "delivery": Metrics._delivery,
    "discarded": Metrics._given_up,
    "execution": Metrics._execution,
    "invocation": Metrics._invocation,
    "request": Metrics._request,
    "throttle": Metrics._throttle,
}


def _as_sender(resource: Resource) -> Iterator[tuple[str, dict[str, str], str]]:
    """The namespaces and dimensions of a resource that delivers, and its kind."""
    if resource.type == "AWS::SNS::Topic":
        name = resource.physical_id.rpartition(":")[2]
        yield "AWS/SNS", {"TopicName": name}, "topic"
    elif resource.type == "AWS::Events::Rule":
        bus, _, name = resource.physical_id.rpartition("|")
        yield "AWS/Events", {"RuleName": name}, "rule"
        yield "AWS/Events", {"EventBusName": bus or "default", "RuleName": name}, "rule"
