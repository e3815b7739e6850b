"""Variables, JSONata, service integrations and distributed maps, as AWS answers them.

The expected values are those that the suites of other emulators recorded on AWS, or documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal.errors import LoadingError
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import World, eventually

Run = Callable[..., dict[str, Any]]
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
HASH = "185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969"


@pytest.fixture
def shop(template: Cloud, aws: Deploy) -> World:
    """A rehearsal with a function, a queue, a table, a bucket and a state machine to start."""
    template.function("Echo", "def handler(event, context): return event")
    template.function("Raw", "def handler(event, context): return event['raw'].encode()")
    template.function("Bad", "def handler(event, context): raise KeyError('x')")
    template.queue("Queue")
    template.add("Bucket", "AWS::S3::Bucket")
    template.add(
        "Inner",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        Definition={
            "StartAt": "Wait",
            "States": {
                "Wait": {"Type": "Wait", "Seconds": 4, "Next": "Choose"},
                "Choose": {
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.fail", "IsPresent": True, "Next": "Fail"}],
                    "Default": "Done",
                },
                "Fail": {"Type": "Fail", "Error": "Declined", "Cause": "no money"},
                "Done": {"Type": "Succeed"},
            },
        },
    )
    return aws(shared=True)


@pytest.fixture
def run(shop: World) -> Iterator[Run]:
    """Runs a Standard workflow; its output is decoded."""
    client = shop.client("stepfunctions")
    role = shop.resource("Shop/Role").attributes["Arn"]
    machines = []

    def start(states: dict[str, Any], data: Any = None, **top: Any) -> dict[str, Any]:
        machine = client.create_state_machine(
            name=f"{shop.physical_id('Shop/Role')}-{uuid4().hex[:8]}",
            definition=json.dumps({"StartAt": next(iter(states)), "States": states, **top}),
            roleArn=role,
        )["stateMachineArn"]
        machines.append(machine)
        text = json.dumps({} if data is None else data)
        execution = client.start_execution(stateMachineArn=machine, input=text)["executionArn"]

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = client.describe_execution(executionArn=execution)
            return None if found["status"] == "RUNNING" else found

        found = eventually(shop, ended)
        assert found is not None, "the execution does not end"
        return {**found, "output": json.loads(found.get("output", "null"))}

    yield start
    for machine in machines:
        client.delete_state_machine(stateMachineArn=machine)


def task(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "T": {
            "Type": "Task",
            "Resource": f"arn:aws:states:::{resource}",
            "Parameters": parameters,
            "End": True,
            **more,
        }
    }


class TestVariables:
    """https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html."""

    def test_a_variable_is_read_by_later_states(self, run: Run) -> None:
        """With a path into it, in fields and as an argument of intrinsic functions."""
        states = {
            "Keep": {
                "Type": "Pass",
                "Assign": {"order.$": "$.order", "text": 'a "b"\n', "n": 5},
                "Next": "Use",
            },
            "Use": {
                "Type": "Pass",
                "Parameters": {
                    "sku.$": "$order.lines[0].sku",
                    "all.$": "$order.lines[*].sku",
                    "text.$": "$text",
                    "sum.$": "States.MathAdd($n, $n)",
                    "id.$": "$$.Execution.Name",
                },
                "End": True,
            },
        }
        answer = run(states, {"order": {"lines": [{"sku": "A"}, {"sku": "B"}]}})
        assert answer["output"] == {
            "sku": "A",
            "all": ["A", "B"],
            "text": 'a "b"\n',
            "sum": 10,
            "id": answer["name"],
        }

    def test_a_choice_compares_a_variable(self, run: Run) -> None:
        """And an inner state keeps its variables from the outer ones."""
        states = {
            "Keep": {"Type": "Pass", "Assign": {"n": 2}, "Next": "Map"},
            "Map": {
                "Type": "Map",
                "ItemsPath": "$.xs",
                "ItemProcessor": {
                    "StartAt": "In",
                    "States": {
                        "In": {"Type": "Pass", "Assign": {"inner.$": "$"}, "Next": "Out"},
                        "Out": {
                            "Type": "Pass",
                            "Parameters": {"n.$": "$n", "inner.$": "$inner"},
                            "End": True,
                        },
                    },
                },
                "ResultPath": "$.ys",
                "Next": "Choose",
            },
            "Choose": {
                "Type": "Choice",
                "Choices": [{"Variable": "$n", "NumericEquals": 2, "Next": "Yes"}],
                "Default": "No",
            },
            "Yes": {"Type": "Succeed"},
            "No": {"Type": "Fail"},
        }
        answer = run(states, {"xs": ["a"]})
        assert answer["output"]["ys"] == [{"n": 2, "inner": "a"}]

    def test_an_unknown_variable_fails_the_execution(self, run: Run) -> None:
        """It is an error of the States language."""
        answer = run({"A": {"Type": "Pass", "Parameters": {"x.$": "$gone"}, "End": True}})
        assert (answer["status"], answer["error"]) == ("FAILED", "States.Runtime")


class TestJsonata:
    """https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html."""

    def value(self, run: Run, expression: str, data: Any = None) -> Any:
        state = {"Type": "Pass", "Output": f"{{% {expression} %}}", "End": True}
        answer = run({"A": state}, data, QueryLanguage="JSONata")
        return answer["output"] if answer["status"] == "SUCCEEDED" else answer["error"]

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("$states.input.order.total / 2", 150),
            ("$sum($states.input.order.lines.n)", 3),
            ("$states.input.order.lines[n > 1].sku", "B"),
            ("$states.input.nothing", None),
            ("$states.input.quoted & '!'", 'say "hi"!'),
            ("$states.context.State.Name", "A"),
            ("$partition([1,2,3], 2)", [[1, 2], [3]]),
            ("$range(1, 9, 4)", [1, 5, 9]),
            ("$range(1, 1, 1)", 1),
            ("$hash('Hello', 'SHA-256')", HASH),
            ("$parse('{\"a\": [1]}')", {"a": [1]}),
            ("$random(7) = $random(7)", True),
            ("$length($uuid())", 36),
            ("($x := 2; $x * 3)", 6),
            ("$toMillis('2026-01-05T08:00:00Z')", 1767600000000),
            ("$states.input.absent", "States.QueryEvaluationError"),
            ("$eval('1')", "States.QueryEvaluationError"),
            ("$uuid", "States.QueryEvaluationError"),
            ("1 / 'a'", "States.QueryEvaluationError"),
            ("$range(1, 2, 0)", "States.QueryEvaluationError"),
        ],
    )
    def test_an_expression_has_this_value(self, run: Run, expression: str, expected: Any) -> None:
        """The functions are those of JSONata, and seven more."""
        data = {
            "order": {"total": 300, "lines": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}]},
            "nothing": None,
            "quoted": 'say "hi"',
        }
        assert self.value(run, expression, data) == expected

    @pytest.mark.own_behaviour
    def test_time_is_that_of_the_rehearsal(self, run: Run) -> None:
        """$now gives virtual time."""
        assert self.value(run, "$now()").startswith("2026-01-05T08:00")

    def test_arguments_output_condition_and_catch(self, shop: World, run: Run) -> None:
        """Each field can be an expression, and sees $states."""
        call = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {
                "FunctionName": "{% $states.input.name %}",
                "Payload": {"n": "{% $states.input.n + 1 %}"},
            },
            "Assign": {"n": "{% $states.result.Payload.n %}"},
            "Output": "{% $states.result.Payload %}",
            "Catch": [
                {
                    "ErrorEquals": ["KeyError"],
                    "Assign": {"error": "{% $states.errorOutput.Error %}"},
                    "Output": "{% $states.errorOutput.Error %}",
                    "Next": "End",
                }
            ],
            "Next": "Choose",
        }
        states = {
            "Call": call,
            "Choose": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $n > 2 %}", "Output": "{% $n %}", "Next": "End"}],
                "Default": "No",
            },
            "End": {"Type": "Succeed"},
            "No": {"Type": "Fail"},
        }
        top = {"QueryLanguage": "JSONata"}
        echo, bad = (shop.physical_id(f"Shop/{name}") for name in ("Echo", "Bad"))
        assert run(states, {"name": echo, "n": 2}, **top)["output"] == 3
        assert run(states, {"name": echo, "n": 1}, **top)["status"] == "FAILED"
        assert run(states, {"name": bad, "n": 1}, **top)["output"] == "KeyError"

    def test_states_of_both_languages_share_variables(self, run: Run) -> None:
        """A state can choose its language."""
        states = {
            "A": {
                "Type": "Pass",
                "QueryLanguage": "JSONata",
                "Assign": {"xs": "{% [1..3] %}"},
                "Next": "B",
            },
            "B": {"Type": "Pass", "Parameters": {"second.$": "$xs[1]"}, "End": True},
        }
        assert run(states)["output"] == {"second": 2}


class TestStartExecution:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html."""

    def test_a_start_alone_does_not_wait(self, shop: World, run: Run) -> None:
        """The result has names in capitals, and dates as text.

        https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
        https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
        https://docs.aws.amazon.com/step-functions/latest/dg/connect-parameters.html
        """
        inner = shop.physical_id("Shop/Inner")
        answer = run(
            task(
                "states:startExecution",
                {"StateMachineArn": inner, "Input": {"a": 1}, "Name": "n"},
            )
        )
        output = answer["output"]
        started = {"executionArn": output["ExecutionArn"]}
        client = shop.client("stepfunctions")
        inner_stop = eventually(shop, lambda: client.describe_execution(**started).get("stopDate"))
        assert answer["stopDate"] < inner_stop
        assert output["ExecutionArn"] == f"{inner.replace('stateMachine', 'execution')}:n"
        assert re.fullmatch(ISO, output["StartDate"])
        assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200

    @pytest.mark.parametrize(("wait", "output"), [(".sync", '{"a":1}'), (".sync:2", {"a": 1})])
    def test_a_synchronous_start_has_the_output(
        self, run: Run, shop: World, wait: str, output: Any
    ) -> None:
        """As text, or with sync:2 as JSON."""
        parameters = {"StateMachineArn": shop.physical_id("Shop/Inner"), "Input": {"a": 1}}
        answer = run(task(f"states:startExecution{wait}", parameters))
        assert answer["output"]["Output"] == output
        assert answer["output"]["Status"] == "SUCCEEDED"
        assert (answer["stopDate"] - answer["startDate"]).total_seconds() >= 4

    def test_a_failed_execution_fails_the_task(self, run: Run, shop: World) -> None:
        """With the description of the execution as its cause."""
        parameters = {"StateMachineArn": shop.physical_id("Shop/Inner"), "Input": {"fail": True}}
        answer = run(task("states:startExecution.sync:2", parameters))
        assert answer["error"] == "States.TaskFailed"
        assert json.loads(answer["cause"])["Error"] == "Declined"


class TestSdkIntegrations:
    """https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html."""

    def test_names_are_those_of_the_java_sdk(self, run: Run, shop: World) -> None:
        """Requests and results have names in capitals, whatever the service writes."""
        answer = run(
            task(
                "aws-sdk:sqs:sendMessage",
                {"QueueUrl": shop.physical_id("Shop/Queue"), "MessageBody": {"a": 1}},
            )
        )
        assert answer["output"].keys() == {"Md5OfMessageBody", "MessageId"}
        inner = shop.physical_id("Shop/Inner")
        parameters = {"StateMachineArn": inner}
        described = run(task("aws-sdk:sfn:describeStateMachine", parameters))["output"]
        assert described["Name"] == inner.rpartition(":")[2]
        assert re.fullmatch(ISO, described["CreationDate"])

    def test_objects_are_text_and_dates_are_text(self, shop: World, run: Run) -> None:
        """What is put is the JSON of the parameter, even of text."""
        key = {"Bucket": shop.physical_id("Shop/Bucket"), "Key": "k"}
        assert run(task("aws-sdk:s3:putObject", {**key, "Body": "text"}))["status"] == "SUCCEEDED"
        assert shop.client("s3").get_object(**key)["Body"].read() == b'"text"'
        output = run(task("aws-sdk:s3:getObject", key))["output"]
        assert output["Body"] == '"text"'
        assert re.fullmatch(ISO, output["LastModified"])
        assert output["ETag"].startswith('"')

    @pytest.mark.parametrize(
        ("call", "parameters", "error"),
        [
            ("s3:getObject", {"Bucket": "gone-for-good", "Key": "k"}, "S3.NoSuchBucketException"),
            ("s3:getObject", {"Bucket": "<bucket>", "Key": "gone"}, "S3.NoSuchKeyException"),
            (
                "dynamodb:getItem",
                {"TableName": "gone", "Key": {"pk": {"S": "a"}}},
                "DynamoDb.ResourceNotFoundException",
            ),
            (
                "sfn:sendTaskSuccess",
                {"TaskToken": "t", "Output": "no JSON"},
                "Sfn.InvalidTokenException",
            ),
            (
                "sns:getTopicAttributes",
                {"TopicArn": "arn:aws:sns:eu-central-1:123456789012:gone"},
                "Sns.NotFoundException",
            ),
            ("secretsmanager:getSecretValue", {"SecretId": "gone"}, None),
            ("s3:getObject", {"Bucket": "<bucket>"}, "S3.S3Exception"),
        ],
    )
    def test_an_error_has_the_name_of_its_service(
        self, run: Run, shop: World, call: str, parameters: dict[str, Any], error: str | None
    ) -> None:
        """And those that the service does not define are the service's as a whole."""
        if "Bucket" in parameters:
            bucket = shop.physical_id("Shop/Bucket")
            parameters["Bucket"] = parameters["Bucket"].replace("<bucket>", bucket)
        caught = {"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}
        states = task(f"aws-sdk:{call}", parameters, Catch=[caught])
        output = run({**states, "Caught": {"Type": "Pass", "End": True}})["output"]
        assert output["Error"] == (error or "SecretsManager.ResourceNotFoundException")

    def test_a_function_is_invoked(self, shop: World, run: Run) -> None:
        """The payload of the answer is a stream, which becomes text."""
        parameters = {"FunctionName": shop.physical_id("Shop/Echo"), "Payload": {"a": 1}}
        output = run(task("aws-sdk:lambda:invoke", parameters))["output"]
        assert json.loads(output["Payload"]) == {"a": 1}


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        ("batch:submitJob.sync", "the integration batch:submitJob is not supported: use dynamodb:"),
        ("http:invoke", "the integration http:invoke is not supported"),
        ("dynamodb:query", "the integration dynamodb:query is not supported"),
        ("lambda:invoke.sync", "the integration lambda:invoke has no .sync"),
        ("aws-sdk:nosuch:call", "aws-sdk:nosuch:call is of no service that botocore knows"),
        ("aws-sdk:sqs:noSuchCall", "aws-sdk:sqs:noSuchCall is no operation of its service"),
        ("aws-sdk:sqs:SendMessage", "aws-sdk:sqs:SendMessage is no operation"),
        ("aws-sdk:braket:getJob", "aws-sdk:braket:getJob is not supported: moto has no such"),
        ("aws-sdk:sqs:sendMessage.sync", "aws-sdk:sqs:sendMessage has no .sync"),
    ],
)
def test_an_unknown_integration_is_refused_when_the_template_is_loaded(
    template: Cloud, rehearse: Rehearse, resource: str, problem: str
) -> None:
    """By its name, instead of a failure when it is first used."""
    template.function("Function", "def handler(event, context): pass")
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        Definition={"StartAt": "T", "States": task(resource, {})},
    )
    with pytest.raises((LoadingError, ClientError)) as error:
        rehearse()
    assert problem in str(error.value)


def distributed(states: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    states = states or {"P": {"Type": "Pass", "End": True}}
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
        "StartAt": next(iter(states)),
        "States": states,
    }
    return {"M": {"Type": "Map", "ItemProcessor": processor, "End": True, **more}}


TWO_FAILS = {
    "C": {
        "Type": "Choice",
        "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "F"}],
        "Default": "P",
    },
    "F": {"Type": "Fail", "Error": "X"},
    "P": {"Type": "Pass", "End": True},
}


class TestDistributedMaps:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html."""

    @pytest.mark.parametrize(
        ("more", "output"),
        [
            ({}, None),
            ({"MaxConcurrency": 1}, None),
            ({"ToleratedFailureCount": 1}, [1, 3]),
            ({"ToleratedFailurePercentage": 34}, [1, 3]),
            ({"ToleratedFailurePercentage": 33}, None),
            ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 33}, None),
        ],
    )
    def test_more_failures_than_tolerated_fail_the_map(
        self, run: Run, more: dict[str, Any], output: Any
    ) -> None:
        """By default none is; the output lacks failed children."""
        answer = run(distributed(TWO_FAILS, **more), [1, 2, 3])
        assert answer["output"] == output
        if output is None:
            assert answer["error"] == "States.ExceedToleratedFailureThreshold"

    def test_after_too_many_failures_no_child_starts(self, run: Run, shop: World) -> None:
        """The Map Run stops."""
        call = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": shop.physical_id("Shop/Bad")},
            "End": True,
        }
        run(distributed({"T": call}, MaxConcurrency=1), [1, 2, 3])
        assert shop.logs("Shop/Bad").count("[ERROR] KeyError") == 1

    @pytest.mark.parametrize(
        ("batcher", "output"),
        [
            ({"MaxItemsPerBatch": 2}, [{"Items": [1, 2]}, {"Items": [3]}]),
            ({"MaxInputBytesPerBatch": 20}, [{"Items": [1]}, {"Items": [2]}, {"Items": [3]}]),
            (
                {"MaxItemsPerBatchPath": "$.n", "BatchInput": {"k.$": "$.k", "c": 1}},
                [{"Items": [1, 2, 3], "BatchInput": {"k": 7, "c": 1}}],
            ),
        ],
    )
    def test_items_come_in_batches(self, run: Run, batcher: Any, output: Any) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html."""
        states = distributed(ItemBatcher=batcher, ItemsPath="$.xs")
        assert run(states, {"xs": [1, 2, 3], "n": 3, "k": 7})["output"] == output

    def test_selected_items_are_batched(self, run: Run) -> None:
        """The ItemSelector comes first."""
        states = distributed(
            ItemsPath="$.xs",
            ItemSelector={"v.$": "$$.Map.Item.Value", "k.$": "$.k"},
            ItemBatcher={"MaxItemsPerBatch": 9},
        )
        assert run(states, {"xs": [1], "k": 7})["output"] == [{"Items": [{"v": 1, "k": 7}]}]

    def test_a_map_of_many_items_runs_them_one_by_one(self, run: Run) -> None:
        """Without a nested call for each."""
        assert run(distributed(MaxConcurrency=1), list(range(1500)))["status"] == "SUCCEEDED"

    def test_items_are_read_from_a_bucket_and_results_written_there(
        self, run: Run, shop: World
    ) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html."""
        s3 = shop.client("s3")
        bucket = shop.physical_id("Shop/Bucket")
        s3.put_object(Bucket=bucket, Key="in.csv", Body=b"sku,n\nA,1\nB,2\n")
        states = distributed(
            {
                "C": {
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.sku", "StringEquals": "B", "Next": "F"}],
                    "Default": "P",
                },
                "F": {"Type": "Fail", "Error": "X"},
                "P": {"Type": "Pass", "End": True},
            },
            ToleratedFailureCount=1,
            ItemReader={
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
                "Parameters": {"Bucket": bucket, "Key": "in.csv"},
            },
            ResultWriter={
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": bucket, "Prefix": "out"},
            },
        )
        details = run(states)["output"]["ResultWriterDetails"]
        manifest = json.loads(s3.get_object(**details)["Body"].read())
        written = {
            status: [
                json.loads(s3.get_object(Bucket=bucket, Key=file["Key"])["Body"].read())
                for file in files
            ]
            for status, files in manifest["ResultFiles"].items()
        }
        ((succeeded,),), ((failed,),) = written["SUCCEEDED"], written["FAILED"]
        assert json.loads(succeeded["Output"]) == {"sku": "A", "n": "1"}
        assert json.loads(failed["Input"]) == {"sku": "B", "n": "2"}
        assert written["PENDING"] == []

    def test_the_objects_of_a_bucket_are_items(self, run: Run, shop: World) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html."""
        parameters = {"Bucket": shop.physical_id("Shop/Bucket"), "Prefix": "a/"}
        shop.client("s3").put_object(Bucket=parameters["Bucket"], Key="a/b", Body=b"x")
        reader = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": parameters}
        (item,) = run(distributed(ItemReader=reader))["output"]
        assert (item["Key"], item["Size"], type(item["LastModified"])) == ("a/b", 1, int)

    def test_a_bucket_that_is_gone_is_an_error_of_the_writer(self, run: Run) -> None:
        """It has a name of its own."""
        writer = {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": "gone-for-good", "Prefix": "p"},
        }
        assert run(distributed(ResultWriter=writer), [1])["error"] == "States.ResultWriterFailed"

    @pytest.mark.own_behaviour
    @pytest.mark.parametrize(
        ("more", "problem"),
        [
            ({"ResultWriter": {"WriterConfig": {}}}, "a WriterConfig is not supported"),
            ({"ItemBatcher": {"BatchInput": {}}}, "an ItemBatcher needs MaxItemsPerBatch"),
            (
                {"ItemReader": {"ReaderConfig": {"InputType": "PARQUET"}}},
                "an ItemReader of the type PARQUET is not supported",
            ),
        ],
    )
    def test_what_is_not_supported_is_refused(
        self, run: Run, more: dict[str, Any], problem: str
    ) -> None:
        """When the machine is created."""
        with pytest.raises(ClientError, match=problem):
            run(distributed(**more))


def test_a_handler_that_returns_bytes_decides_on_its_answer(shop: World) -> None:
    """https://github.com/aws/aws-lambda-python-runtime-interface-client"""
    assert shop.invoke("Shop/Raw", {"raw": '{"a": 1}'}).payload == {"a": 1}
    assert shop.invoke("Shop/Raw", {"raw": "no JSON"}).payload == "no JSON"


def test_a_handler_may_return_decimals_and_nested_bytes(
    template: Cloud, rehearse: Rehearse
) -> None:
    """The runtime writes them as numbers and text.

    https://github.com/aws/aws-lambda-python-runtime-interface-client
    """
    template.function(
        "Function",
        """
        from decimal import Decimal
        def handler(event, context):
            return {"d": Decimal("1.50"), "i": Decimal("3"), "b": b"x", "t": (1, 2)}
        """,
    )
    payload = rehearse().invoke("Shop/Function", {}).payload
    assert payload == {"d": float(Decimal("1.5")), "i": 3, "b": "x", "t": [1, 2]}


def test_the_context_tells_how_often_a_standard_execution_was_redriven(run: Run) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html"""
    state = {"Type": "Pass", "Parameters": {"it.$": "$$.Execution"}, "End": True}
    answer = run({"A": state})
    found = answer["output"]["it"]
    assert found.keys() == {"Id", "Input", "Name", "RedriveCount", "RoleArn", "StartTime"}
    started = answer["startDate"] - datetime.fromisoformat(found["StartTime"])
    assert abs(started.total_seconds()) < 1
