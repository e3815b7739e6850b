"""Lambda's event source mapping of a stream: each shard in order, the shards side by side.

What DynamoDB Streams and Kinesis Data Streams have in common; ``streams`` has the rest.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.filters import FilterCriteria
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.services.batches import Invoker, failed_items
from cdk_rehearsal.services.destinations import Destinations
from cdk_rehearsal.services.functions import Consumer, InvocationResult, Throttled
from cdk_rehearsal.services.polling import lacking
from cdk_rehearsal.services.stream_records import Shard, Stream, StreamRecord
from cdk_rehearsal.services.texts import iso_milliseconds
from cdk_rehearsal.services.windows import Window, state_of
from cdk_rehearsal.virtual_time.agenda import Timer

_ENVELOPE_BYTES = 1024


@dataclass(frozen=True, kw_only=True)
class MappingOptions:
    """How a stream is read. -1 as a maximum means: no bound but the stream's retention."""

    from_start: bool
    batch_size: int
    batching_window_s: int
    tumbling_window_s: int
    filters: FilterCriteria
    reports_failures: bool
    bisects: bool
    maximum_retries: int
    maximum_age_s: float
    on_failure: str | None


@dataclass
class _Batch:
    """Records that are invoked with together, and how often that has failed.

    A batch that ``closes`` the window stands for the records that the window has held, but hands
    over its state alone.
    """

    items: list[StreamRecord]
    failures: int = 0
    closes: Literal["", "final", "early"] = ""
    records: list[StreamRecord] = field(init=False)

    def __post_init__(self) -> None:
        self.records = [] if self.closes else self.items


class StreamMapping:
    """Lambda's poller of one stream for one function.

    https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
    """

    def __init__(
        self,
        core: Core,
        lambdas: Invoker,
        destinations: Destinations,
        stream: Stream,
        function: Consumer,
        options: MappingOptions,
    ) -> None:
        self.stream = stream
        self.options = options
        self._readers = {
            shard.id: _ShardReader(core, lambdas, destinations, self, shard, function)
            for shard in stream.shards
        }
        self._model: Any = None

    @property
    def enabled(self) -> bool:
        """Whether the mapping is at work."""
        return self._model is not None and bool(self._model.enabled)

    def attach(self, model: Any) -> None:
        """Takes moto's record of this mapping, which an API client may disable."""
        self._model = model

    def wake(self, shard_id: str | None = None) -> None:
        """Looks at a shard, or at all, at the next poll, unless that is planned already."""
        for reader in [self._readers[shard_id]] if shard_id else self._readers.values():
            reader.wake()


class _ShardReader:
    """The poller of one shard: one batch at a time, until each record is through or given up."""

    def __init__(
        self,
        core: Core,
        lambdas: Invoker,
        destinations: Destinations,
        mapping: StreamMapping,
        shard: Shard,
        function: Consumer,
    ) -> None:
        self._core = core
        self._scheduler = core.scheduler
        self._lambdas = lambdas
        self._destinations = destinations
        self._mapping = mapping
        self._stream = mapping.stream
        self._source = core.path_of(mapping.stream.source_arn)
        self._shard = shard
        self._function = function
        self._position = 0 if self._options.from_start else len(shard)
        self._working = False
        self._window: Window | None = None
        self._poll: Timer | None = None
        self._end_of_window: Timer | None = None

    @property
    def _options(self) -> MappingOptions:
        """The options of the mapping, which an update may change."""
        return self._mapping.options

    def wake(self) -> None:
        """Looks at the shard at the next poll, unless that is planned already."""
        if not self._working and not (self._poll and self._poll.live):
            self._poll = self._scheduler.call_later(self._stream.poll_delay(), self._start)

    def _start(self) -> None:
        if self._working or not self._mapping.enabled:
            return
        if refusal := lacking(self._core, self._function, self._stream.arn):
            self._core.meter.add(
                "delivery", self._source, self._function.path, outcome="denied", error=refusal
            )
            return
        self._working = True
        self._scheduler.spawn(
            self._drain,
            name=f"{self._shard.id} of {self._source} for {self._function.path}",
            critical=True,
        )

    def _drain(self) -> None:
        """Process what is in the shard, batch after batch, until nothing is left."""
        try:
            while self._mapping.enabled:
                items = self._take([])
                window = self._window
                if items:
                    items = self._gather(items)
                    if window is not None:
                        window.records += items
                    self._process(_Batch(items))
                elif window is not None and self._scheduler.now() >= window.end:
                    self._process(_Batch(window.records, closes="final"))
                    self._window = None
                else:
                    break
        finally:
            self._working = False
        self._await_end_of_window()

    def _await_end_of_window(self) -> None:
        if self._window is not None and not (self._end_of_window and self._end_of_window.live):
            moment = self._window.end + self._stream.poll_delay()
            self._end_of_window = self._scheduler.call_at(moment, self._start)

    # -- reading --------------------------------------------------------------------------

    def _take(self, items: list[StreamRecord]) -> list[StreamRecord]:
        """Reads on until the batch is full; records that no filter matches go by."""
        room = LIMITS["lambda.payload_bytes"] - _ENVELOPE_BYTES - sum(item.size for item in items)
        if self._options.tumbling_window_s:
            room -= LIMITS["lambda.window_state_bytes"]
        while self._position < len(self._shard) and len(items) < self._options.batch_size:
            item = self._shard.read(self._position)
            if self._options.filters.matches(item.record):
                room -= item.size
                if not self._in_window(item) or (items and room < 0):
                    break
                items.append(item)
            self._position += 1
        return items

    def _in_window(self, item: StreamRecord) -> bool:
        """Whether a record belongs to the open window, which the first one opens."""
        if self._window is None and self._options.tumbling_window_s:
            self._window = Window.around(item.arrived, self._options.tumbling_window_s)
        return self._window is None or item.arrived < self._window.end

    def _gather(self, items: list[StreamRecord]) -> list[StreamRecord]:
        """Waits up to the batching window, and not beyond a tumbling one, for the batch to fill."""
        wait: float = self._options.batching_window_s
        if not wait or len(items) >= self._options.batch_size:
            return items
        if self._window is not None:
            wait = min(wait, max(0.0, self._window.end - self._scheduler.now()))
        self._scheduler.sleep(wait)
        return self._take(items)

    # -- processing -----------------------------------------------------------------------

    def _process(self, batch: _Batch) -> None:
        """Invokes the function until each record has succeeded or is given up.

        Rules: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html and
        https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html,
        and for tables https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
        """
        todo = deque([batch])
        shortest, longest = self._core.latency.stream_retry_s
        backoff = shortest
        while todo:
            batch = todo.popleft()
            self._drop_expired(batch)
            if not batch.items:
                continue
            try:
                result = self._invoke(batch)
            except Throttled:
                # Nothing was invoked: retried until the records expire, whatever the bound.
                self._report("throttled", batch, len(batch.items))
                todo.appendleft(batch)
                self._scheduler.sleep(backoff)
                backoff = min(backoff * 2, longest)
                continue
            done = self._progress(batch, result)
            overflow = self._keep_state(batch, done, result)
            if done == len(batch.items):
                self._report("delivered", batch, done)
                todo.extendleft(overflow)
                backoff = shortest
                continue
            # All from the lowest failed sequence number on is tried again.
            self._report("partial" if done else "failed", batch, done)
            split, discarded = self._split(batch, done)
            if discarded:
                self._discard(batch, batch.items[done:], "RetryAttemptsExhausted", result)
            todo.extendleft(reversed(overflow + split))
            if split and not (self._options.bisects and len(split) > 1):
                self._scheduler.sleep(backoff)
                backoff = min(backoff * 2, longest)

    def _invoke(self, batch: _Batch) -> InvocationResult:
        event: dict[str, Any] = {"Records": [item.record for item in batch.records]}
        if self._window is not None:
            event |= self._window.fields(
                final=batch.closes == "final", early=batch.closes == "early"
            )
            event |= {"shardId": self._shard.id, "eventSourceARN": self._stream.arn}
        return self._lambdas.invoke(self._function, json.dumps(event), source=self._source)

    def _progress(self, batch: _Batch, result: InvocationResult) -> int:
        """Returns how many of a batch's records are through."""
        if result.failed or (self._window is not None and state_of(result.payload) is None):
            return 0
        identifiers = [item.sequence_number for item in batch.items]
        failed = failed_items(result, identifiers, reports_failures=self._options.reports_failures)
        if not failed:
            return len(identifiers)
        return 0 if batch.closes else identifiers.index(failed[0])

    def _keep_state(self, batch: _Batch, done: int, result: InvocationResult) -> list[_Batch]:
        """Carries an answer's state on; returns what ends the window early if it grew too large.

        A failed try leaves the state as it was. The window goes on with an empty one after it was
        terminated early. Both, and that a partial success counts, are not documented in detail:
        https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
        """
        window = self._window
        if window is None or not done:
            return []
        window.state = {} if batch.closes else state_of(result.payload) or {}
        return [_Batch(batch.items[:done], closes="early")] if window.overflows else []

    def _split(self, batch: _Batch, done: int) -> tuple[list[_Batch], bool]:
        """Returns what of a failed batch is tried again, and whether it is given up instead."""
        rest = batch.items[done:]
        if self._options.bisects and len(rest) > 1 and not batch.closes:
            # Splitting, at the reported record or else in halves, uses up no retry.
            if done:
                return [_Batch(rest)], False
            middle = len(rest) // 2
            return [
                _Batch(rest[:middle], batch.failures),
                _Batch(rest[middle:], batch.failures),
            ], False
        # A batch that got further than before starts to count anew.
        batch.failures = 1 if done else batch.failures + 1
        if 0 <= self._options.maximum_retries < batch.failures:
            return [], True
        return [_Batch(rest, batch.failures, batch.closes)], False

    # -- giving up ------------------------------------------------------------------------

    def _drop_expired(self, batch: _Batch) -> None:
        maximum = self._options.maximum_age_s
        if not 0 <= maximum < self._stream.retention_s:
            maximum = self._stream.retention_s
        oldest = self._scheduler.now() - maximum
        expired = [item for item in batch.items if item.arrived < oldest]
        # A window is as young as its youngest record.
        if expired and not (batch.closes and len(expired) < len(batch.items)):
            self._discard(batch, expired, "RecordAgeExceeded", None)
            del batch.items[: len(expired)]

    def _discard(
        self,
        batch: _Batch,
        items: list[StreamRecord],
        condition: str,
        result: InvocationResult | None,
    ) -> None:
        """Gives up records, and reports their position to the on-failure destination.

        https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
        https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
        """
        if self._window is not None and batch.closes:
            self._window.state = {}
        identifiers = [item.sequence_number for item in items]
        destination = self._options.on_failure
        if destination is None:
            self._core.meter.add(
                "discarded", self._source, "nowhere", condition=condition, records=identifiers
            )
            return
        report: dict[str, Any] = {
            "requestContext": {
                "requestId": result.request_id if result else self._core.new_id(),
                "functionArn": self._function.arn,
                "condition": condition,
                "approximateInvokeCount": batch.failures,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
            "version": "1.0",
            "timestamp": iso_milliseconds(self._scheduler.now()),
            self._stream.batch_info: {
                "shardId": self._shard.id,
                "startSequenceNumber": identifiers[0],
                "endSequenceNumber": identifiers[-1],
                "approximateArrivalOfFirstRecord": self._stream.moment(items[0].arrived),
                "approximateArrivalOfLastRecord": self._stream.moment(items[-1].arrived),
                "batchSize": len(items),
                "streamArn": self._stream.arn,
            },
        }
        if result is not None and result.function_error:
            report["responseContext"]["functionError"] = result.function_error
        try:
            self._destinations.send(destination, json.dumps(report), source=self._function)
        except Denied:
            self._core.meter.add(
                "discarded", self._source, "nowhere", condition="AccessDenied", records=identifiers
            )
            return
        self._core.meter.add(
            "dead_letter",
            self._source,
            self._core.path_of(destination),
            condition=condition,
            records=identifiers,
        )

    def _report(self, outcome: str, batch: _Batch, done: int) -> None:
        identifiers = [item.sequence_number for item in batch.records]
        self._core.meter.add(
            "delivery",
            self._source,
            self._function.path,
            outcome=outcome,
            records=identifiers,
            failed=[] if outcome == "throttled" else identifiers[done:],
            age_s=self._scheduler.now() - batch.records[-1].arrived if batch.records else 0.0,
        )
