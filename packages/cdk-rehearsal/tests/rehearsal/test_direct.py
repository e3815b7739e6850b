"""The short way of a call gives what the long way gives: answers, errors and what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.endpoint import Endpoint
from botocore.exceptions import BotoCoreError, ClientError
from moto.dynamodb.models import dynamodb_backends

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.latency import NONE
from cdk_rehearsal.moto_patches.speed.direct import SERVICES
from rehearsal.cloud import Cloud, arn

Parameters = dict[str, Any]

NOTHING_TO_DO = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
VALUES = {
    "number": {"N": "12.50"},
    "flag": {"BOOL": False},
    "nothing": {"NULL": True},
    "texts": {"SS": ["b", "a"]},
    "numbers": {"NS": ["3", "1"]},
    "list": {"L": [{"S": ""}, {"M": {"deep": {"L": [{"N": "1"}]}}}]},
    "map": {"M": {"Ü": {"S": "ß"}, "empty": {"M": {}}}},
}


class Ways:
    """One rehearsal, with clients for which the short way is closed beside the usual ones."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.long: dict[str, Any] = {}
        for service in SERVICES:
            make: Any = boto3.client
            self.long[service] = make(service, region_name=rehearsal.region)
            # Whatever is registered may want to see the request.
            self.long[service].meta.events.register("before-call", lambda **_: None)

    def names(self, way: str) -> Parameters:
        """What cases have in braces."""
        found = {"way": way}
        for name in ("Table", "Bus", "Stream", "Topic", "Secret", "Express", "Standard", "Waker"):
            resource = self.rehearsal.resource(f"Shop/{name}")
            found[name] = resource.physical_id
            found[f"{name}Arn"] = resource.attributes.get("Arn", resource.physical_id)
        return found

    def outcome(self, way: str, service: str, operation: str, parameters: Parameters) -> Any:
        """The answer, or the error, with what differs from call to call left out."""
        client = self.long[service] if way == "long" else self.rehearsal.client(service)
        names = self.names(way)
        try:
            answer = client._make_api_call(operation, filled(parameters, names))
        except (ClientError, BotoCoreError) as error:
            answer = {"raised": type(error).__name__, "message": str(error)}
            if isinstance(error, ClientError):
                answer |= error.response
        return without_chance(answer, way)


def filled(value: Any, names: Parameters) -> Any:
    """Parameters with names in the place of braces."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"<{name}>", str(text))
        return value
    if isinstance(value, dict):
        return {filled(key, names): filled(part, names) for key, part in value.items()}
    return [filled(part, names) for part in value] if isinstance(value, list) else value


def without_chance(answer: Any, way: str) -> Any:
    """An answer without ids and times, and with the name of the way left out."""
    chance = {
        "RequestId",
        "eventId",
        "HTTPHeaders",
        "MessageId",
        "EventId",
        "SequenceNumber",
        "startDate",
    }
    chance |= {"stopDate", "executionArn", "name", "eventID"}
    if isinstance(answer, dict):
        return {
            key: type(part).__name__ if key in chance else without_chance(part, way)
            for key, part in answer.items()
        }
    if isinstance(answer, list):
        return [without_chance(part, way) for part in answer]
    return answer.replace(way, "way") if isinstance(answer, str) else answer


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    cloud = Cloud(tmp_path_factory.mktemp("direct") / "cdk.out")
    cloud.table("Table")
    cloud.add("Bus", "AWS::Events::EventBus", Name="bus")
    cloud.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
    cloud.add("Topic", "AWS::SNS::Topic")
    cloud.add("Secret", "AWS::SecretsManager::Secret", SecretString="hush")
    cloud.function("Function", "def handler(event, context): return event")
    trust = {"Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    cloud.add(
        "Waker",
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Statement": [{"Effect": "Allow", **trust}]},
    )
    for kind in ("EXPRESS", "STANDARD"):
        cloud.add(
            kind.title(),
            "AWS::StepFunctions::StateMachine",
            RoleArn=arn("Role"),
            StateMachineType=kind,
            DefinitionString=json.dumps(NOTHING_TO_DO),
        )
    with Rehearsal(cloud.write(), latency=NONE) as rehearsal:
        rehearsal.client("sesv2").create_email_identity(EmailIdentity="shop@example.com")
        rehearsal.client("scheduler").create_schedule_group(Name="group")
        rehearsal.client("logs").create_log_group(logGroupName="group")
        for way in ("long", "near"):
            rehearsal.client("logs").create_log_stream(logGroupName="group", logStreamName=way)
        ways = Ways(rehearsal)
        table = rehearsal.client("dynamodb")
        for way in ("long", "near"):
            for number in range(3):
                item = {"pk": {"S": f"{way}-{number}"}, "way": {"S": way}, **VALUES}
                table.put_item(TableName=ways.names(way)["Table"], Item=item)
        yield ways


KEY = {"pk": {"S": "<way>-0"}}
TABLE = {"TableName": "<Table>"}
EMAIL = {
    "FromEmailAddress": "shop@example.com",
    "Destination": {"ToAddresses": ["somebody@example.com"]},
    "Content": {"Simple": {"Subject": {"Data": "Ü"}, "Body": {"Text": {"Data": "text"}}}},
}
SCHEDULE = {
    "Name": "<way>-at-once",
    "GroupName": "group",
    "ScheduleExpression": "at(2026-02-01T00:00:00)",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {"Arn": "arn:aws:sqs:eu-central-1:123456789012:queue", "RoleArn": "<WakerArn>"},
}
LOGGED = {
    "logGroupName": "group",
    "logStreamName": "<way>",
    "logEvents": [{"timestamp": 1_767_225_600_000, "message": "Ü"}],
}
ENTRY = {"EventBusName": "<Bus>", "Source": "s", "DetailType": "d", "Detail": '{"a": 1}'}

GOOD: list[tuple[str, str, Parameters]] = [
    ("dynamodb", "GetItem", {**TABLE, "Key": KEY, "ConsistentRead": True}),
    ("dynamodb", "GetItem", {**TABLE, "Key": {"pk": {"S": "none"}}}),
    ("dynamodb", "GetItem", {**TABLE, "Key": KEY, "ProjectionExpression": "flag, way"}),
    ("dynamodb", "GetItem", {**TABLE, "Key": KEY, "ReturnConsumedCapacity": "TOTAL"}),
    ("dynamodb", "BatchGetItem", {"RequestItems": {"<Table>": {"Keys": [KEY]}}}),
    (
        "dynamodb",
        "Query",
        {
            **TABLE,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": "<way>-1"}},
        },
    ),
    (
        "dynamodb",
        "Scan",
        {
            **TABLE,
            "FilterExpression": "way = :way",
            "ExpressionAttributeValues": {":way": {"S": "<way>"}},
        },
    ),
    ("dynamodb", "PutItem", {**TABLE, "Item": {"pk": {"S": "<way>-put"}, **VALUES}}),
    ("dynamodb", "PutItem", {**TABLE, "Item": {**KEY, "n": {"N": "1"}}, "ReturnValues": "ALL_OLD"}),
    (
        "dynamodb",
        "UpdateItem",
        {
            **TABLE,
            "Key": {"pk": {"S": "<way>-counter"}},
            "UpdateExpression": "SET beginning = if_not_exists(beginning, :one) ADD #n :one",
            "ExpressionAttributeNames": {"#n": "count"},
            "ExpressionAttributeValues": {":one": {"N": "1"}},
            "ReturnValues": "ALL_NEW",
        },
    ),
    (
        "dynamodb",
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Put": {**TABLE, "Item": {"pk": {"S": "<way>-new"}, **VALUES}}},
                {
                    "Update": {
                        **TABLE,
                        "Key": {"pk": {"S": "<way>-1"}},
                        "UpdateExpression": "SET #n = #n + :n",
                        "ConditionExpression": "attribute_exists(pk)",
                        "ExpressionAttributeNames": {"#n": "number"},
                        "ExpressionAttributeValues": {":n": {"N": "2"}},
                    }
                },
                {"Delete": {**TABLE, "Key": {"pk": {"S": "<way>-2"}}}},
            ]
        },
    ),
    ("dynamodb", "DeleteItem", {**TABLE, "Key": KEY, "ReturnValues": "ALL_OLD"}),
    ("events", "PutEvents", {"Entries": [ENTRY, {**ENTRY, "Detail": "no JSON"}]}),
    ("kinesis", "PutRecord", {"StreamName": "<Stream>", "PartitionKey": "p", "Data": b"\xff"}),
    (
        "kinesis",
        "PutRecords",
        {"StreamARN": "<StreamArn>", "Records": [{"PartitionKey": "p", "Data": b"{}"}] * 2},
    ),
    ("logs", "PutLogEvents", LOGGED),
    ("logs", "FilterLogEvents", {"logGroupName": "group", "logStreamNames": ["<way>"]}),
    ("scheduler", "CreateSchedule", SCHEDULE),
    ("secretsmanager", "GetSecretValue", {"SecretId": "<Secret>"}),
    ("sesv2", "SendEmail", EMAIL),
    ("sns", "Publish", {"PhoneNumber": "+4930123456", "Message": "Ü & ü"}),
    (
        "sns",
        "Publish",
        {
            "TopicArn": "<Topic>",
            "Message": "{}",
            "MessageAttributes": {"channel": {"DataType": "String", "StringValue": "sms"}},
        },
    ),
    (
        "stepfunctions",
        "StartExecution",
        {"stateMachineArn": "<Standard>", "input": '{"a": 1}', "name": "<way>"},
    ),
    ("stepfunctions", "StartSyncExecution", {"stateMachineArn": "<Express>", "input": '{"a": 1}'}),
]
"""What goes the short way."""

CONDITION = {"ConditionExpression": "attribute_not_exists(pk)"}
WRONG: list[tuple[str, str, Parameters]] = [
    ("dynamodb", "GetItem", {"TableName": "none", "Key": KEY}),
    ("dynamodb", "GetItem", {**TABLE, "Key": {"pk": {"S": ""}}}),
    ("dynamodb", "GetItem", TABLE),
    ("dynamodb", "GetItem", {**TABLE, "Key": KEY, "Consistent": True}),
    ("dynamodb", "GetItem", {**TABLE, "Key": {"pk": "text"}}),
    ("dynamodb", "GetItem", {**TABLE, "Key": {"pk": {"N": 1}}}),
    ("dynamodb", "PutItem", {**TABLE, "Item": {"pk": {"S": "<way>-1"}}, **CONDITION}),
    ("dynamodb", "PutItem", {**TABLE, "Item": {"pk": {"S": "x"}, "n": Decimal(1)}}),
    (
        "dynamodb",
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Put": {**TABLE, "Item": {"pk": {"S": "<way>-never"}}}},
                {"Put": {**TABLE, "Item": {"pk": {"S": "<way>-1"}}, **CONDITION}},
            ]
        },
    ),
    ("dynamodb", "TransactWriteItems", {"TransactItems": []}),
    ("events", "PutEvents", {"Entries": [ENTRY] * 11}),
    ("events", "PutEvents", {"Entries": []}),
    ("kinesis", "PutRecords", {"StreamName": "none", "Records": [{"PartitionKey": "p"}]}),
    ("kinesis", "PutRecord", {"StreamName": "none", "PartitionKey": "p", "Data": b""}),
    ("logs", "FilterLogEvents", {"logGroupName": "none"}),
    ("logs", "PutLogEvents", {**LOGGED, "logStreamName": "none"}),
    ("logs", "PutLogEvents", {**LOGGED, "logEvents": []}),
    ("scheduler", "CreateSchedule", {**SCHEDULE, "GroupName": "none"}),
    ("scheduler", "CreateSchedule", {**SCHEDULE, "Name": ""}),
    ("secretsmanager", "GetSecretValue", {"SecretId": "none"}),
    ("sesv2", "SendEmail", {**EMAIL, "FromEmailAddress": "stranger@example.org"}),
    ("sns", "Publish", {"PhoneNumber": "none", "Message": "text"}),
    ("sns", "Publish", {"TopicArn": "arn:aws:sns:eu-central-1:123456789012:no", "Message": "text"}),
    ("stepfunctions", "StartExecution", {"stateMachineArn": "<Standard>", "input": "no JSON"}),
    ("stepfunctions", "StartSyncExecution", {"stateMachineArn": "<Standard>"}),
]
"""What fails, in botocore or in moto."""

ODD: list[tuple[str, str, Parameters]] = [
    ("dynamodb", "PutItem", {**TABLE, "Item": {"pk": {"S": "<way>-b"}, "b": {"B": b"\x00\xff"}}}),
    ("dynamodb", "GetItem", {**TABLE, "Key": {"pk": {"S": "<way>-b"}}}),
    ("dynamodb", "ListTables", {}),
    ("events", "PutEvents", {"Entries": [{**ENTRY, "Time": "2026-01-01T00:00:00Z"}]}),
    ("kinesis", "PutRecord", {"StreamName": "<Stream>", "PartitionKey": "p", "Data": "text"}),
]
"""What is right, but rare; the short way need not know it."""


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations for which an HTTP request was written."""
    written: list[str] = []
    make = Endpoint.make_request

    def made(endpoint: Endpoint, model: Any, request: Any) -> Any:
        written.append(model.name)
        return make(endpoint, model, request)

    monkeypatch.setattr(Endpoint, "make_request", made)
    return written


@pytest.mark.parametrize(("service", "operation", "parameters"), GOOD)
def test_usual_call_is_answered_alike_without_a_request(
    ways: Ways, requests: list[str], service: str, operation: str, parameters: Parameters
) -> None:
    long = ways.outcome("long", service, operation, parameters)
    assert "raised" not in long
    assert requests == [operation]

    assert ways.outcome("near", service, operation, parameters) == long
    assert requests == [operation]


@pytest.mark.parametrize(("service", "operation", "parameters"), WRONG)
def test_call_that_fails_raises_alike(
    ways: Ways, service: str, operation: str, parameters: Parameters
) -> None:
    long, short = (ways.outcome(way, service, operation, parameters) for way in ("long", "near"))

    assert "raised" in long
    assert short == long


@pytest.mark.parametrize(("service", "operation", "parameters"), ODD)
def test_rare_call_is_answered_alike(
    ways: Ways, service: str, operation: str, parameters: Parameters
) -> None:
    long, short = (ways.outcome(way, service, operation, parameters) for way in ("long", "near"))

    assert "raised" not in long
    assert short == long


def test_both_ways_leave_the_same_behind(ways: Ways) -> None:
    """All the calls above, once more: what they change is changed alike."""
    for way in ("long", "near"):
        for service, operation, parameters in (*GOOD, *WRONG, *ODD):
            ways.outcome(way, service, operation, parameters)

    rehearsal = ways.rehearsal
    items = rehearsal.client("dynamodb").scan(TableName=ways.names("near")["Table"])["Items"]
    table = dynamodb_backends[rehearsal.account][rehearsal.region].get_table(
        ways.names("near")["Table"]
    )
    assert table.stream_shard is not None
    changes = [record.to_json() for record in table.stream_shard.items]
    for kept, key in ((items, "pk"), (changes, "dynamodb")):
        found = {
            way: sorted(
                json.dumps(without_chance(each, way), sort_keys=True, default=str)
                for each in kept
                if json.dumps(each[key], default=str).find(way) >= 0
            )
            for way in ("long", "near")
        }
        assert found["near"] == found["long"]
        assert len(found["near"]) >= 4
    assert "never" not in str(items)


def test_caller_may_change_parameters_and_answers_afterwards(ways: Ways) -> None:
    table, client = ways.names("near")["Table"], ways.rehearsal.client("dynamodb")
    item: Parameters = {"pk": {"S": "mine"}, **json.loads(json.dumps(VALUES))}
    client.put_item(TableName=table, Item=item)
    kept = client.get_item(TableName=table, Key={"pk": {"S": "mine"}})["Item"]
    before = json.dumps(kept)

    for owned in (item, kept):
        owned["texts"]["SS"].append("c")
        owned["list"]["L"][1]["M"]["deep"]["L"].clear()

    again = client.get_item(TableName=table, Key={"pk": {"S": "mine"}})["Item"]
    assert json.dumps(again) == before


def test_client_with_handlers_of_its_own_goes_the_long_way(ways: Ways, requests: list[str]) -> None:
    make: Any = boto3.client
    client = make("dynamodb", region_name=ways.rehearsal.region)
    seen: list[str] = []
    table = ways.names("near")["Table"]
    client.get_item(TableName=table, Key={"pk": {"S": "mine"}})
    assert requests == []

    client.meta.events.register(
        "provide-client-params.dynamodb.GetItem", lambda model, **_: seen.append(model.name)
    )
    client.get_item(TableName=table, Key={"pk": {"S": "mine"}})

    assert (requests, seen) == (["GetItem"], ["GetItem"])


def test_clients_made_alike_share_a_prototype_until_one_of_them_changes(
    ways: Ways, requests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make: Any = boto3.client
    seen: list[str] = []
    call = {"TableName": ways.names("near")["Table"], "Key": {"pk": {"S": "mine"}}}
    first, second = (make("dynamodb", region_name=ways.rehearsal.region) for _ in "ab")
    assert first is not second
    assert first._endpoint is second._endpoint

    first.meta.events.register("before-call", lambda **_: seen.append("first"))
    first.note = "first"
    third = make("dynamodb", region_name=ways.rehearsal.region)
    for client in (second, first, third):
        client.get_item(**call)

    assert (requests, seen) == (["GetItem"], ["first"])
    assert third._endpoint is second._endpoint is not first._endpoint
    assert not hasattr(second, "note")
    assert not hasattr(third, "note")

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    others = [
        make("dynamodb", region_name=ways.rehearsal.region),
        make("dynamodb", region_name="eu-west-1"),
        make("dynamodb", region_name=ways.rehearsal.region, config=Config(read_timeout=1)),
        boto3.Session().client("dynamodb", region_name=ways.rehearsal.region),
    ]
    assert len({id(client._endpoint) for client in (second, *others)}) == 5
    assert others[0].meta.config.retries == {"mode": "legacy", "total_max_attempts": 7}


def test_client_has_a_prototype_of_its_own_before_it_sends_a_request(
    ways: Ways, requests: list[str]
) -> None:
    make: Any = boto3.client
    first, second = (make("dynamodb", region_name=ways.rehearsal.region) for _ in "ab")

    assert ways.names("near")["Table"] in first.list_tables()["TableNames"]

    assert requests == ["ListTables"]
    assert first._endpoint is not second._endpoint
    assert first._request_signer is not second._request_signer


def test_resource_of_boto3_has_its_own_values(ways: Ways) -> None:
    make: Any = boto3.resource
    table = make("dynamodb", region_name=ways.rehearsal.region).Table(ways.names("near")["Table"])
    table.put_item(Item={"pk": "resource", "number": Decimal("1.5"), "texts": {"a"}})

    item = table.get_item(Key={"pk": "resource"})["Item"]

    assert item == {"pk": "resource", "number": Decimal("1.5"), "texts": {"a"}}


def test_cases_cover_each_operation_with_a_short_way() -> None:
    assert {(service, operation) for service, operation, _ in GOOD} == {
        (name, operation) for name, service in SERVICES.items() for operation in service.operations
    }
