"""CloudWatch Logs: from a log group through its subscription filters to functions and streams.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
"""

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from moto.logs.exceptions import InvalidParameterException
from moto.logs.models import LogsBackend, LogStream, SubscriptionFilter, logs_backends

from cdk_rehearsal.core import Core
from cdk_rehearsal.meter import Record
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.deliveries import DeliveryFailed, check_faults, deliver
from cdk_rehearsal.services.functions import PayloadTooLarge
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.log_patterns import InvalidPattern, log_filter
from cdk_rehearsal.services.streams import Streams

SERVICE = "logs.amazonaws.com"
DESTINATIONS = frozenset({"kinesis", "lambda"})
"""The services to which a rehearsal delivers log events."""

# Failed deliveries are retried for 24 hours, unless a retry cannot help: then the filter is
# disabled for 10 minutes. https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html
_RETRIED_S = 24 * 3600.0
_DISABLED_S = 600.0
# AWS does not document the pauses between retries.
_BACKOFF_S = (1.0, 300.0)
_LOGGED = frozenset({"execution", "invocation", "request"})
"""Records of which there may be log lines."""


class LogSubscriptions:
    """The subscription filters at work; moto keeps the filters themselves."""

    def __init__(
        self, core: Core, lambdas: LambdaService, streams: Streams, feed: Callable[[], None]
    ) -> None:
        """``feed`` hands all lines to moto that it does not have yet."""
        self._core = core
        self._lambdas = lambdas
        self._streams = streams
        self._feed = feed
        self._sent: dict[tuple[str, str], dict[str, int]] = {}
        self._disabled: dict[tuple[str, str], float] = {}
        self._waiting = False

    def install(self, patches: Patches) -> None:
        """Delivers what is written from the first filter on; moto itself delivers nothing."""
        subscribe, put_events = LogsBackend.put_subscription_filter, LogStream.put_log_events

        def put_subscription_filter(
            backend: LogsBackend,
            log_group_name: str,
            filter_name: str,
            filter_pattern: str,
            destination_arn: str,
            role_arn: str,
        ) -> None:
            self._check(filter_pattern)
            subscribe(
                backend, log_group_name, filter_name, filter_pattern, destination_arn, role_arn
            )
            if not self._sent:
                self._core.meter.listen(self._recorded)
            self._feed()
            streams = backend.groups[log_group_name].streams
            self._sent[log_group_name, filter_name] = {
                name: len(stream.events) for name, stream in streams.items()
            }

        def put_log_events(stream: LogStream, log_events: list[dict[str, Any]]) -> str:
            token: str = put_events(stream, log_events)
            self._wake()
            return token

        patches.set(LogsBackend, "put_subscription_filter", put_subscription_filter)
        patches.set(LogStream, "put_log_events", put_log_events)
        patches.set(LogStream, "_send_log_events", lambda *_, **__: None)

    @staticmethod
    def _check(pattern: str) -> None:
        try:
            log_filter(pattern)
        except InvalidPattern as error:
            raise InvalidParameterException(f"Invalid filter pattern: {error}") from None

    def refusal(self, group: str, destination: str, role: str | None) -> str | None:
        """Returns why CloudWatch Logs may not deliver, as it says; None if it may."""
        arn, kind = self._arn(group), destination.split(":")[2]
        if kind == "lambda":
            function = self._lambdas.functions.get(destination)
            if function is None or not self._lambdas.admits(function, SERVICE, arn):
                return (
                    "Could not execute the lambda function. Make sure you have given CloudWatch "
                    "Logs permission to execute your function."
                )
        elif not self._core.access.role_may(
            role or "", SERVICE, "kinesis:PutRecord", destination, arn
        ):
            return (
                "Could not deliver test message to specified Kinesis stream. Check if the given "
                "kinesis stream is in ACTIVE state."
            )
        return None

    def _arn(self, group: str) -> str:
        return f"arn:aws:logs:{self._core.region}:{self._core.account}:log-group:{group}:*"

    def _recorded(self, record: Record) -> None:
        if record.kind in _LOGGED:
            self._wake()

    def _wake(self) -> None:
        """Delivers in a while, unless a delivery is due already."""
        if self._sent and not self._waiting:
            self._waiting = True
            delay = self._core.draw(self._core.latency.log_subscription_s)
            self._core.scheduler.spawn(
                self._forward,
                name="subscriptions of log groups",
                at=self._core.scheduler.now() + delay,
                critical=True,
            )

    def _forward(self) -> None:
        self._waiting = False
        self._feed()
        backend = logs_backends[self._core.account][self._core.region]
        for key, sent in self._sent.items():
            group = backend.groups.get(key[0])
            found = group and group.subscription_filters.get(key[1])
            if not group or not found:
                continue
            enabled = self._disabled.get(key, 0.0) <= self._core.scheduler.now()
            for name, stream in group.streams.items():
                events, sent[name] = stream.events[sent.get(name, 0) :], len(stream.events)
                if enabled:
                    self._start(found, name, [*_matching(found.filter_pattern, events)])

    def _start(self, found: SubscriptionFilter, stream: str, events: list[dict[str, Any]]) -> None:
        core = self._core
        if not events:
            return
        message = {
            "messageType": "DATA_MESSAGE",
            "owner": core.account,
            "logGroup": found.log_group_name,
            "logStream": stream,
            "subscriptionFilters": [found.name],
            "logEvents": events,
        }
        source, target = self._ends(found)
        for late in core.faults.way(source, target):
            core.scheduler.spawn(
                self._deliver,
                found,
                stream,
                # Without the time of the compression, so that a seed gives the same bytes.
                gzip.compress(json.dumps(message).encode(), mtime=0),
                name=f"log events of {source} for {target}",
                at=core.scheduler.now() + late,
                critical=True,
            )

    def _ends(self, found: SubscriptionFilter) -> tuple[str, str]:
        core = self._core
        return core.path_of(found.log_group_name), core.path_of(found.destination_arn)

    def _deliver(self, found: SubscriptionFilter, stream: str, data: bytes) -> None:
        """Tries for a day; what cannot be delivered is dropped, but stays in the log group."""
        failure = deliver(
            self._core,
            *self._ends(found),
            partial(self._hand_over, found, stream, data),
            within_s=_RETRIED_S,
            pauses_s=_BACKOFF_S,
        )
        if failure and not failure.retriable:
            until = self._core.scheduler.now() + _DISABLED_S
            self._disabled[found.log_group_name, found.name] = until

    def _hand_over(self, found: SubscriptionFilter, stream: str, data: bytes) -> None:
        """Invokes the function, or puts a record whose key is the log stream.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/subscription-concepts.html
        """
        source, target = self._ends(found)
        arn = found.destination_arn
        check_faults(self._core, source, target, gone="ResourceNotFoundException")
        if self.refusal(found.log_group_name, arn, found.role_arn):
            raise DeliveryFailed("AccessDeniedException")
        if arn.split(":")[2] == "kinesis":
            self._streams.put_data(arn, stream, data)
            return
        payload = json.dumps({"awslogs": {"data": base64.b64encode(data).decode()}})
        try:
            self._lambdas.invoke_async(self._lambdas.function(arn), payload, source=source)
        except PayloadTooLarge as error:
            raise DeliveryFailed("RequestTooLargeException", str(error)) from None


def _matching(pattern: str, events: list[Any]) -> Iterator[dict[str, Any]]:
    matches = log_filter(pattern)
    for event in events:
        if matches(event.message):
            yield {"id": event.event_id, "timestamp": event.timestamp, "message": event.message}
