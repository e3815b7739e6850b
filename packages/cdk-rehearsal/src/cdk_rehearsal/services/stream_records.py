"""The records of a stream, as event source mappings read them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol


@dataclass(frozen=True)
class StreamRecord:
    """A record as functions get it, and when it arrived, in epoch seconds."""

    record: dict[str, Any]
    sequence_number: str
    arrived: float

    @cached_property
    def size(self) -> int:
        """The bytes that the record takes in a payload, with its comma."""
        return len(json.dumps(self.record)) + 2


class Shard(Protocol):
    """Records in the order in which they came."""

    @property
    def id(self) -> str:
        """The shard's id."""

    def __len__(self) -> int:
        """Returns how many records there have been."""

    def read(self, position: int) -> StreamRecord:
        """Returns a record, counted from 0."""


class Stream(Protocol):
    """A stream as one mapping reads it."""

    arn: str
    source_arn: str
    """The ARN of the table, or of the stream itself, that announces new records."""
    shards: Sequence[Shard]
    retention_s: float
    batch_info: str
    """The name, in reports of failure, of the object that leads to the records."""

    def poll_delay(self) -> float:
        """Returns the seconds until the next look at an idle shard."""

    def moment(self, arrived: float) -> str:
        """Returns a record's time of arrival as reports of failure write it."""
