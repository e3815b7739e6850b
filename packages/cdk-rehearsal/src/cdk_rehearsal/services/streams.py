"""The streams of DynamoDB tables and of Kinesis, as event source mappings read them."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.exceptions import ResourceNotFoundException
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import StreamShard
from moto.kinesis.exceptions import StreamNotFoundError
from moto.kinesis.models import KinesisBackend, kinesis_backends
from moto.kinesis.models import Shard as ShardModel
from moto.kinesis.models import Stream as KinesisModel

from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.moto_patches.defects.kinesis import first_sequence_number
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.stream_mapping import StreamMapping
from cdk_rehearsal.services.stream_records import Shard, Stream, StreamRecord
from cdk_rehearsal.services.texts import iso_milliseconds, iso_seconds
from cdk_rehearsal.spool import Spooled

_KEPT = 2 * LIMITS["dynamodb.transaction_items"]
"""The records of a table's stream that stay in memory at least: a transaction may be undone."""


class TableStream:
    """The stream of a DynamoDB table, which has one shard here.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    """

    retention_s = 86_400.0
    batch_info = "DDBStreamBatchInfo"

    def __init__(self, core: Core, arn: str) -> None:
        self.arn = arn
        self.source_arn = arn.partition("/stream/")[0]
        self.shards: Sequence[Shard] = [TableShard(core, arn)]
        self._core = core

    def poll_delay(self) -> float:
        """Returns the seconds until the next look at an idle shard."""
        return self._core.draw(self._core.latency.stream_poll_s)

    def moment(self, arrived: float) -> str:
        """Returns a record's time of arrival, to the second."""
        return iso_seconds(arrived)


class TableShard:
    """The shard of a table's stream."""

    def __init__(self, core: Core, stream_arn: str) -> None:
        self._core = core
        self._stream_arn = stream_arn

    @property
    def _model(self) -> Any:
        # A transaction that is rolled back may put another object in this place.
        return _model_of(self._core, self._stream_arn).stream_shard

    @property
    def id(self) -> str:
        """The shard's id."""
        return str(self._model.id)

    def __len__(self) -> int:
        return len(self._model.items)

    def read(self, position: int) -> StreamRecord:
        """Returns a change of an item.

        https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
        """
        stored = self._model.items[position].to_json()
        # moto keeps a naive datetime in UTC; functions get seconds since the epoch.
        arrived = stored["dynamodb"]["ApproximateCreationDateTime"].replace(tzinfo=UTC).timestamp()
        record = {
            **stored,
            "awsRegion": self._core.region,
            "eventSourceARN": self._stream_arn,
            "eventVersion": "1.1",
            "dynamodb": {**stored["dynamodb"], "ApproximateCreationDateTime": float(int(arrived))},
        }
        return StreamRecord(record, str(stored["dynamodb"]["SequenceNumber"]), arrived)


class KinesisStream:
    """A Kinesis data stream, its records as a function with the role ``role_arn`` gets them.

    https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html
    """

    batch_info = "KinesisBatchInfo"

    def __init__(self, core: Core, arn: str, role_arn: str) -> None:
        model = _model_of(core, arn)
        self.arn = self.source_arn = arn
        self.retention_s = model.retention_period_hours * 3600.0
        self.shards: Sequence[Shard] = [
            KinesisShard(shard, arn, role_arn, core.region) for shard in model.shards.values()
        ]
        self._core = core

    def poll_delay(self) -> float:
        """Returns the seconds until the next look at an idle shard."""
        return self._core.draw(self._core.latency.shard_poll_s)

    def moment(self, arrived: float) -> str:
        """Returns a record's time of arrival, to the millisecond."""
        return iso_milliseconds(arrived)


class KinesisShard:
    """A shard of a data stream."""

    def __init__(self, model: ShardModel, stream_arn: str, role_arn: str, region: str) -> None:
        self.id = model.shard_id
        self._model = model
        self._first = first_sequence_number(model)
        self._constant = {
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role_arn,
            "awsRegion": region,
            "eventSourceARN": stream_arn,
        }

    def __len__(self) -> int:
        return len(self._model.records)

    def read(self, position: int) -> StreamRecord:
        """Returns a record.

        https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
        """
        stored = self._model.records[self._first + position]
        number = str(stored.sequence_number)
        record = {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": stored.partition_key,
                "sequenceNumber": number,
                "data": stored.data,
                "approximateArrivalTimestamp": round(stored.created_at, 3),
            },
            "eventID": f"{self.id}:{number}",
            **self._constant,
        }
        return StreamRecord(record, number, stored.created_at)


class _Overloaded(JsonRESTError):
    """A shard takes no more in this second."""

    def __init__(self, shard_id: str, stream: KinesisModel) -> None:
        super().__init__(
            "ProvisionedThroughputExceededException",
            f"Rate exceeded for shard {shard_id} in stream {stream.stream_name} under account "
            f"{stream.account_id}.",
        )


class _Second:
    """What a shard has taken within one second."""

    def __init__(self) -> None:
        self._second = 0
        self._records = self._bytes = 0

    def takes(self, size: int, now: float) -> bool:
        """Whether the shard takes one more record now."""
        if int(now) != self._second:
            self._second, self._records, self._bytes = int(now), 0, 0
        if (
            self._records >= LIMITS["kinesis.shard_records"]
            or self._bytes + size > LIMITS["kinesis.shard_bytes"]
        ):
            return False
        self._records += 1
        self._bytes += size
        return True


class Streams:
    """All streams at work, and their mappings; moto keeps the records themselves."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._mappings: dict[str, list[StreamMapping]] = {}
        self._seconds: defaultdict[tuple[str, str], _Second] = defaultdict(_Second)

    def add(self, mapping: StreamMapping) -> None:
        """Takes a mapping in that was just created; moto itself delivers nothing to it."""
        self._mappings.setdefault(mapping.stream.source_arn, []).append(mapping)

    def model_of(self, arn: str) -> Any:
        """Returns moto's table or data stream that has the stream with this ARN."""
        return _model_of(self._core, arn)

    def __contains__(self, arn: str) -> bool:
        try:
            self.model_of(arn)
        except (StreamNotFoundError, ResourceNotFoundException):
            return False
        return True

    def read_by(self, arn: str, role_arn: str) -> Stream:
        """Returns a stream as a function with a role reads it."""
        if arn.split(":")[2] == "dynamodb":
            return TableStream(self._core, arn)
        return KinesisStream(self._core, arn, role_arn)

    def install(self, patches: Patches) -> None:
        """Notices new records in moto's tables and data streams."""
        initialize, add_record = StreamShard.__init__, StreamShard.add

        def initialized(shard: StreamShard, account_id: str, table: Any) -> None:
            initialize(shard, account_id, table)
            items: Any = Spooled(self._core.spool, _KEPT)
            shard.items = items

        put_record = KinesisModel.put_record

        def record_added(shard: StreamShard, old: Any, new: Any) -> None:
            add_record(shard, old, new)
            self._changed(shard.table.table_arn)

        def record_put(
            stream: KinesisModel, partition_key: str, explicit_hash_key: str, data: str
        ) -> tuple[str, str]:
            self._check(stream, partition_key, explicit_hash_key, data)
            number, shard_id = put_record(stream, partition_key, explicit_hash_key, data)
            self._changed(stream.arn, shard_id)
            return number, shard_id

        patches.set(StreamShard, "__init__", initialized)
        patches.set(StreamShard, "add", record_added)
        patches.set(KinesisModel, "put_record", record_put)
        patches.set(KinesisBackend, "put_records", _put_records)

    def _check(
        self, stream: KinesisModel, partition_key: str, explicit_hash_key: str, data: str
    ) -> None:
        """Raises _Overloaded if the shard of a record has taken all that it takes in a second."""
        shard = stream.get_shard_for_key(partition_key, explicit_hash_key)
        if shard is not None:
            size = len(data) * 3 // 4 - data[-2:].count("=") + len(partition_key)
            now = self._core.scheduler.now()
            if not self._seconds[stream.arn, shard.shard_id].takes(size, now):
                raise _Overloaded(shard.shard_id, stream)

    def _changed(self, source_arn: str, shard_id: str | None = None) -> None:
        for mapping in self._mappings.get(source_arn, ()):
            mapping.wake(shard_id)

    def put(self, arn: str, partition_key: str, text: str) -> None:
        """Puts a record into a data stream, on behalf of a service.

        Raises moto's StreamNotFoundError, and InvalidArgumentError for a key over 256 characters:
        https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html
        """
        self.put_data(arn, partition_key, text.encode())

    def put_data(self, arn: str, partition_key: str, data: bytes) -> None:
        """Puts a record of any bytes into a data stream, on behalf of a service."""
        backend = kinesis_backends[self._core.account][self._core.region]
        backend.put_record(arn, "", partition_key, "", base64.b64encode(data).decode())


def _put_records(
    backend: KinesisBackend, stream_arn: str, stream_name: str, records: list[dict[str, Any]]
) -> dict[str, Any]:
    """Puts records; those that a shard does not take fail alone.

    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
    """
    stream = backend.describe_stream(stream_arn, stream_name)
    answers: list[dict[str, str]] = []
    for record in records:
        key, explicit = record["PartitionKey"], record.get("ExplicitHashKey")
        try:
            number, shard_id = stream.put_record(key, explicit, record["Data"])  # type: ignore[arg-type]
        except _Overloaded as error:
            answers.append({"ErrorCode": error.error_type, "ErrorMessage": error.message})
        else:
            answers.append({"SequenceNumber": number, "ShardId": shard_id})
    failed = sum("ErrorCode" in answer for answer in answers)
    return {"FailedRecordCount": failed, "Records": answers}


def _model_of(core: Core, arn: str) -> Any:
    name = arn.split("/")[1]
    if arn.split(":")[2] == "dynamodb":
        return dynamodb_backends[core.account][core.region].get_table(name)
    return kinesis_backends[core.account][core.region].describe_stream(arn, name)
