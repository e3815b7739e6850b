"""The queues of a stage while it is under load: their depth, their age, and their dead letters."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import nan

from tools.load_test.figures import Deepest
from tools.smoke.stage import Stage

_QUEUE = "AWS::SQS::Queue"
_EVERY_S = 2.0
_METRICS_AT_ONCE = 500
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""
_PERIOD_S = 60
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html"""


class Queues:
    """The queues of consumers, by their construct paths, such as `Checkout/RunCheckout`."""

    def __init__(self, stage: Stage, consumers: Sequence[str]) -> None:
        """Raises NotDeployed if a queue is not deployed."""
        self._stage = stage
        self._urls = {name: _url(stage, name, "Queue") for name in consumers}
        self._dead = [_url(stage, name, "DeadLetters") for name in consumers]
        self._dead_before = self._dead_letters()
        self._next = 0.0
        self.deepest = Deepest(consumers[0], 0)

    def sample(self) -> None:
        """Reads the depth of each queue, unless that was done a moment ago."""
        if time.monotonic() < self._next:
            return
        for name, url in self._urls.items():
            found = Deepest(name, self._stage.depth(url))
            self.deepest = max(self.deepest, found, key=lambda each: each.messages)
        self._next = time.monotonic() + _EVERY_S

    def new_dead_letters(self) -> int:
        """Returns how many messages have come into the dead-letter queues."""
        return max(0, self._dead_letters() - self._dead_before)

    def oldest_s(self, since: float, until: float) -> float:
        """Returns the highest age of a message between epoch seconds; NaN if none is known yet.

        CloudWatch has it for each minute, some minutes later.
        """
        return max(self._ages(since, until), default=nan)

    def _ages(self, since: float, until: float) -> Iterator[float]:
        names = [url.rsplit("/", 1)[-1] for url in self._urls.values()]
        for first in range(0, len(names), _METRICS_AT_ONCE):
            pages = (
                self._stage.client("cloudwatch")
                .get_paginator("get_metric_data")
                .paginate(
                    MetricDataQueries=[
                        _age(number, name)
                        for number, name in enumerate(names[first : first + _METRICS_AT_ONCE])
                    ],
                    StartTime=datetime.fromtimestamp(since // _PERIOD_S * _PERIOD_S, UTC),
                    EndTime=datetime.fromtimestamp(until + _PERIOD_S, UTC),
                )
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    yield from result["Values"]

    def _dead_letters(self) -> int:
        return sum(map(self._stage.depth, self._dead))


def _age(number: int, queue: str) -> dict[str, object]:
    return {
        "Id": f"m{number}",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": queue}],
            },
            "Period": _PERIOD_S,
            "Stat": "Maximum",
        },
    }


def _url(stage: Stage, consumer: str, suffix: str) -> str:
    context, _, name = consumer.partition("/")
    return stage.resource(context, _QUEUE, f"{name.replace('/', '')}{suffix}")
