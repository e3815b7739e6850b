"""DynamoDB Streams: Lambda's event source mapping, one batch at a time and in order."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import dynamodb_backends

from rehearsal.clock import Timer
from rehearsal.delivery.batches import failed_items
from rehearsal.invoke import Function, InvocationResult, Throttled, iso_milliseconds

if TYPE_CHECKING:
    from rehearsal.patterns import FilterCriteria
    from rehearsal.rehearsal import Rehearsal

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
_RETENTION_S = 86_400.0
_BATCH_BYTES = 6 * 1024 * 1024
# How fast Lambda tries a stream's batch again is not documented.
_BACKOFF_S = (1.0, 60.0)


@dataclass(frozen=True)
class _Item:
    """A stream record as functions get it, and when it came."""

    record: dict[str, Any]
    arrived: float
    size: int

    @property
    def sequence_number(self) -> str:
        return str(self.record["dynamodb"]["SequenceNumber"])


@dataclass
class _Batch:
    """Records that are invoked with together, and how often that has failed."""

    items: list[_Item]
    failures: int = 0


class StreamMapping:
    """Lambda's poller of one table's stream for one function.

    https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
    """

    def __init__(
        self,
        rehearsal: Rehearsal,
        stream_arn: str,
        function: Function,
        *,
        from_start: bool,
        batch_size: int,
        window_s: float,
        filters: FilterCriteria,
        reports_failures: bool,
        bisects: bool,
        maximum_retries: int,
        maximum_age_s: float,
        on_failure: str | None,
    ) -> None:
        """-1 as ``maximum_retries`` or ``maximum_age_s`` means: no bound but the retention."""
        self.stream_arn = stream_arn
        self.table_name = stream_arn.split("/")[1]
        self._rehearsal = rehearsal
        self._scheduler = rehearsal.scheduler
        self._function = function
        self._batch_size = batch_size
        self._window_s = window_s
        self._filters = filters
        self._reports_failures = reports_failures
        self._bisects = bisects
        self._maximum_retries = maximum_retries
        self._maximum_age_s = _RETENTION_S if maximum_age_s < 0 else maximum_age_s
        self._on_failure = on_failure
        self._position = 0 if from_start else len(self._shard.items)
        self._model: Any = None
        self._working = False
        self._timer: Timer | None = None
        self._source = rehearsal.path_of(self._table.table_arn)

    @property
    def _table(self) -> Any:
        return self._rehearsal.streams.table_of(self.stream_arn)

    @property
    def _shard(self) -> Any:
        # A transaction that is rolled back may put another object in this place.
        return self._table.stream_shard

    def attach(self, model: Any) -> None:
        """Take moto's record of this mapping, which an API client may disable."""
        self._model = model

    def wake(self) -> None:
        """Look at the stream at the next poll, unless that is planned already."""
        if not self._working and self._timer is None:
            delay = self._rehearsal.latency.stream_poll(self._scheduler.random)
            self._timer = self._scheduler.call_later(delay, self._poll)

    def _poll(self) -> None:
        self._timer = None
        if self._working or self._model is None or not self._model.enabled:
            return
        self._working = True
        self._scheduler.spawn(
            self._drain, name=f"stream of {self._source} for {self._function.path}", critical=True
        )

    def _drain(self) -> None:
        """Process what is in the stream, batch after batch, until nothing is left."""
        try:
            while self._model.enabled:
                items = self._take([])
                if not items:
                    break
                if self._window_s and len(items) < self._batch_size:
                    self._scheduler.sleep(self._window_s)
                    items = self._take(items)
                self._process(items)
        finally:
            self._working = False

    def _take(self, items: list[_Item]) -> list[_Item]:
        """Read on in the stream until the batch is full; records that no filter matches go by."""
        shard = self._shard
        size = sum(item.size for item in items)
        while self._position < len(shard.items) and len(items) < self._batch_size:
            item = self._item(shard.items[self._position].to_json())
            if self._filters.matches(item.record):
                if items and size + item.size > _BATCH_BYTES:
                    break
                items.append(item)
                size += item.size
            self._position += 1
        return items

    def _item(self, stored: dict[str, Any]) -> _Item:
        # moto keeps a naive datetime in UTC; functions get seconds since the epoch.
        arrived = stored["dynamodb"]["ApproximateCreationDateTime"].replace(tzinfo=UTC).timestamp()
        record = {
            **stored,
            "awsRegion": self._rehearsal.region,
            "eventSourceARN": self.stream_arn,
            "dynamodb": {**stored["dynamodb"], "ApproximateCreationDateTime": int(arrived)},
        }
        return _Item(record, arrived, int(stored["dynamodb"]["SizeBytes"]))

    def _process(self, items: list[_Item]) -> None:
        """Invoke the function until each record has succeeded or is given up.

        Rules: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html and
        https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
        """
        todo = deque([_Batch(items)])
        backoff, longest = _BACKOFF_S
        while todo:
            batch = todo.popleft()
            self._drop_expired(batch)
            if not batch.items:
                continue
            try:
                result = self._invoke(batch)
            except Throttled:
                # Nothing was invoked: retried until the records expire, whatever the bound.
                self._report("throttled", batch.items, [])
                todo.appendleft(batch)
                self._scheduler.sleep(backoff)
                backoff = min(backoff * 2, longest)
                continue
            identifiers = [item.sequence_number for item in batch.items]
            failed = failed_items(result, identifiers, reports_failures=self._reports_failures)
            if not failed:
                self._report("delivered", batch.items, [])
                backoff = _BACKOFF_S[0]
                continue
            # All from the lowest failed sequence number on is tried again.
            first = 0 if result.failed else identifiers.index(failed[0])
            self._report("partial" if first else "failed", batch.items, identifiers[first:])
            split, discarded = self._split(batch, first)
            if discarded:
                self._discard(batch.items[first:], "RetryAttemptsExhausted", batch, result)
            todo.extendleft(reversed(split))
            if split and not (self._bisects and len(split) > 1):
                self._scheduler.sleep(backoff)
                backoff = min(backoff * 2, longest)

    def _split(self, batch: _Batch, first: int) -> tuple[list[_Batch], bool]:
        """Return what of a failed batch is tried again, and whether it is given up instead."""
        rest = batch.items[first:]
        # A batch that got further than before starts to count anew.
        failures = 1 if first else batch.failures + 1
        if self._bisects and len(rest) > 1:
            # Splitting, at the reported record or else in halves, uses up no retry.
            if first:
                return [_Batch(rest, 0)], False
            middle = len(rest) // 2
            return [
                _Batch(rest[:middle], batch.failures),
                _Batch(rest[middle:], batch.failures),
            ], False
        batch.failures = failures
        if 0 <= self._maximum_retries < failures:
            return [], True
        return [_Batch(rest, failures)], False

    def _invoke(self, batch: _Batch) -> InvocationResult:
        payload = json.dumps({"Records": [item.record for item in batch.items]})
        return self._rehearsal.lambdas.invoke(self._function, payload, source=self._source)

    def _drop_expired(self, batch: _Batch) -> None:
        oldest = self._scheduler.now() - self._maximum_age_s
        expired = [item for item in batch.items if item.arrived < oldest]
        if expired:
            batch.items = batch.items[len(expired) :]
            self._discard(expired, "RecordAgeExceeded", batch, None)

    def _discard(
        self,
        items: list[_Item],
        condition: str,
        batch: _Batch,
        result: InvocationResult | None,
    ) -> None:
        """Give records up, and tell the on-failure destination where they are.

        https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
        """
        identifiers = [item.sequence_number for item in items]
        if self._on_failure is None:
            self._rehearsal.meter.add(
                "discarded", self._source, "nowhere", condition=condition, records=identifiers
            )
            return
        report: dict[str, Any] = {
            "requestContext": {
                "requestId": result.request_id if result else self._rehearsal.new_id(),
                "functionArn": self._function.arn,
                "condition": condition,
                "approximateInvokeCount": batch.failures,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
            "version": "1.0",
            "timestamp": iso_milliseconds(self._scheduler.now()),
            "DDBStreamBatchInfo": {
                "shardId": self._shard.id,
                "startSequenceNumber": identifiers[0],
                "endSequenceNumber": identifiers[-1],
                "approximateArrivalOfFirstRecord": _seconds(items[0].arrived),
                "approximateArrivalOfLastRecord": _seconds(items[-1].arrived),
                "batchSize": len(items),
                "streamArn": self.stream_arn,
            },
        }
        if result is not None and result.function_error:
            report["responseContext"]["functionError"] = result.function_error
        self._rehearsal.send(self._on_failure, json.dumps(report), source=self._function.path)
        self._rehearsal.meter.add(
            "dead_letter",
            self._source,
            self._rehearsal.path_of(self._on_failure),
            condition=condition,
            records=identifiers,
        )

    def _report(self, outcome: str, items: list[_Item], failed: list[str]) -> None:
        self._rehearsal.meter.add(
            "delivery",
            self._source,
            self._function.path,
            outcome=outcome,
            records=[item.sequence_number for item in items],
            failed=failed,
        )


class Streams:
    """The mappings of all streams."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._by_table: dict[str, list[StreamMapping]] = {}

    def add(self, mapping: StreamMapping) -> None:
        """Take a mapping in that was just created."""
        mappings = self._by_table.setdefault(mapping.table_name, [])
        mappings.append(mapping)

    def table_of(self, stream_arn: str) -> Any:
        """Return moto's table that a stream belongs to."""
        backend = dynamodb_backends[self._rehearsal.account][self._rehearsal.region]
        return backend.get_table(stream_arn.split("/")[1])

    def changed(self, table_name: str) -> None:
        """Tell the mappings of a table's stream that it has a new record."""
        for mapping in self._by_table.get(table_name, ()):
            mapping.wake()


def _seconds(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
