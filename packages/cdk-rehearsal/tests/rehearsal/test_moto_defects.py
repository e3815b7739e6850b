"""Each defect that a patch fixes is still there in plain moto, and gone with the patch.

If a test of plain moto fails after an upgrade, moto has fixed the defect: delete its patch.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import boto3
import pytest
import time_machine
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.base_backend import BackendDict
from moto.dynamodb.models import dynamodb_backends
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import (
    ErrorEqualsDecl,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringLiteral
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import (
    StateTaskLambda,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from cdk_rehearsal.moto_patches import defects
from cdk_rehearsal.moto_patches.defects import step_functions
from cdk_rehearsal.sandbox.patching import Patches

REGION = "eu-central-1"
ACCOUNT = "123456789012"
Scenario = Callable[[], Any]
KEY = {"pk": {"S": "a"}}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"


@pytest.fixture(autouse=True)
def moto() -> Iterator[None]:
    config: Any = {
        "stepfunctions": {"execute_state_machine": True},
        "lambda": {"use_docker": False},
    }
    with mock_aws(config=config):
        BackendDict.reset()
        yield


def client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, REGION)


def code(call: Callable[..., Any], **options: Any) -> str:
    """The code of an API error, the class of another, empty if there is none."""
    try:
        call(**options)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except Exception as error:  # noqa: BLE001, moto raises errors of its own
        return type(error).__name__
    return ""


# -- DynamoDB -----------------------------------------------------------------------------


def table() -> Any:
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    return dynamodb


def stream() -> list[str]:
    shard = dynamodb_backends[ACCOUNT][REGION].tables["t"].stream_shard
    assert shard is not None
    return [record.record["eventName"] for record in shard.items]


def a_write_that_changes_nothing() -> list[str]:
    dynamodb = table()
    for _ in range(2):
        dynamodb.put_item(TableName="t", Item=KEY)
    return stream()


def an_update_that_creates_an_item() -> list[str]:
    table().update_item(
        TableName="t",
        Key=KEY,
        UpdateExpression="SET n = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    return stream()


def a_failed_update(*stored: dict[str, Any]) -> Any:
    dynamodb = table()
    for item in stored:
        dynamodb.put_item(TableName="t", Item=item)
    update = {
        "UpdateExpression": "SET n = :n ADD m :text",
        "ExpressionAttributeValues": {":n": {"N": "1"}, ":text": {"S": "x"}},
    }
    assert code(dynamodb.update_item, TableName="t", Key=KEY, **update) == "ValidationException"
    return dynamodb.get_item(TableName="t", Key=KEY).get("Item")


def a_failed_update_of_an_item() -> Any:
    return a_failed_update({**KEY, "n": {"N": "0"}})["n"]


# -- SQS, Kinesis, Scheduler --------------------------------------------------------------


def the_qualifier_of_an_invocation() -> str | None:
    invoke = Mock(return_value=b"null")
    with patch.object(LambdaSimpleBackend, "invoke", invoke):
        client("lambda").invoke(FunctionName="f", Qualifier="live")
    qualifier: str | None = invoke.call_args[0][1]
    return qualifier


def the_end_of_a_url() -> str:
    role = client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="f", Runtime="python3.13", Role=role, Handler="h", Code={"ZipFile": b""}
    )
    answer = client("lambda").create_function_url_config(FunctionName="f", AuthType="NONE")
    return str(answer["FunctionUrl"])[-7:]


def the_end_of_a_visibility_timeout() -> int:
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    with time_machine.travel(datetime(2026, 1, 5, tzinfo=UTC), tick=False) as clock:
        sqs.send_message(QueueUrl=url, MessageBody="a")
        clock.shift(1)
        sqs.receive_message(QueueUrl=url, VisibilityTimeout=30)
        clock.shift(30)
        return len(sqs.receive_message(QueueUrl=url).get("Messages", []))


def sequence_numbers() -> int:
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    answer = kinesis.put_record(StreamName="s", Data=b"x", PartitionKey="p")
    return len(answer["SequenceNumber"])


SCHEDULE = {
    "Name": "n",
    "ScheduleExpression": "rate(1 hour)",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", "RoleArn": ROLE},
}


def a_schedule_in_an_unknown_group() -> str:
    return code(client("scheduler").create_schedule, GroupName="none", **SCHEDULE)


def the_deletion_of_an_unknown_group() -> str:
    return code(client("scheduler").delete_schedule_group, Name="none")


def a_second_group_of_a_name() -> str:
    scheduler = client("scheduler")
    scheduler.create_schedule_group(Name="g")
    return code(scheduler.create_schedule_group, Name="g")


def an_update_of_a_schedule() -> tuple[Any, Any]:
    scheduler = client("scheduler")
    scheduler.create_schedule(**SCHEDULE)
    scheduler.update_schedule(ActionAfterCompletion="DELETE", **SCHEDULE)
    schedule = scheduler.get_schedule(Name="n")
    return schedule.get("ActionAfterCompletion"), schedule.get("State")


# -- Step Functions -----------------------------------------------------------------------


WAITING = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "Parameters": {"QueueUrl": "none"},
    "End": True,
}


def execution(state: dict[str, Any], given: Any = None) -> dict[str, Any]:
    """The end of an execution with one state; a state called Caught may follow."""
    sfn = client("stepfunctions")
    caught = {"Type": "Pass", "Result": "caught", "End": True}
    states = {"State": {**state, "End": True}, "Caught": caught}
    machine = sfn.create_state_machine(
        name="m", definition=json.dumps({"StartAt": "State", "States": states}), roleArn=ROLE
    )["stateMachineArn"]
    arn = sfn.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))
    for _ in range(500):
        found: dict[str, Any] = sfn.describe_execution(executionArn=arn["executionArn"])
        if found["status"] != "RUNNING":
            return found
        time.sleep(0.01)
    raise AssertionError("the execution does not end")


def a_path_through_an_array() -> Any:
    state = {"Type": "Pass", "Parameters": {"sku.$": "$.lines[0].sku"}}
    return json.loads(execution(state, {"lines": [{"sku": "A"}]})["output"])["sku"]


def a_time_out_in_a_branch() -> str:
    url = client("sqs").create_queue(QueueName="q")["QueueUrl"]
    task = {**WAITING, "Parameters": {"QueueUrl": url, "MessageBody": "a"}, "TimeoutSeconds": 1}
    state = {
        "Type": "Parallel",
        "Branches": [{"StartAt": "Inner", "States": {"Inner": task}}],
        "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}],
    }
    return str(execution(state)["status"])


def a_runtime_error_and_states_all() -> bool:
    every_error = ErrorEqualsDecl([StatesErrorName(StatesErrorNameType.StatesALL)])
    env: Any = SimpleNamespace(stack=[StatesErrorName(StatesErrorNameType.StatesRuntime)])
    every_error._eval_body(env)
    return bool(env.stack.pop())


def a_timestamp_in_another_time_zone() -> float:
    """The seconds to wait, half a second before the timestamp."""
    wait = Timestamp(StringLiteral("2026-01-05T08:00:00Z"))
    env: Any = SimpleNamespace(stack=[], is_running=lambda: True)
    now = datetime(2026, 1, 5, 7, 59, 59, 500_000, tzinfo=UTC)
    zone = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1"
    time.tzset()
    try:
        with time_machine.travel(now.timestamp(), tick=False):
            return wait._get_wait_seconds(env)
    finally:
        os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
        time.tzset()


def an_error_of_the_invoke_api() -> str:
    error: Any = {
        "Error": {"Code": "ResourceNotFoundException", "Message": "missing"},
        "ResponseMetadata": {"HTTPStatusCode": 404, "RequestId": "request"},
    }
    refused = ClientError(error, "Invoke")
    task: Any = StateTaskLambda.__new__(StateTaskLambda)
    return str(task._from_error(env=Mock(), ex=refused).error_name.error_name)


def the_time_out_of_a_task_with_a_heartbeat() -> int:
    state = {**WAITING, "HeartbeatSeconds": 50}
    text = json.dumps({"StartAt": "State", "States": {"State": state}})
    program: Any = AmazonStateLanguageParser.parse(text)[0]
    return int(program.states.states["State"].timeout.timeout_seconds)


def an_assigned_text_with_quotation_marks() -> str:
    states = {"State": {"Type": "Pass", "Assign": {"text": 'a "b"'}, "End": True}}
    program: Any = AmazonStateLanguageParser.parse(
        json.dumps({"StartAt": "State", "States": states})
    )[0]
    binding = program.states.states["State"].assign_decl.declaration_bindings[0].binding
    value = binding.assign_value.value
    return str(getattr(value, "literal_value", value))


DEFECTS: list[tuple[Scenario, Any, Any]] = [
    (a_write_that_changes_nothing, ["INSERT", "MODIFY"], ["INSERT"]),
    (an_update_that_creates_an_item, ["INSERT", "INSERT"], ["INSERT"]),
    (a_failed_update, {**KEY, "n": {"N": "1"}}, None),
    (a_failed_update_of_an_item, {"N": "1"}, {"N": "0"}),
    (the_qualifier_of_an_invocation, None, "live"),
    (the_end_of_a_url, ".on.aws", "on.aws/"),
    (the_end_of_a_visibility_timeout, 0, 1),
    (sequence_numbers, 1, 56),
    (a_schedule_in_an_unknown_group, "KeyError", "ResourceNotFoundException"),
    (the_deletion_of_an_unknown_group, "KeyError", "ResourceNotFoundException"),
    (a_second_group_of_a_name, "", "ConflictException"),
    (an_update_of_a_schedule, (None, None), ("DELETE", "ENABLED")),
    (a_path_through_an_array, ["A"], "A"),
    (a_time_out_in_a_branch, "FAILED", "SUCCEEDED"),
    (a_runtime_error_and_states_all, True, False),
    (a_timestamp_in_another_time_zone, -3599, 0.5),
    (an_error_of_the_invoke_api, "Exception", "Lambda.ResourceNotFoundException"),
    (the_time_out_of_a_task_with_a_heartbeat, 60, 99999999),
    (an_assigned_text_with_quotation_marks, r"a \"b\"", 'a "b"'),
]
NAMES = [scenario.__name__ for scenario, _, _ in DEFECTS]


@pytest.mark.parametrize(("scenario", "of_moto"), [case[:2] for case in DEFECTS], ids=NAMES)
def test_plain_moto_has_the_defect(scenario: Scenario, of_moto: Any) -> None:
    assert scenario() == of_moto


@pytest.mark.parametrize(
    ("scenario", "of_aws"), [(case[0], case[2]) for case in DEFECTS], ids=NAMES
)
def test_the_patch_fixes_the_defect(scenario: Scenario, of_aws: Any) -> None:
    patches = Patches()
    defects.patch(patches)
    step_functions.patch(patches)
    try:
        assert scenario() == of_aws
    finally:
        patches.undo()
