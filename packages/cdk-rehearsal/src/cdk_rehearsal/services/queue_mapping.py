"""SQS: Lambda's event source mapping."""

import json
from dataclasses import dataclass
from typing import Any

from moto.sqs.models import Message

from cdk_rehearsal.core import Core
from cdk_rehearsal.filters import FilterCriteria
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.services.batches import Invoker, failed_items
from cdk_rehearsal.services.functions import Consumer, Throttled
from cdk_rehearsal.services.polling import lacking
from cdk_rehearsal.services.queues import Queue
from cdk_rehearsal.virtual_time.agenda import Timer

# Lambda starts with five invocations at a time and adds up to 300 a minute:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
_FIRST_POLLERS = 5
_POLLERS_PER_SECOND = 5.0
_THROTTLE_BACKOFF = (0.5, 30.0)


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """How a queue is read."""

    batch_size: int
    window_s: float
    maximum_concurrency: int | None
    filters: FilterCriteria
    reports_failures: bool


class QueueMapping:
    """Lambda's poller of one queue for one function.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """

    def __init__(
        self,
        core: Core,
        lambdas: Invoker,
        queue: Queue,
        function: Consumer,
        options: QueueOptions,
    ) -> None:
        self._core = core
        self._scheduler = core.scheduler
        self._lambdas = lambdas
        self._queue = queue
        self._function = function
        self.options = options
        self._model: Any = None
        self._active = 0
        self._busy_since = 0.0
        self._waits_since: float | None = None
        self._timer: Timer | None = None

    def attach(self, model: Any) -> None:
        """Takes moto's record of this mapping, which an API client may disable."""
        self._model = model

    def wake(self) -> None:
        """Looks at the queue soon, unless that is planned already."""
        delay = self._core.draw(self._core.latency.queue_poll_s)
        self._poll_at(self._scheduler.now() + delay)

    def _poll_at(self, moment: float) -> None:
        if self._timer is not None and self._timer.live:
            if self._timer.time <= moment:
                return
            self._timer.cancel()
        self._timer = self._scheduler.call_at(moment, self._poll)

    def _poll(self) -> None:
        self._timer = None
        if self._model is None or not self._model.enabled:
            return
        if refusal := lacking(self._core, self._function, self._queue.arn):
            self._core.meter.add(
                "delivery", self._queue.path, self._function.path, outcome="denied", error=refusal
            )
            return
        while self._active < self._limit():
            available = self._queue.count_visible(self.options.batch_size)
            if not available or self._gathers(available):
                break
            self._waits_since = None
            messages = self._queue.receive(self.options.batch_size, self.options.filters)
            if messages:
                if not self._active:
                    self._busy_since = self._scheduler.now()
                self._active += 1
                self._scheduler.spawn(
                    self._deliver,
                    messages,
                    name=f"batch of {self._queue.path} for {self._function.path}",
                    critical=True,
                )
        limit = self._limit()
        if self._active < limit and self._waits_since is None:
            moment = self._queue.next_visible()
            if moment is not None:
                # A little later, since moto counts in milliseconds.
                self._poll_at(max(moment, self._scheduler.now()) + 0.001)
        elif self._active >= limit and limit != self.options.maximum_concurrency:
            self._poll_at(self._scheduler.now() + 1 / _POLLERS_PER_SECOND)

    def _gathers(self, available: int) -> bool:
        """Waits for a batch to fill, up to the batching window; says whether it still does."""
        if not self.options.window_s or available >= self.options.batch_size:
            return False
        now = self._scheduler.now()
        if self._waits_since is None:
            self._waits_since = now
        end = self._waits_since + self.options.window_s
        if now >= end:
            return False
        self._poll_at(end)
        return True

    def _limit(self) -> int:
        """Returns how many batches may be handled now. A maximum does not let them grow faster."""
        most = self.options.maximum_concurrency or LIMITS["lambda.queue_pollers"]
        busy = self._scheduler.now() - self._busy_since if self._active else 0.0
        return min(most, _FIRST_POLLERS + int(busy * _POLLERS_PER_SECOND))

    def _deliver(self, messages: list[Message]) -> None:
        try:
            self._invoke(messages)
        finally:
            self._active -= 1
            self.wake()

    def _invoke(self, messages: list[Message]) -> None:
        payload = json.dumps({"Records": [self._queue.record(message) for message in messages]})
        identifiers = [message.id for message in messages]
        expires = self._scheduler.now() + self._queue.visibility_timeout_s
        backoff, longest = _THROTTLE_BACKOFF
        while True:
            try:
                result = self._lambdas.invoke(self._function, payload, source=self._queue.path)
                break
            except Throttled:
                # Lambda keeps trying until the messages are visible again:
                # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
                if self._scheduler.now() + backoff >= expires:
                    self._report("throttled", identifiers, identifiers)
                    return
                self._scheduler.sleep(backoff)
                backoff = min(backoff * 2, longest)
        failed = failed_items(result, identifiers, reports_failures=self.options.reports_failures)
        # What failed stays hidden until its visibility timeout is over.
        for message in messages:
            if message.id not in failed and not self._stays(message):
                self._queue.delete(message)
        outcome = "failed" if len(failed) == len(messages) else "partial" if failed else "delivered"
        self._report(outcome, identifiers, failed, request_id=result.request_id)

    def _stays(self, message: Message) -> bool:
        """Whether a fault keeps a message from being deleted, though it was handled."""
        faults = self._core.faults
        return faults.strike("delete", self._queue.path, self._function.path) is not None

    def _report(self, outcome: str, messages: list[str], failed: list[str], **detail: str) -> None:
        self._core.meter.add(
            "delivery",
            self._queue.path,
            self._function.path,
            outcome=outcome,
            messages=messages,
            failed=failed,
            **detail,
        )
