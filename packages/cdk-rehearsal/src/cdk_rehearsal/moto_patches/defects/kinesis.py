"""A defect of Kinesis in moto 5.2.5.

**Sequence numbers count up from 1 in each shard.** Real ones have 56 digits: too many for a number
in DynamoDB, or for a float. All have the same length, so that they sort as text:
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html

    kinesis.put_record(StreamName="s", Data=b"x", PartitionKey="p")["SequenceNumber"]  # "1"

moto also lists all records of the shard for each number, which this patch does not.
"""

from moto.kinesis.models import Record, Shard

from cdk_rehearsal.sandbox.patching import Patches

_FIRST = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
_EACH_SHARD = 10**40


def patch(patches: Patches) -> None:
    """Numbers the records of a shard as Kinesis does."""
    patches.set(Shard, "put_record", _put_record)


def first_sequence_number(shard: Shard) -> int:
    """Returns the number of a shard's first record, after which they count up one by one."""
    return _FIRST + shard._shard_id * _EACH_SHARD


def _put_record(self: Shard, partition_key: str, data: str, explicit_hash_key: str) -> str:
    number = first_sequence_number(self) + len(self.records)
    self.records[number] = Record(partition_key, data, number, explicit_hash_key)
    return str(number)
