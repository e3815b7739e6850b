"""Everything that a rehearsed shop stores, as text: to search it for a customer's personal data.

Streams, archives and logs are read in moto: their text as answers of AWS takes ten times as long.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.events.models import events_backends
from moto.logs.models import logs_backends

from cdk_rehearsal import Rehearsal, Resource
from tools.demo.evidence import scan

Content = Iterator[tuple[str, str]]
"""The places, by the path of their resource, and what each has stored."""


def stored(shop: Rehearsal) -> Content:
    """Yields the content of all tables, queues, streams, archives, logs, buckets and the like.

    Messages that customers and partners received are theirs, and not the shop's.
    """
    for resource in shop.resources:
        if read := _READERS.get(resource.type):
            for content in read(shop, resource):
                yield f"{resource.path} ({resource.type})", content
    for function in shop.functions:
        yield f"{function.path} (log)", function.log.text()
    for record in shop.meter.records:
        yield f"{record.source} -> {record.target} ({record.kind})", _text(record.detail)


def places_with(shop: Rehearsal, values: Iterable[str]) -> list[str]:
    """Returns the places that have one of these values, each with the value."""
    wanted = list(values)
    return sorted(
        {
            f"{place}: {value}"
            for place, content in stored(shop)
            for value in wanted
            if value in content
        }
    )


def _table(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    yield from map(_text, scan(shop, resource.path))
    table = dynamodb_backends[DEFAULT_ACCOUNT_ID][shop.region].get_table(resource.physical_id)
    if table.stream_shard is not None:
        yield from (_text(record.to_json()) for record in table.stream_shard.items)


def _queue(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    yield from map(_text, shop.messages(resource.path))


def _stream(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    client, name = shop.client("kinesis"), resource.physical_id
    for shard in client.list_shards(StreamName=name)["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while records := (answer := client.get_records(ShardIterator=iterator))["Records"]:
            yield from (record["Data"].decode(errors="replace") for record in records)
            iterator = answer["NextShardIterator"]


def _archive(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    backend = events_backends[DEFAULT_ACCOUNT_ID][shop.region]
    yield from map(_text, backend.archives[resource.physical_id].events)


def _retained(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    yield from map(_text, shop.retained_events(resource.path))


def _log_group(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    group = logs_backends[DEFAULT_ACCOUNT_ID][shop.region].groups[resource.physical_id]
    yield from (event.message for stream in group.streams.values() for event in stream.events)


def _bucket(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    client, name = shop.client("s3"), resource.physical_id
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        for version in page.get("Versions", []):
            found = client.get_object(
                Bucket=name, Key=version["Key"], VersionId=version["VersionId"]
            )
            yield version["Key"]
            yield found["Body"].read().decode(errors="replace")


def _state_machine(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    client = shop.client("stepfunctions")
    for page in client.get_paginator("list_executions").paginate(
        stateMachineArn=resource.physical_id
    ):
        for execution in page["executions"]:
            arn = execution["executionArn"]
            yield _text(client.describe_execution(executionArn=arn))
            yield _text(client.get_execution_history(executionArn=arn)["events"])


def _schedules(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    client, group = shop.client("scheduler"), resource.physical_id
    for schedule in client.list_schedules(GroupName=group)["Schedules"]:
        yield _text(client.get_schedule(GroupName=group, Name=schedule["Name"]))


def _user_pool(shop: Rehearsal, resource: Resource) -> Iterator[str]:
    pages = shop.client("cognito-idp").get_paginator("list_users")
    for page in pages.paginate(UserPoolId=resource.physical_id):
        yield from map(_text, page["Users"])


_READERS = {
    "AWS::Cognito::UserPool": _user_pool,
    "AWS::DynamoDB::GlobalTable": _table,
    "AWS::Events::Archive": _archive,
    "AWS::EventsV2::EventBus": _retained,
    "AWS::Kinesis::Stream": _stream,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
    "AWS::Scheduler::ScheduleGroup": _schedules,
    "AWS::StepFunctions::StateMachine": _state_machine,
}
"""The types that store data; tests/stacks/test_growth.py lists them, too."""


def _text(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
