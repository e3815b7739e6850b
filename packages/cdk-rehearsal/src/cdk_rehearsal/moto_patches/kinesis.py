"""Kinesis in moto: sequence numbers as long as real ones, at a cost that does not grow."""

from __future__ import annotations

from moto.kinesis.models import Record, Shard

from cdk_rehearsal.sandbox.patching import Patches

# Real sequence numbers have 56 digits, too many for a number in DynamoDB or a float, and the same
# for all, so that they sort as text: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
_FIRST = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
_EACH_SHARD = 10**40


def patch(patches: Patches) -> None:
    """Replace how a shard numbers its records: from 1 in moto, which lists all of them first."""
    patches.set(Shard, "put_record", _put_record)


def first_sequence_number(shard: Shard) -> int:
    """Return the number of a shard's first record, after which they count up one by one."""
    return _FIRST + shard._shard_id * _EACH_SHARD


def _put_record(self: Shard, partition_key: str, data: str, explicit_hash_key: str) -> str:
    number = first_sequence_number(self) + len(self.records)
    self.records[number] = Record(partition_key, data, number, explicit_hash_key)
    return str(number)
