"""The hops of a synthetic order, and their spans in the logs of a stage."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.smoke.stage import Stage

_LOG_GROUP, _QUEUE = "AWS::Logs::LogGroup", "AWS::SQS::Queue"
_FEEDS = "its rule, subscriber, topic or bucket"
"""What sends messages to the queue of a hop."""


@dataclass(frozen=True)
class Hop:
    """A function that an order passes. A consumer has a queue; it is in `Function` of its name."""

    context: str
    name: str

    def __str__(self) -> str:
        """Returns its construct path."""
        return f"{self.context}/{self.name}"


def hops(*paths: str) -> tuple[Hop, ...]:
    """Returns hops by their construct paths, such as `Checkout/RunCheckout`."""
    return tuple(Hop(*path.split("/", 1)) for path in paths)


@dataclass(frozen=True)
class SpanLine:
    """A span in the log of a hop: when it began (epoch seconds), and how long it took."""

    hop: Hop
    span_id: str
    parents: tuple[str, ...]
    """The ids of the spans that caused it."""
    began: float
    duration_s: float
    outcome: str
    error: str | None

    @property
    def ended(self) -> float:
        """When it ended, in epoch seconds."""
        return self.began + self.duration_s


@dataclass
class Diagnosis:
    """What the logs, queues and alarms of a stage say about hops."""

    stage: Stage
    run_id: str
    """The beginning of the trace's id, which is in the name of the file, too."""
    since: float
    """Since when logs are read, in epoch seconds."""
    problems: dict[str, str] = field(default_factory=dict)
    """What cannot be read, and why."""

    def spans(self, wanted: Iterable[Hop]) -> list[SpanLine]:
        """Returns the spans of the run in the logs of hops, in the order of their beginnings."""
        found = [span for hop in dict.fromkeys(wanted) for span in self._spans_of(hop)]
        return sorted(found, key=lambda span: span.began)

    def first_without_span(self, wanted: Sequence[Hop]) -> Hop | None:
        """Returns the first of the hops that has not worked, or None if all have."""
        good = {span.hop for span in self.spans(wanted) if span.outcome not in {"failed", "parked"}}
        return next((hop for hop in wanted if hop not in good), None)

    def about(self, hop: Hop) -> str:
        """Says what is known of a hop that has not worked: its errors, queues and alarms."""
        failed = [span for span in self._spans_of(hop) if span.error]
        facts = [f"it failed with {span.error}" for span in failed[-1:]]
        if not failed and "logs" not in self.problems:
            facts.append("it has no span in its log")
        facts += self._queues(hop)
        facts += self._alarms(hop)
        return "; ".join(facts)

    def _spans_of(self, hop: Hop) -> Iterator[SpanLine]:
        names = (f"{hop.name.replace('/', '')}{each}" for each in ("FunctionLog", "Log"))
        groups = [self.stage.find(hop.context, _LOG_GROUP, name) for name in names]
        for group in filter(None, groups):
            for message in self._lines(group):
                yield from _span(hop, message, self.run_id)

    def _lines(self, group: str) -> Sequence[str]:
        """Returns the lines of a log group that are about the run."""
        # It stands within other text, so a whole word does not match.
        pattern = f"%{self.run_id}%"
        try:
            found = self._matching(group, pattern)
            if not found and self.stage.endpoint:
                found = [line for line in self._matching(group) if self.run_id in line]
                # They may have been written since the first search.
                if found and not self._matching(group, pattern):
                    self.problems["patterns"] = (
                        "the emulator finds no lines by a regular expression: all lines were read"
                    )
            return found
        except (BotoCoreError, ClientError) as error:
            self.problems["logs"] = f"logs cannot be read: {error}"
            return ()

    def _matching(self, group: str, pattern: str = "") -> Sequence[str]:
        """Returns the lines of a log group since the run began, or those that match a pattern.

        Raises the errors of the client.
        https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/regex-expressions.html
        """
        pages = (
            self.stage.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=group, startTime=int(self.since * 1000), filterPattern=pattern)
        )
        return [event["message"] for page in pages for event in page["events"]]

    def _queues(self, hop: Hop) -> Iterator[str]:
        """Says how many messages are in the queue of a hop, and in its dead-letter queues."""
        named = {
            "Queue": "wait in its queue",
            "DeadLetters": "are in its dead-letter queue",
            "SubscriberUndelivered": "were given up by its subscriber",
        }
        for suffix, where in named.items():
            url = self.stage.find(hop.context, _QUEUE, f"{hop.name}{suffix}")
            if url and (number := self._messages(url)):
                yield f"{number} messages {where}"
            elif url and suffix == "Queue":
                yield f"its queue is empty: look at {_FEEDS} and the policies"

    def _messages(self, url: str) -> int:
        try:
            return self.stage.depth(url)
        except (BotoCoreError, ClientError) as error:
            self.problems["queues"] = f"queues cannot be read: {error}"
            return 0

    def _alarms(self, hop: Hop) -> Iterator[str]:
        names = self.stage.named(hop.context, "AWS::CloudWatch::Alarm", hop.name)
        if not names:
            return
        try:
            found = self.stage.client("cloudwatch").describe_alarms(
                AlarmNames=names, StateValue="ALARM"
            )
            yield from (f"alarm {each['AlarmName']} fires" for each in found["MetricAlarms"])
        except (BotoCoreError, ClientError) as error:
            self.problems["alarms"] = f"alarms cannot be read: {error}"


def _span(hop: Hop, message: str, run_id: str) -> Iterator[SpanLine]:
    try:
        line: Mapping[str, Any] = json.loads(message)
    except ValueError:
        return
    if line.get("type") != "span":
        return
    linked = (link.split("-")[2] for link in line.get("links", ()) if run_id in link)
    yield SpanLine(
        hop,
        line["span_id"],
        (line.get("parent_id", ""), *linked),
        datetime.fromisoformat(line["start"]).timestamp(),
        line["duration_ms"] / 1000,
        line["outcome"],
        line.get("error"),
    )
