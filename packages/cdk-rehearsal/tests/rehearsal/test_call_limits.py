"""Limits of API calls: a call at the limit succeeds, and one over it fails with AWS's error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.latency import NONE
from cdk_rehearsal.limits import LIMITS
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.crossing import crosses
from rehearsal.worlds import Endpoint, World, pause, rehearsed

Call = Callable[[World, int], object]
CALLS: list[tuple[str, int, str, Call]] = []

_INVALID = "ValidationException"
PASSES = {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}


def at(limit: str, most: int, error: str = _INVALID) -> Callable[[Call], Call]:
    """Registers a call with an amount: AWS accepts ``most``, and answers ``error`` to one more."""

    def register(call: Call) -> Call:
        CALLS.append((limit, most, error, call))
        return call

    crosses(limit)
    return register


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    """One of everything that the calls are about."""
    cloud = Cloud(Path(tmp_path_factory.mktemp("limits")) / "cdk.out")
    cloud.queue("Queue")
    cloud.add("Topic", "AWS::SNS::Topic")
    cloud.add("BigTopic", "AWS::SNS::Topic", MaximumMessageSize=1_048_576)
    cloud.add("Stream", "AWS::Kinesis::Stream", ShardCount=16)
    cloud.add("Bucket", "AWS::S3::Bucket")
    cloud.bus("Bus")
    cloud.add("Rule", "AWS::Events::Rule", EventPattern={"source": ["never"]})
    cloud.add("Secret", "AWS::SecretsManager::Secret", SecretString="{}")
    cloud.add("Mail", "AWS::SES::EmailIdentity", EmailIdentity="shop.example")
    cloud.add("Logs", "AWS::Logs::LogGroup")
    cloud.add("Lines", "AWS::Logs::LogStream", LogGroupName=ref("Logs"), LogStreamName="lines")
    cloud.table("Table")
    cloud.add(
        "Ranged",
        "AWS::DynamoDB::Table",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    cloud.function("Function", "def handler(event, context): return event")
    cloud.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        DefinitionString=json.dumps(PASSES),
    )
    return cloud


@pytest.fixture(scope="module")
def shared(account: Cloud) -> Iterator[Rehearsal]:
    """A rehearsal for all tests."""
    with Rehearsal(account.write(), latency=NONE) as rehearsal:
        yield rehearsal


@pytest.fixture
def shop(account: Cloud, endpoint: Endpoint | None, request: pytest.FixtureRequest) -> World:
    if endpoint is not None:
        return endpoint.shared(account)
    found: Rehearsal = request.getfixturevalue("shared")
    return found


@pytest.mark.parametrize(
    ("limit", "most", "error", "call"), CALLS, ids=lambda each: each if type(each) is str else ""
)
def test_a_call_may_be_at_its_limit_and_not_over_it(
    shop: World, limit: str, most: int, error: str, call: Call
) -> None:
    pause(shop, 2)  # A shard takes only so much in one second.
    call(shop, most)
    with pytest.raises(ClientError) as refused:
        call(shop, most + 1)
    assert refused.value.response["Error"]["Code"] == error, refused.value


IN_MOTO = {
    "dynamodb.batch_reads",
    "sesv2.recipients",
    "sns.batch_entries",
    "sns.subject_characters",
    "sqs.received",
}
"""Limits that moto has in its code as well: the table decides first, so a lower value counts."""


def test_the_table_decides_before_moto(shared: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, most, error, call in CALLS:
        if limit in IN_MOTO:
            shared.run_for(2)
            with monkeypatch.context() as lowered:
                lowered.setitem(LIMITS, limit, most - 1)
                with pytest.raises(ClientError) as refused:
                    call(shared, most)
            assert refused.value.response["Error"]["Code"] == error, limit


# -- DynamoDB ---------------------------------------------------------------------------------


def table(shop: World, name: str = "Table") -> Any:
    return shop.physical_id(f"Shop/{name}")


def put(shop: World, name: str = "Table", **item: str) -> None:
    attributes = {key: {"S": value} for key, value in item.items()}
    shop.client("dynamodb").put_item(TableName=table(shop, name), Item=attributes)


@at("dynamodb.item_bytes", 409_600)
def _item(shop: World, n: int) -> None:
    put(shop, pk="x", a="x" * (n - len("pkxa")))


@at("dynamodb.item_bytes", 409_600)
def _updated_item(shop: World, n: int) -> None:
    shop.client("dynamodb").update_item(
        TableName=table(shop),
        Key={"pk": {"S": "u"}},
        UpdateExpression="SET a = :a",
        ExpressionAttributeValues={":a": {"S": "x" * (n - len("pkua"))}},
    )


@at("dynamodb.partition_key_bytes", 2048)
def _partition_key(shop: World, n: int) -> None:
    put(shop, pk="x" * n)


@at("dynamodb.sort_key_bytes", 1024)
def _sort_key(shop: World, n: int) -> None:
    put(shop, "Ranged", pk="x", sk="x" * n)


@at("dynamodb.expression_bytes", 4096)
def _expression(shop: World, n: int) -> None:
    shop.client("dynamodb").get_item(
        TableName=table(shop), Key={"pk": {"S": "x"}}, ProjectionExpression="a" * n
    )


@at("dynamodb.expression_bytes", 4096)
def _expression_in_a_transaction(shop: World, n: int) -> None:
    check = "attribute_not_exists(nothing)"
    operation = {
        "TableName": table(shop),
        "Key": {"pk": {"S": "x"}},
        "ConditionExpression": " " * (n - len(check)) + check,
    }
    shop.client("dynamodb").transact_write_items(TransactItems=[{"ConditionCheck": operation}])


def puts(shop: World, n: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"Put": {"TableName": table(shop), "Item": {"pk": {"S": f"p{index}"}, **more}}}
        for index in range(n)
    ]


@at("dynamodb.transaction_items", 100)
def _writes(shop: World, n: int) -> None:
    shop.client("dynamodb").transact_write_items(TransactItems=puts(shop, n))


@at("dynamodb.transaction_items", 100)
def _reads(shop: World, n: int) -> None:
    gets = [
        {"Get": {"TableName": table(shop), "Key": {"pk": {"S": str(index)}}}} for index in range(n)
    ]
    shop.client("dynamodb").transact_get_items(TransactItems=gets)


@at("dynamodb.transaction_bytes", 4_194_304)
def _transaction(shop: World, n: int) -> None:
    each = n // 16 - len("pkp0a")
    operations = puts(shop, 10, a={"S": "x" * each})
    operations += puts(shop, 16, a={"S": "x" * (each - 1)})[10:]
    operations[0]["Put"]["Item"]["a"] = {"S": "x" * (each + n % 16)}
    shop.client("dynamodb").transact_write_items(TransactItems=operations)


@at("dynamodb.batch_writes", 25)
def _batch_writes(shop: World, n: int) -> None:
    requests = [{"PutRequest": {"Item": {"pk": {"S": str(index)}}}} for index in range(n - 1)]
    other = [{"PutRequest": {"Item": {"pk": {"S": "x"}, "sk": {"S": "x"}}}}]
    shop.client("dynamodb").batch_write_item(
        RequestItems={table(shop): requests, table(shop, "Ranged"): other}
    )


@at("dynamodb.batch_reads", 100)
def _batch_reads(shop: World, n: int) -> None:
    keys = [{"pk": {"S": str(index)}} for index in range(n - 1)]
    other = [{"pk": {"S": "x"}, "sk": {"S": "x"}}]
    shop.client("dynamodb").batch_get_item(
        RequestItems={table(shop): {"Keys": keys}, table(shop, "Ranged"): {"Keys": other}}
    )


# -- EventBridge ------------------------------------------------------------------------------


def publish_events(shop: World, *entries: tuple[str, str]) -> Any:
    """Publishes events of these details and types."""
    bus = shop.physical_id("Shop/Bus")
    fields = ({"Detail": detail, "DetailType": kind} for detail, kind in entries)
    return shop.client("events").put_events(
        Entries=[{"EventBusName": bus, "Source": "s", **each} for each in fields]
    )


@at("events.put_entries", 10)
def _entries(shop: World, n: int) -> None:
    publish_events(shop, *[("{}", "Kind")] * n)


@at("events.put_bytes", 1_048_576)
def _event_bytes(shop: World, n: int) -> None:
    halves = (500_000, n - 500_000)
    details = (f'{{"a":"{"x" * (half - len("sKind") - 8)}"}}' for half in halves)
    publish_events(shop, *((detail, "Kind") for detail in details))


@crosses("events.detail_type_characters")
def test_an_entry_with_too_long_a_detail_type_fails_alone(shop: World) -> None:
    entries = [("{}", "x" * 128), ("{}", "x" * 129)]
    first, second = publish_events(shop, *entries)["Entries"]
    assert "EventId" in first
    assert second["ErrorCode"] == "InvalidArgument"


def put_targets(shop: World, n: int, **more: Any) -> None:
    events, rule = shop.client("events"), shop.physical_id("Shop/Rule")
    queue = shop.resource("Shop/Queue", "AWS::SQS::Queue").attributes["Arn"]
    targets = [{"Id": str(index), "Arn": queue, **more} for index in range(n)]
    events.put_targets(Rule=rule, Targets=targets)
    events.remove_targets(Rule=rule, Ids=[target["Id"] for target in targets])


@at("events.target_entries", 10, "LimitExceededException")
def _targets(shop: World, n: int) -> None:
    """A rule of an account whose quota is higher than the default one."""
    put_targets(rehearsed(shop), n)


@at("events.input_characters", 8192)
def _input(shop: World, n: int) -> None:
    put_targets(shop, 1, Input=json.dumps("x" * (n - 2)))


@at("events.pattern_characters", 2048, "LimitExceededException")
def _pattern(shop: World, n: int) -> None:
    pattern = f'{{"source":["{"x" * (n - 15)}"]}}'
    shop.client("events").put_rule(Name=shop.physical_id("Shop/Rule"), EventPattern=pattern)


# -- Kinesis ----------------------------------------------------------------------------------


def stream(shop: World) -> Any:
    return shop.physical_id("Shop/Stream")


def spread(index: int) -> dict[str, Any]:
    """A key in the hash range of one of 16 shards."""
    return {"PartitionKey": "k", "ExplicitHashKey": str(index % 16 * 2**124)}


@at("kinesis.put_entries", 500)
def _put_records(shop: World, n: int) -> None:
    records = [{"Data": b"x", **spread(index)} for index in range(n)]
    shop.client("kinesis").put_records(StreamName=stream(shop), Records=records)


@at("kinesis.put_bytes", 10_485_760, "InvalidArgumentException")
def _put_bytes(shop: World, n: int) -> None:
    sizes = [950_000] * 11 + [n - 10_450_000]
    records = [{"Data": b"x" * (size - 1), **spread(i)} for i, size in enumerate(sizes)]
    answer = shop.client("kinesis").put_records(StreamName=stream(shop), Records=records)
    assert answer["FailedRecordCount"] == 0


@at("kinesis.record_bytes", 1_048_576)
def _record(shop: World, n: int) -> None:
    shop.client("kinesis").put_record(StreamName=stream(shop), Data=b"x" * (n - 1), **spread(0))


@at("kinesis.record_bytes", 1_048_576)
def _record_of_several(shop: World, n: int) -> None:
    records = [{"Data": b"x", **spread(0)}, {"Data": b"x" * (n - 1), **spread(1)}]
    shop.client("kinesis").put_records(StreamName=stream(shop), Records=records)


@at("kinesis.partition_key_characters", 256)
def _partition(shop: World, n: int) -> None:
    shop.client("kinesis").put_record(StreamName=stream(shop), Data=b"x", PartitionKey="k" * n)


@at("kinesis.get_entries", 10_000, "InvalidArgumentException")
def _get_records(shop: World, n: int) -> None:
    kinesis = shop.client("kinesis")
    iterator = kinesis.get_shard_iterator(
        StreamName=stream(shop),
        ShardId="shardId-000000000000",
        ShardIteratorType="LATEST",
    )["ShardIterator"]
    kinesis.get_records(ShardIterator=iterator, Limit=n)


# -- SQS --------------------------------------------------------------------------------------


def queue(shop: World) -> Any:
    return shop.resource("Shop/Queue", "AWS::SQS::Queue").physical_id


def send(shop: World, body: str = "x", **more: Any) -> None:
    shop.client("sqs").send_message(QueueUrl=queue(shop), MessageBody=body, **more)


def send_batch(shop: World, *bodies: str, **more: Any) -> Any:
    entries = [{"Id": str(index), "MessageBody": body, **more} for index, body in enumerate(bodies)]
    return shop.client("sqs").send_message_batch(QueueUrl=queue(shop), Entries=entries)


_VALUE = "InvalidParameterValue"
_ATTRIBUTE = {"DataType": "String", "StringValue": "x"}


@at("sqs.message_bytes", 1_048_576, _VALUE)
def _message(shop: World, n: int) -> None:
    send(shop, "x" * n)


@at("sqs.message_bytes", 1_048_576, _VALUE)
def _message_with_attributes(shop: World, n: int) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html."""
    send(shop, "x" * (n - len("aStringx")), MessageAttributes={"a": _ATTRIBUTE})


@at("sqs.batch_bytes", 1_048_576, "AWS.SimpleQueueService.BatchRequestTooLong")
def _batch(shop: World, n: int) -> None:
    send_batch(shop, "x" * 600_000, "ü" * 10, "x" * (n - 600_020))


@at("sqs.batch_entries", 10, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
def _batch_entries(shop: World, n: int) -> None:
    send_batch(shop, *"x" * n)


@at("sqs.batch_entries", 10, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
def _deletions(shop: World, n: int) -> None:
    sqs, url = shop.client("sqs"), queue(shop)
    send_batch(shop, *"x" * 10)
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    handles = [message["ReceiptHandle"] for message in received] + ["one more"]
    entries = [{"Id": str(i), "ReceiptHandle": each} for i, each in enumerate(handles[:n])]
    sqs.delete_message_batch(QueueUrl=url, Entries=entries)


@at("sqs.attributes", 10, _VALUE)
def _attributes(shop: World, n: int) -> None:
    send(shop, MessageAttributes={f"a{index}": _ATTRIBUTE for index in range(n)})


@at("sqs.delay_s", 900, _VALUE)
def _delay(shop: World, n: int) -> None:
    send(shop, DelaySeconds=n)


def receive(shop: World, **options: int) -> None:
    shop.client("sqs").receive_message(QueueUrl=queue(shop), **options)


@at("sqs.received", 10, _VALUE)
def _received(shop: World, n: int) -> None:
    receive(shop, MaxNumberOfMessages=n)


@at("sqs.wait_s", 20, _VALUE)
def _wait(shop: World, n: int) -> None:
    send(shop)
    receive(shop, WaitTimeSeconds=n)


@at("sqs.visibility_s", 43_200, _VALUE)
def _visibility(shop: World, n: int) -> None:
    receive(shop, VisibilityTimeout=n)


@at("sqs.moves_listed", 10, _VALUE)
def _moves(shop: World, n: int) -> None:
    source = shop.resource("Shop/Queue", "AWS::SQS::Queue").attributes["Arn"]
    shop.client("sqs").list_message_move_tasks(SourceArn=source, MaxResults=n)


# -- SNS --------------------------------------------------------------------------------------


def publish(shop: World, message: str = "x", name: str = "Topic", **more: Any) -> None:
    topic = shop.physical_id(f"Shop/{name}")
    shop.client("sns").publish(TopicArn=topic, Message=message, **more)


_PARAMETER = "InvalidParameter"


@at("sns.message_bytes", 262_144, _PARAMETER)
def _notification(shop: World, n: int) -> None:
    attributes = {"a": {"DataType": "String", "StringValue": "x"}}
    publish(shop, "x" * (n - len("aStringx")), MessageAttributes=attributes)


@at("sns.maximum_message_bytes", 1_048_576, _PARAMETER)
def _large_notification(shop: World, n: int) -> None:
    publish(shop, "x" * n, "BigTopic")


@at("sns.message_bytes", 262_144, "BatchRequestTooLong")
def _notifications(shop: World, n: int) -> None:
    entries = [
        {"Id": str(i), "Message": "x" * size} for i, size in enumerate((200_000, n - 200_000))
    ]
    topic = shop.physical_id("Shop/Topic")
    shop.client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)


@at("sns.batch_entries", 10, "TooManyEntriesInBatchRequest")
def _notification_entries(shop: World, n: int) -> None:
    entries = [{"Id": str(index), "Message": "x"} for index in range(n)]
    topic = shop.physical_id("Shop/Topic")
    shop.client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)


@at("sns.subject_characters", 100, _PARAMETER)
def _subject(shop: World, n: int) -> None:
    publish(shop, Subject="x" * n)


@at("sns.sms_characters", 1600, _PARAMETER)
def _sms(shop: World, n: int) -> None:
    rehearsed(shop).client("sns").publish(PhoneNumber="+4915112345678", Message="x" * n)


# -- Lambda and Step Functions ----------------------------------------------------------------


@at("lambda.payload_bytes", 6_291_456, "RequestTooLargeException")
def _payload(shop: World, n: int) -> None:
    name = shop.physical_id("Shop/Function")
    shop.client("lambda").invoke(FunctionName=name, Payload=b'"' + b"x" * (n - 2) + b'"')


@at("lambda.async_payload_bytes", 1_048_576, "RequestTooLargeException")
def _async_payload(shop: World, n: int) -> None:
    name, payload = shop.physical_id("Shop/Function"), b'"' + b"x" * (n - 2) + b'"'
    shop.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=payload)
    shop.run_until_idle()


@at("stepfunctions.data_bytes", 262_144, "InvalidExecutionInput")
def _execution(shop: World, n: int) -> None:
    shop.client("stepfunctions").start_execution(
        stateMachineArn=shop.physical_id("Shop/Machine"), input=json.dumps("x" * (n - 2))
    )
    shop.run_until_idle()


@at("stepfunctions.name_characters", 80, "InvalidName")
def _execution_name(shop: World, n: int) -> None:
    shop.client("stepfunctions").start_execution(
        stateMachineArn=shop.physical_id("Shop/Machine"), name="x" * n
    )
    shop.run_until_idle()


@at("stepfunctions.definition_bytes", 1_048_576)
def _definition(shop: World, n: int) -> None:
    definition = json.dumps(PASSES)
    role = shop.resource("Shop/Role", "AWS::IAM::Role").attributes["Arn"]
    client = shop.client("stepfunctions")
    created = client.create_state_machine(
        name=shop.physical_id("Shop/Machine").rpartition(":")[2] + "2",
        definition=definition + " " * (n - len(definition)),
        roleArn=role,
    )
    client.delete_state_machine(stateMachineArn=created["stateMachineArn"])


# -- other services ---------------------------------------------------------------------------


def schedule(shop: World, name: str = "name", window: Any = None, **policy: int) -> None:
    target = shop.resource("Shop/Queue", "AWS::SQS::Queue").attributes["Arn"]
    role = shop.resource("Shop/Role", "AWS::IAM::Role").attributes["Arn"]
    scheduler = shop.client("scheduler")
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression="at(2030-01-01T00:00:00)",
        FlexibleTimeWindow=window or {"Mode": "OFF"},
        Target={"Arn": target, "RoleArn": role, "RetryPolicy": policy},
    )
    scheduler.delete_schedule(Name=name)


@at("scheduler.name_characters", 64)
def _schedule_name(shop: World, n: int) -> None:
    schedule(shop, "x" * n)


@at("scheduler.flexible_window_min", 1440)
def _window(shop: World, n: int) -> None:
    schedule(shop, window={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": n})


@at("scheduler.retries", 185)
def _retries(shop: World, n: int) -> None:
    schedule(shop, MaximumRetryAttempts=n)


@at("scheduler.event_age_s", 86_400)
def _event_age(shop: World, n: int) -> None:
    schedule(shop, MaximumEventAgeInSeconds=n)


@at("s3.key_bytes", 1024, "KeyTooLongError")
def _key(shop: World, n: int) -> None:
    key = "ü" + "x" * (n - 2)
    shop.client("s3").put_object(Bucket=shop.physical_id("Shop/Bucket"), Key=key, Body=b"")


@at("s3.metadata_bytes", 2048, "MetadataTooLarge")
def _metadata(shop: World, n: int) -> None:
    metadata = {"a": "x" * 1000, "b": "x" * (n - 1002)}
    bucket = shop.physical_id("Shop/Bucket")
    shop.client("s3").put_object(Bucket=bucket, Key="k", Body=b"", Metadata=metadata)


@at("s3.deleted_objects", 1000, "MalformedXML")
def _deleted(shop: World, n: int) -> None:
    objects = [{"Key": str(index)} for index in range(n)]
    bucket = shop.physical_id("Shop/Bucket")
    shop.client("s3").delete_objects(Bucket=bucket, Delete={"Objects": objects})


@at("secretsmanager.value_bytes", 65_536)
def _secret(shop: World, n: int) -> None:
    secret = shop.physical_id("Shop/Secret")
    shop.client("secretsmanager").put_secret_value(SecretId=secret, SecretString="x" * n)


def store(shop: World, **parameter: str) -> None:
    client, name = shop.client("ssm"), shop.physical_id("Shop/Bus")
    client.put_parameter(Name=name, Type="String", **parameter)
    client.delete_parameter(Name=name)


@at("ssm.standard_bytes", 4096)
def _standard(shop: World, n: int) -> None:
    store(shop, Value="x" * n)


@at("ssm.advanced_bytes", 8192)
def _advanced(shop: World, n: int) -> None:
    store(shop, Value="x" * n, Tier="Advanced")


def mail(shop: World, text: str = "x", **to: list[str]) -> None:
    """Sends an e-mail: AWS would have to know that the sender's domain is ours."""
    rehearsed(shop).client("sesv2").send_email(
        FromEmailAddress="a@shop.example",
        Destination=to,
        Content={"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": text}}}},
    )


@at("sesv2.recipients", 50, "MessageRejected")
def _recipients(shop: World, n: int) -> None:
    addresses = [f"{index}@example.com" for index in range(n)]
    mail(
        shop, ToAddresses=addresses[:20], CcAddresses=addresses[20:30], BccAddresses=addresses[30:]
    )


@at("sesv2.message_bytes", 41_943_040, "MessageRejected")
def _mail(shop: World, n: int) -> None:
    mail(shop, "x" * n, ToAddresses=["a@example.com"])
    rehearsed(shop).outboxes.email.clear()


def metric(dimensions: int = 1) -> dict[str, Any]:
    named = [{"Name": f"d{index}", "Value": "x"} for index in range(dimensions)]
    return {"MetricName": "m", "Value": 1.0, "Dimensions": named}


@at("cloudwatch.metric_data", 1000, _VALUE)
def _metrics(shop: World, n: int) -> None:
    shop.client("cloudwatch").put_metric_data(
        Namespace="rehearsal-parity", MetricData=[metric()] * n
    )


@at("cloudwatch.dimensions", 30, _VALUE)
def _dimensions(shop: World, n: int) -> None:
    shop.client("cloudwatch").put_metric_data(Namespace="rehearsal-parity", MetricData=[metric(n)])


@at("logs.put_events", 10_000, "InvalidParameterException")
def _log_events(shop: World, n: int) -> None:
    events = [{"timestamp": 1_767_600_000_000, "message": "x"}] * n
    shop.client("logs").put_log_events(
        logGroupName=shop.physical_id("Shop/Logs"), logStreamName="lines", logEvents=events
    )


@at("logs.found_events", 10_000, "InvalidParameterException")
def _found(shop: World, n: int) -> None:
    shop.client("logs").filter_log_events(logGroupName=shop.physical_id("Shop/Logs"), limit=n)


@at("logs.resource_policies", 10, "LimitExceededException")
def _policies(shop: World, n: int) -> None:
    """A replay leaves the policies of the account alone."""
    for index in range(n):
        rehearsed(shop).client("logs").put_resource_policy(
            policyName=str(index), policyDocument="{}"
        )


# -- answers ----------------------------------------------------------------------------------


@crosses("dynamodb.page_bytes")
def test_a_query_reads_a_megabyte_at_a_time(shop: World) -> None:
    for name in "abc":
        put(shop, "Ranged", pk="page", sk=name, text="x" * (349_525 - len("pkpagesk_text")))
    query = {
        "TableName": table(shop, "Ranged"),
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "page"}},
    }
    dynamodb = shop.client("dynamodb")
    assert dynamodb.query(**query)["Count"] == 3
    put(shop, "Ranged", pk="page", sk="c", text="x" * 349_600)
    answer = dynamodb.query(**query)
    assert (answer["Count"], answer["LastEvaluatedKey"]["sk"]) == (2, {"S": "b"})


@crosses("cloudwatch.alarm_records")
def test_an_answer_has_at_most_a_hundred_alarms(shop: World) -> None:
    cloudwatch = rehearsed(shop).client("cloudwatch")
    for index in range(101):
        cloudwatch.put_metric_alarm(
            AlarmName=f"alarm{index:03}",
            MetricName="m",
            Namespace="n",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
    assert len(cloudwatch.describe_alarms(MaxRecords=101)["MetricAlarms"]) == 100


@crosses("kinesis.shard_records", "kinesis.shard_bytes")
def test_a_shard_takes_a_thousand_records_and_a_megabyte_per_second(shop: World) -> None:
    kinesis = shop.client("kinesis")

    def failed(number: int, size: int) -> int:
        records = [{"Data": b"x" * (size - 1), **spread(3)}] * number
        answer = kinesis.put_records(StreamName=stream(shop), Records=records)
        codes = {each["ErrorCode"] for each in answer["Records"] if "ErrorCode" in each}
        assert codes <= {"ProvisionedThroughputExceededException"}
        return int(answer["FailedRecordCount"])

    pause(shop, 2)
    assert [failed(500, 2), failed(500, 2), failed(2, 2)] == [0, 0, 2]
    pause(shop, 1)
    assert [failed(4, 250_000), failed(1, 48_576), failed(1, 2)] == [0, 0, 1]
