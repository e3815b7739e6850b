"""State machines run in virtual time, call the functions and fail as Step Functions documents."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.rates import Rates
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.functions import InvocationResult, Throttled
from cdk_rehearsal.services.step_functions.executions import ExecutionEvent
from cdk_rehearsal.services.step_functions.interpreter import StateMachines
from cdk_rehearsal.virtual_time.clock import Clock
from cdk_rehearsal.virtual_time.scheduler import Scheduler
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/machine"
START = 1_767_600_000.0

Body = Callable[[Any], Any]


class DeclinedError(Exception):
    """What a handler of an application may raise."""


class FakeFunction(NamedTuple):
    """A function that runs in the calling process."""

    name: str
    body: Body
    arn: str


class FakeAccess:
    """Permits everything."""

    def session(self, role: str, name: str) -> None:
        return None

    def authorize(self, principal: None, action: str, resource: str) -> None:
        return None


@dataclass
class FakeLambdas:
    """Functions that run in the calling process, and answer as Lambda does."""

    functions: dict[str, FakeFunction] = field(default_factory=dict)
    calls: list[tuple[float, str, Any]] = field(default_factory=list)
    scheduler: Scheduler | None = None

    def add(self, name: str, body: Body) -> str:
        arn = f"arn:aws:lambda:{REGION}:123456789012:function:{name}"
        self.functions[arn] = self.functions[name] = FakeFunction(name, body, arn)
        return arn

    def invoke(
        self, function: FakeFunction, payload: str, *, source: str, **_: Any
    ) -> InvocationResult:
        assert self.scheduler is not None
        name, body = function.name, function.body
        what: dict[str, Any]
        event = json.loads(payload)
        self.calls.append((round(self.scheduler.now() - START, 3), name, event))
        try:
            return InvocationResult(body(event), None, "request")
        except Throttled:
            raise
        except TimeoutError as error:
            what = {"errorType": "Sandbox.Timedout", "errorMessage": str(error), "stackTrace": []}
        except Exception as error:  # noqa: BLE001, whatever a handler raises
            what = {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "stackTrace": ["line"],
            }
        return InvocationResult(what, "Unhandled", "request")


@dataclass
class Stage:
    """A scheduler, functions and state machines."""

    scheduler: Scheduler
    lambdas: FakeLambdas
    sfn: Any
    access: FakeAccess = field(default_factory=FakeAccess)
    events: list[ExecutionEvent] = field(default_factory=list)
    region: str = REGION
    clients: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rates = Rates(self.scheduler.now)

    def client(self, service: str, principal: object = None) -> Any:
        if service not in self.clients:
            make: Any = boto3.client
            keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
            self.clients[service] = make(service, REGION, **keys)
        return self.clients[service]

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.scheduler.random.getrandbits(128), version=4))

    def path_of(self, arn: str) -> str:
        return f"Stack/{arn.rpartition(':')[2]}"

    def machine(self, states: dict[str, Any], kind: str = "EXPRESS", **top: Any) -> str:
        definition = {"StartAt": next(iter(states)), "States": states, **top}
        arn: str = self.sfn.create_state_machine(
            name=f"m{len(self.sfn.list_state_machines()['stateMachines'])}",
            definition=json.dumps(definition),
            roleArn=ROLE,
            type=kind,
        )["stateMachineArn"]
        return arn

    def run(self, states: dict[str, Any], data: Any = None, **top: Any) -> dict[str, Any]:
        """Run an Express workflow; the output is decoded."""
        arn = self.machine(states, **top)
        answer: dict[str, Any] = self.sfn.start_sync_execution(
            stateMachineArn=arn, input=json.dumps(data or {})
        )
        if "output" in answer:
            answer["output"] = json.loads(answer["output"])
        return answer

    @property
    def elapsed(self) -> float:
        return round(self.scheduler.now() - START, 3)

    @property
    def times(self) -> list[float]:
        return [time for time, _, _ in self.lambdas.calls]


@cache
def client(service: str) -> Any:
    """One client for all tests: making one takes longer than most of them."""
    make: Any = boto3.client
    return make(service, REGION, aws_access_key_id="key", aws_secret_access_key="secret")


@pytest.fixture
def stage() -> Iterator[Stage]:
    yield from staged()


def staged(seed: int = 1) -> Iterator[Stage]:
    clock = Clock(datetime.fromtimestamp(START, UTC))
    scheduler = Scheduler(clock, seed=seed)
    lambdas = FakeLambdas(scheduler=scheduler)
    patches = Patches()
    clock.start()
    with mock_aws():
        here = Stage(scheduler, lambdas, client("stepfunctions"))
        machines = StateMachines(here, lambdas, here.events.append)  # type: ignore[arg-type]
        machines.install(patches)
        try:
            yield here
        finally:
            scheduler.close()
            patches.undo()
            clock.stop()


def invoke(function: str, **more: Any) -> dict[str, Any]:
    """A task by the optimized integration; ends the machine unless told otherwise."""
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        **more,
    }
    return state if "Next" in more else {**state, "End": True}


def failing(error: BaseException, times: int = 10_000) -> Body:
    left = times

    def body(event: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise error
        return event

    return body


def taking(stage: Stage, seconds: float, answer: Body) -> Body:
    def body(event: Any) -> Any:
        stage.scheduler.sleep(seconds)
        return answer(event)

    return body


class TestStartSyncExecution:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html."""

    def test_success_carries_output_name_and_billing(self, stage: Stage) -> None:
        """Output, name, both dates, and billing in steps of 100 ms and 64 MB."""
        arn = stage.machine({"Wait": {"Type": "Wait", "Seconds": 2, "End": True}})
        answer = stage.sfn.start_sync_execution(
            stateMachineArn=arn, name="order-1", input='{"a": 1}'
        )
        assert answer["status"] == "SUCCEEDED"
        assert json.loads(answer["output"]) == {"a": 1}
        assert answer["name"] == "order-1"
        assert answer["stateMachineArn"] == arn
        assert f"{arn.replace('stateMachine', 'express')}:order-1:" in answer["executionArn"]
        assert (answer["stopDate"] - answer["startDate"]).total_seconds() == 2
        assert answer["billingDetails"] == {
            "billedDurationInMilliseconds": 2000,
            "billedMemoryUsedInMB": 64,
        }
        assert stage.elapsed == 2

    def test_failure_is_an_answer_with_error_and_cause(self, stage: Stage) -> None:
        """A failed execution is still a 200 answer."""
        answer = stage.run({"No": {"Type": "Fail", "Error": "Declined", "Cause": "no money"}})
        assert answer["status"] == "FAILED"
        assert (answer["error"], answer["cause"]) == ("Declined", "no money")
        assert "output" not in answer

    def test_standard_workflows_are_refused(self, stage: Stage) -> None:
        """The operation is not there for STANDARD."""
        arn = stage.machine({"Done": {"Type": "Succeed"}}, kind="STANDARD")
        with pytest.raises(ClientError) as error:
            stage.sfn.start_sync_execution(stateMachineArn=arn)
        assert error.value.response["Error"]["Code"] == "StateMachineTypeNotSupported"

    def test_a_name_may_be_used_again(self, stage: Stage) -> None:
        """Express executions are at-least-once: names do not make them idempotent."""
        arn = stage.machine({"Done": {"Type": "Succeed"}})
        one = stage.sfn.start_sync_execution(stateMachineArn=arn, name="same")
        two = stage.sfn.start_sync_execution(stateMachineArn=arn, name="same")
        assert one["executionArn"] != two["executionArn"]

    @pytest.mark.parametrize(
        ("kwargs", "code"),
        [
            ({"input": "{"}, "InvalidExecutionInput"),
            ({"input": json.dumps("x" * 262_144)}, "InvalidExecutionInput"),
            ({"name": "a b"}, "InvalidName"),
            ({"name": "a" * 81}, "InvalidName"),
        ],
    )
    def test_input_and_name_are_checked(
        self, stage: Stage, kwargs: dict[str, str], code: str
    ) -> None:
        """Input is JSON of 262,144 bytes at most; names have 1 to 80 allowed characters."""
        arn = stage.machine({"Done": {"Type": "Succeed"}})
        with pytest.raises(ClientError) as error:
            stage.sfn.start_sync_execution(stateMachineArn=arn, **kwargs)
        assert error.value.response["Error"]["Code"] == code

    def test_callers_wait_while_others_run(self, stage: Stage) -> None:
        """Two executions that are waited for in two processes overlap."""
        arn = stage.machine({"Wait": {"Type": "Wait", "Seconds": 10, "End": True}})

        def call() -> str:
            status: str = stage.sfn.start_sync_execution(stateMachineArn=arn)["status"]
            return status

        calls = [stage.scheduler.spawn(call) for _ in range(2)]
        assert [call.result() for call in calls] == ["SUCCEEDED", "SUCCEEDED"]
        assert stage.elapsed == 10

    def test_an_execution_is_timed_out_by_its_machine(self, stage: Stage) -> None:
        """https://states-language.net/spec.html: TimeoutSeconds of the whole machine."""
        answer = stage.run({"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}, TimeoutSeconds=7)
        assert (answer["status"], answer["error"]) == ("TIMED_OUT", "States.Timeout")
        assert stage.elapsed == 7

    def test_an_express_workflow_ends_after_five_minutes(self, stage: Stage) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html."""
        answer = stage.run({"Wait": {"Type": "Wait", "Seconds": 301, "End": True}})
        assert answer["status"] == "TIMED_OUT"
        assert stage.elapsed == 300

    def test_a_function_goes_on_after_its_execution_has_timed_out(self, stage: Stage) -> None:
        """The limit ends the execution, not the function that it waits for."""
        ended = []

        def slow(event: Any) -> None:
            stage.scheduler.sleep(20)
            ended.append(stage.elapsed)

        answer = stage.run({"Slow": invoke(stage.lambdas.add("slow", slow))}, TimeoutSeconds=5)
        assert answer["status"] == "TIMED_OUT"
        stage.scheduler.run_until_idle()
        assert ended == [20]


class TestStartExecution:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html."""

    WAIT = {"Wait": {"Type": "Wait", "Seconds": 10, "End": True}}  # noqa: RUF012

    def test_a_start_returns_before_the_execution_ends(self, stage: Stage) -> None:
        """The execution runs by itself; its output and history can be asked for."""
        arn = stage.machine(self.WAIT, kind="STANDARD")
        started = stage.sfn.start_execution(stateMachineArn=arn, input='{"a": 1}')["executionArn"]
        assert stage.sfn.describe_execution(executionArn=started)["status"] == "RUNNING"
        stage.scheduler.run_until_idle()
        ended = stage.sfn.describe_execution(executionArn=started)
        assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"a": 1})
        history = stage.sfn.get_execution_history(executionArn=started)["events"]
        assert [event["type"] for event in history] == [
            "ExecutionStarted",
            "WaitStateEntered",
            "WaitStateExited",
            "ExecutionSucceeded",
        ]

    def test_executions_without_a_name_get_one_each(self, stage: Stage) -> None:
        """Without a name Step Functions makes up a unique one."""
        arn = stage.machine(self.WAIT, kind="STANDARD")
        arns = {stage.sfn.start_execution(stateMachineArn=arn)["executionArn"] for _ in range(3)}
        assert len(arns) == 3

    def test_a_standard_start_is_idempotent_while_it_runs(self, stage: Stage) -> None:
        """Same name and input give the same execution; another input is an error."""
        arn = stage.machine(self.WAIT, kind="STANDARD")
        start = stage.sfn.start_execution
        one = start(stateMachineArn=arn, name="n", input='{"a": 1}')
        stage.scheduler.run_for(1)
        again = start(stateMachineArn=arn, name="n", input='{"a": 1}')
        assert again["executionArn"] == one["executionArn"]
        assert again["startDate"] == one["startDate"]
        with pytest.raises(stage.sfn.exceptions.ExecutionAlreadyExists):
            start(stateMachineArn=arn, name="n", input='{"a": 2}')
        stage.scheduler.run_until_idle()
        with pytest.raises(stage.sfn.exceptions.ExecutionAlreadyExists):
            start(stateMachineArn=arn, name="n", input='{"a": 1}')

    def test_the_context_knows_execution_and_machine(self, stage: Stage) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html."""
        answer = stage.run(
            {
                "Pass": {
                    "Type": "Pass",
                    "Parameters": {
                        "name.$": "$$.Execution.Name",
                        "at.$": "$$.Execution.StartTime",
                        "state.$": "$$.State.Name",
                    },
                    "End": True,
                }
            }
        )
        assert answer["output"] == {
            "name": answer["name"],
            "at": "2026-01-05T08:00:00.000Z",
            "state": "Pass",
        }


class TestLambdaTasks:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html."""

    def test_the_integration_answers_with_status_and_payload(self, stage: Stage) -> None:
        """lambda:invoke gives the function's answer as Payload, beside facts of the call."""
        answer = stage.run({"A": invoke(stage.lambdas.add("a", lambda e: {"got": e}))}, {"x": 1})
        assert answer["output"]["Payload"] == {"got": {"x": 1}}
        assert answer["output"]["StatusCode"] == 200
        assert answer["output"]["ExecutedVersion"] == "$LATEST"

    def test_a_function_named_as_the_resource_gives_its_answer_itself(self, stage: Stage) -> None:
        """With a function's ARN as resource, input and output are the payloads."""
        arn = stage.lambdas.add("a", lambda e: {"got": e})
        answer = stage.run({"A": {"Type": "Task", "Resource": arn, "End": True}}, {"x": 1})
        assert answer["output"] == {"got": {"x": 1}}

    @pytest.mark.parametrize("plain", [True, False])
    def test_an_exception_is_named_by_its_class(self, stage: Stage, plain: bool) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/tutorial-handling-error-conditions.html.

        The class is the error's name, the cause the function's error object as JSON.
        """
        arn = stage.lambdas.add("a", failing(DeclinedError("no money")))
        state = {"Type": "Task", "Resource": arn, "End": True} if plain else invoke(arn)
        answer = stage.run({"A": state})
        assert answer["error"] == "DeclinedError"
        cause = json.loads(answer["cause"])
        assert cause == {
            "errorMessage": "no money",
            "errorType": "DeclinedError",
            "stackTrace": ["line"],
        }

    @pytest.mark.parametrize("plain", [True, False])
    def test_a_throttled_call_is_an_error_of_lambda(self, stage: Stage, plain: bool) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html."""
        arn = stage.lambdas.add("a", failing(Throttled("Rate Exceeded.")))
        state = {"Type": "Task", "Resource": arn, "End": True} if plain else invoke(arn)
        answer = stage.run({"A": state})
        assert answer["error"] == "Lambda.TooManyRequestsException"
        assert answer["cause"].startswith("Rate Exceeded. (Service: AWSLambda; Status Code: 429")

    def test_an_unknown_function_is_an_error_of_lambda(self, stage: Stage) -> None:
        """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""
        assert stage.run({"A": invoke("nobody")})["error"] == "Lambda.ResourceNotFoundException"

    def test_a_function_that_times_out_by_itself_keeps_lambdas_name(self, stage: Stage) -> None:
        """The function's own limit is not the state's: the error is Sandbox.Timedout."""
        arn = stage.lambdas.add("a", failing(TimeoutError("Task timed out after 3.00 seconds")))
        catch = [
            {"ErrorEquals": ["States.Timeout"], "Next": "Wrong"},
            {"ErrorEquals": ["States.TaskFailed"], "Next": "Right"},
        ]
        answer = stage.run(
            {
                "A": invoke(arn, Catch=catch),
                "Wrong": {"Type": "Fail", "Error": "Wrong"},
                "Right": {"Type": "Pass", "OutputPath": "$.Error", "End": True},
            }
        )
        assert answer["output"] == "Sandbox.Timedout"

    def test_a_state_that_takes_too_long_times_out(self, stage: Stage) -> None:
        """TimeoutSeconds of a Task gives States.Timeout, in virtual time."""
        arn = stage.lambdas.add("a", lambda _: stage.scheduler.sleep(30))
        answer = stage.run({"A": invoke(arn, TimeoutSeconds=4)})
        assert answer["error"] == "States.Timeout"
        assert stage.elapsed == 4

    @pytest.mark.own_behaviour
    def test_other_services_are_called_through_one_client_each(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-sqs.html."""
        sqs = client("sqs")
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        made = []
        make: Any = boto3.client

        def counted(*args: Any, **kwargs: Any) -> Any:
            made.append(kwargs)
            return make(*args, **kwargs)

        monkeypatch.setattr(boto3, "client", counted)
        send = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Parameters": {"QueueUrl": url, "MessageBody.$": "$"},
            "ResultPath": None,
        }
        answer = stage.run({"A": {**send, "Next": "B"}, "B": {**send, "End": True}}, {"x": 1})
        assert answer["status"] == "SUCCEEDED"
        assert len(made) == 1
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert [json.loads(message["Body"]) for message in messages] == [{"x": 1}] * 2


class TestRetry:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html."""

    def retried(self, stage: Stage, *retriers: dict[str, Any], times: int = 10_000) -> list[float]:
        arn = stage.lambdas.add("a", failing(DeclinedError(), times))
        stage.run({"A": invoke(arn, Retry=list(retriers))})
        return stage.times

    def test_by_default_three_times_after_one_two_and_four_seconds(self, stage: Stage) -> None:
        """Defaults: IntervalSeconds 1, MaxAttempts 3, BackoffRate 2."""
        assert self.retried(stage, {"ErrorEquals": ["DeclinedError"]}) == [0, 1, 3, 7]

    def test_interval_rate_and_attempts_are_as_given(self, stage: Stage) -> None:
        """The n-th delay is the interval times the rate to the power of n - 1."""
        rule = {
            "ErrorEquals": ["DeclinedError"],
            "IntervalSeconds": 3,
            "MaxAttempts": 4,
            "BackoffRate": 1.5,
        }
        assert self.retried(stage, rule) == [0, 3, 7.5, 14.25, 24.375]

    def test_delays_do_not_exceed_the_given_maximum(self, stage: Stage) -> None:
        """MaxDelaySeconds caps the growing delay."""
        rule = {
            "ErrorEquals": ["DeclinedError"],
            "IntervalSeconds": 3,
            "MaxDelaySeconds": 5,
            "MaxAttempts": 4,
        }
        assert self.retried(stage, rule) == [0, 3, 8, 13, 18]

    def test_full_jitter_lies_between_nothing_and_the_delay(self, stage: Stage) -> None:
        """JitterStrategy FULL draws each delay from zero to what it would be."""
        rule = {
            "ErrorEquals": ["DeclinedError"],
            "IntervalSeconds": 4,
            "MaxAttempts": 3,
            "JitterStrategy": "FULL",
        }
        times = self.retried(stage, rule)
        delays = [after - before for before, after in pairwise(times)]
        assert all(0 <= delay <= full for delay, full in zip(delays, (4, 8, 16), strict=True))
        assert delays != [4, 8, 16]

    @pytest.mark.own_behaviour
    def test_jitter_follows_the_seed(self) -> None:
        """The same seed gives the same run, another seed another one."""
        runs = []
        for seed in (5, 5, 6):
            for stage in staged(seed):
                rule = {"ErrorEquals": ["States.ALL"], "JitterStrategy": "FULL"}
                runs.append(self.retried(stage, rule))
        assert runs[0] == runs[1] != runs[2]

    def test_each_retrier_counts_for_itself(self, stage: Stage) -> None:
        """Attempts and growth belong to the retrier that matched."""
        errors: list[Exception] = [
            DeclinedError(),
            KeyError("a"),
            DeclinedError(),
            KeyError("b"),
        ]

        def body(event: Any) -> Any:
            if errors:
                raise errors.pop(0)
            return "done"

        arn = stage.lambdas.add("a", body)
        rules = [
            {"ErrorEquals": ["DeclinedError"], "IntervalSeconds": 1, "MaxAttempts": 2},
            {"ErrorEquals": ["KeyError"], "IntervalSeconds": 10, "MaxAttempts": 2},
        ]
        answer = stage.run({"A": invoke(arn, Retry=rules)})
        assert answer["status"] == "SUCCEEDED"
        assert stage.times == [0, 1, 11, 13, 33]

    def test_zero_attempts_means_never(self, stage: Stage) -> None:
        """MaxAttempts 0: an error that is never retried."""
        rules: list[dict[str, Any]] = [
            {"ErrorEquals": ["DeclinedError"], "MaxAttempts": 0},
            {"ErrorEquals": ["States.ALL"]},
        ]
        assert self.retried(stage, *rules) == [0]

    def test_a_retried_task_may_succeed(self, stage: Stage) -> None:
        """Two failures, then the answer."""
        arn = stage.lambdas.add("a", failing(DeclinedError(), 2))
        answer = stage.run({"A": invoke(arn, Retry=[{"ErrorEquals": ["States.TaskFailed"]}])})
        assert answer["status"] == "SUCCEEDED"
        assert stage.times == [0, 1, 3]

    def test_task_failed_does_not_match_a_time_out(self, stage: Stage) -> None:
        """States.TaskFailed stands for any error but States.Timeout."""
        arn = stage.lambdas.add("a", lambda _: stage.scheduler.sleep(30))
        rules = [{"ErrorEquals": ["States.TaskFailed"]}]
        answer = stage.run({"A": invoke(arn, TimeoutSeconds=4, Retry=rules)})
        assert answer["error"] == "States.Timeout"
        assert stage.times == [0]

    def test_all_does_not_match_a_runtime_error(self, stage: Stage) -> None:
        """States.ALL cannot catch States.Runtime: a path that is not there is fatal."""
        arn = stage.lambdas.add("a", lambda e: e)
        state = invoke(arn, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}])
        state["Parameters"]["Payload.$"] = "$.missing"
        answer = stage.run({"A": state, "Caught": {"Type": "Succeed"}})
        assert answer["error"] == "States.Runtime"


class TestCatch:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html."""

    def test_a_caught_error_goes_where_the_result_path_says(self, stage: Stage) -> None:
        """Catch after the retries; ResultPath keeps the input beside the error."""
        arn = stage.lambdas.add("a", failing(DeclinedError("no money")))
        catch = [
            {"ErrorEquals": ["Other"], "Next": "Wrong"},
            {"ErrorEquals": ["DeclinedError"], "ResultPath": "$.failure", "Next": "Right"},
        ]
        answer = stage.run(
            {
                "A": invoke(
                    arn,
                    Retry=[{"ErrorEquals": ["DeclinedError"], "MaxAttempts": 1}],
                    Catch=catch,
                ),
                "Wrong": {"Type": "Fail"},
                "Right": {"Type": "Succeed"},
            },
            {"order": 7},
        )
        assert answer["output"]["order"] == 7
        assert answer["output"]["failure"]["Error"] == "DeclinedError"
        assert json.loads(answer["output"]["failure"]["Cause"])["errorMessage"] == "no money"
        assert stage.times == [0, 1]

    def test_without_a_result_path_the_error_is_all_there_is(self, stage: Stage) -> None:
        """The default ResultPath $ replaces the input."""
        arn = stage.lambdas.add("a", failing(DeclinedError("no money")))
        answer = stage.run(
            {
                "A": invoke(arn, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Done"}]),
                "Done": {"Type": "Succeed"},
            },
            {"order": 7},
        )
        assert answer["output"].keys() == {"Error", "Cause"}


class TestParallelAndMap:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html."""

    def branch(self, name: str, state: dict[str, Any]) -> dict[str, Any]:
        return {"StartAt": name, "States": {name: state}}

    def test_branches_run_side_by_side_and_answer_in_order(self, stage: Stage) -> None:
        """The output is an array with one element for each branch, in their order."""
        slow = stage.lambdas.add("slow", taking(stage, 5, lambda _: "slow"))
        fast = stage.lambdas.add("fast", taking(stage, 3, lambda _: "fast"))
        answer = stage.run(
            {
                "Both": {
                    "Type": "Parallel",
                    "Branches": [
                        self.branch("S", invoke(slow, OutputPath="$.Payload")),
                        self.branch("F", invoke(fast, OutputPath="$.Payload")),
                    ],
                    "End": True,
                }
            }
        )
        assert answer["output"] == ["slow", "fast"]
        assert stage.elapsed == 5
        assert stage.times == [0, 0]

    def test_one_failed_branch_fails_the_state(self, stage: Stage) -> None:
        """The other branches are stopped, and the error can be caught at the Parallel state."""
        arn = stage.lambdas.add("bad", failing(DeclinedError("no")))
        later = stage.lambdas.add("later", lambda _: None)
        answer = stage.run(
            {
                "Both": {
                    "Type": "Parallel",
                    "Branches": [
                        self.branch("Bad", invoke(arn)),
                        {
                            "StartAt": "Wait",
                            "States": {
                                "Wait": {"Type": "Wait", "Seconds": 9, "Next": "Later"},
                                "Later": invoke(later),
                            },
                        },
                    ],
                    "Catch": [{"ErrorEquals": ["DeclinedError"], "Next": "Caught"}],
                    "End": True,
                },
                "Caught": {"Type": "Succeed"},
            }
        )
        assert answer["output"]["Error"] == "DeclinedError"
        assert stage.elapsed == 0
        stage.scheduler.run_until_idle()
        assert [name for _, name, _ in stage.lambdas.calls] == ["bad"]

    def test_a_branch_that_times_out_passes_that_error_on(self, stage: Stage) -> None:
        """Errors of Step Functions itself come out of a branch under their own name."""
        arn = stage.lambdas.add("slow", lambda _: stage.scheduler.sleep(30))
        answer = stage.run(
            {
                "Both": {
                    "Type": "Parallel",
                    "Branches": [self.branch("Slow", invoke(arn, TimeoutSeconds=2))],
                    "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}],
                    "End": True,
                },
                "Caught": {"Type": "Pass", "Result": "caught", "End": True},
            }
        )
        assert answer["output"] == "caught"

    def test_map_runs_items_up_to_its_concurrency(self, stage: Stage) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/state-map.html.

        MaxConcurrency bounds the iterations; the results keep the items' order.
        """
        arn = stage.lambdas.add("a", taking(stage, 2, lambda e: e * 10))
        answer = stage.run(
            {
                "Each": {
                    "Type": "Map",
                    "ItemsPath": "$.items",
                    "MaxConcurrency": 2,
                    "ItemProcessor": self.branch("One", invoke(arn, OutputPath="$.Payload")),
                    "End": True,
                }
            },
            {"items": [1, 2, 3, 4, 5]},
        )
        assert answer["output"] == [10, 20, 30, 40, 50]
        assert stage.times == [0, 0, 2, 2, 4]


class TestWait:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html."""

    def test_wait_until_a_timestamp(self, stage: Stage) -> None:
        """Until an absolute moment of virtual time, even from between two seconds."""
        stage.scheduler.run_for(0.5)
        state = {"Type": "Wait", "TimestampPath": "$.until", "End": True}
        stage.run({"Wait": state}, {"until": "2026-01-05T08:01:00Z"})
        assert stage.elapsed == 60

    def test_a_stopped_execution_does_not_go_on(self, stage: Stage) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html."""
        arn = stage.lambdas.add("a", lambda e: e)
        machine = stage.machine(
            {"Wait": {"Type": "Wait", "Seconds": 60, "Next": "A"}, "A": invoke(arn)},
            kind="STANDARD",
        )
        started = stage.sfn.start_execution(stateMachineArn=machine)["executionArn"]
        stage.scheduler.run_for(10)
        stage.sfn.stop_execution(executionArn=started)
        stage.scheduler.run_until_idle()
        assert stage.sfn.describe_execution(executionArn=started)["status"] == "ABORTED"
        assert stage.lambdas.calls == []
        assert stage.elapsed == 10


ASK = "arn:aws:states:::lambda:invoke.waitForTaskToken"


class TestTaskTokens:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html."""

    @pytest.fixture
    def tokens(self, stage: Stage) -> list[str]:
        """The tokens that the function ``ask`` was given, one for each attempt."""
        tokens: list[str] = []
        stage.lambdas.add("ask", lambda event: tokens.append(event["token"]))
        return tokens

    def ask(self, stage: Stage, *more: dict[str, Any], **fields: Any) -> str:
        """Start an execution that asks, in its first state, and waits for the answer."""
        state = {
            "Type": "Task",
            "Resource": ASK,
            "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
            **fields,
        }
        states = {"Ask": state if "Next" in state else {**state, "End": True}}
        for further in more:
            states |= further
        return start(stage, states)

    def test_an_answer_is_the_output_of_the_task(self, stage: Stage, tokens: list[str]) -> None:
        started = self.ask(stage, TimeoutSeconds=600)
        stage.scheduler.run_for(100)
        assert described(stage, started)["status"] == "RUNNING"
        stage.sfn.send_task_success(taskToken=tokens[0], output='{"shipped": true}')
        stage.scheduler.run_until_idle()
        ended = described(stage, started)
        assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"shipped": True})
        assert (ended["stopDate"] - ended["startDate"]).total_seconds() == 100

    @pytest.mark.own_behaviour
    def test_a_run_is_idle_while_somebody_thinks(self, stage: Stage, tokens: list[str]) -> None:
        """The wait is no work, with a timeout and a heartbeat or without, alone or in a branch."""
        branch = {
            "StartAt": "Ask",
            "States": {
                "Ask": {
                    "Type": "Task",
                    "Resource": ASK,
                    "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
                    "End": True,
                }
            },
        }
        arns = [
            self.ask(stage),
            self.ask(stage, TimeoutSeconds=86_400, HeartbeatSeconds=3600),
            start(stage, {"Both": {"Type": "Parallel", "Branches": [branch], "End": True}}),
        ]
        stage.scheduler.run_until_idle()
        assert stage.elapsed == 0
        for token in tokens:
            stage.sfn.send_task_success(taskToken=token, output="1")
        stage.scheduler.run_until_idle()
        assert [described(stage, arn)["status"] for arn in arns] == ["SUCCEEDED"] * 3

    @pytest.mark.parametrize("bounds", [{}, {"TimeoutSeconds": 86_400, "HeartbeatSeconds": 3600}])
    def test_the_function_itself_may_answer(self, bounds: dict[str, int], stage: Stage) -> None:
        """Even before its own, empty, answer has arrived."""

        def answer(event: Any) -> None:
            stage.sfn.send_task_success(taskToken=event["token"], output='"at once"')

        stage.lambdas.add("ask", answer)
        started = self.ask(stage, **bounds)
        stage.scheduler.run_until_idle()
        assert json.loads(described(stage, started)["output"]) == "at once"

    def test_an_answer_that_never_comes_times_out(self, stage: Stage, tokens: list[str]) -> None:
        started = self.ask(stage, TimeoutSeconds=600)
        stage.scheduler.run_for(599)
        assert described(stage, started)["status"] == "RUNNING"
        stage.scheduler.run_for(1)
        ended = described(stage, started)
        assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")

    def test_a_failure_is_caught_by_the_error_that_it_names(
        self, stage: Stage, tokens: list[str]
    ) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html."""
        catch = [{"ErrorEquals": ["Refused"], "Next": "Refused"}]
        refused = {"Type": "Succeed"}
        started = self.ask(stage, {"Refused": refused}, Catch=catch)
        stage.scheduler.run_until_idle()
        stage.sfn.send_task_failure(taskToken=tokens[0], error="Refused", cause="not that much")
        stage.scheduler.run_until_idle()
        output = json.loads(described(stage, started)["output"])
        assert output == {"Error": "Refused", "Cause": "not that much"}

    def test_a_failure_without_a_name_is_one_for_all(self, stage: Stage, tokens: list[str]) -> None:
        catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "Failed"}]
        started = self.ask(stage, {"Failed": {"Type": "Succeed"}}, Catch=catch)
        stage.scheduler.run_until_idle()
        stage.sfn.send_task_failure(taskToken=tokens[0])
        stage.scheduler.run_until_idle()
        assert json.loads(described(stage, started)["output"]) == {"Error": "", "Cause": ""}

    def test_heartbeats_keep_a_task_alive(self, stage: Stage, tokens: list[str]) -> None:
        """Without a timeout, too, for longer than the minute that moto would give it."""
        started = self.ask(stage, HeartbeatSeconds=60)
        for _ in range(3):
            stage.scheduler.run_for(59)
            stage.sfn.send_task_heartbeat(taskToken=tokens[0])
        stage.scheduler.run_for(59)
        assert described(stage, started)["status"] == "RUNNING"
        stage.scheduler.run_for(1)
        ended = described(stage, started)
        assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            ("States.HeartbeatTimeout", "SUCCEEDED"),
            ("States.Timeout", "SUCCEEDED"),
            ("States.TaskFailed", "FAILED"),
        ],
    )
    def test_a_missing_heartbeat_can_be_caught_by_either_name(
        self, stage: Stage, tokens: list[str], error: str, status: str
    ) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html."""
        catch = [{"ErrorEquals": [error], "Next": "Late"}]
        started = self.ask(
            stage, {"Late": {"Type": "Succeed"}}, Catch=catch, HeartbeatSeconds=5, TimeoutSeconds=60
        )
        stage.scheduler.run_for(5)
        assert described(stage, started)["status"] == status

    def test_a_timeout_is_no_missing_heartbeat(self, stage: Stage, tokens: list[str]) -> None:
        catch = [{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "Late"}]
        late = {"Late": {"Type": "Succeed"}}
        started = self.ask(stage, late, Catch=catch, HeartbeatSeconds=5, TimeoutSeconds=8)
        stage.scheduler.run_for(4)
        stage.sfn.send_task_heartbeat(taskToken=tokens[0])
        stage.scheduler.run_for(4)
        assert described(stage, started)["status"] == "FAILED"

    def test_each_attempt_has_a_token_of_its_own(self, stage: Stage, tokens: list[str]) -> None:
        """A late answer to the first attempt is none to the second."""
        retry = [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 10}]
        started = self.ask(stage, Retry=retry, TimeoutSeconds=60)
        stage.scheduler.run_for(70)
        first, second = tokens
        with pytest.raises(stage.sfn.exceptions.TaskTimedOut):
            stage.sfn.send_task_success(taskToken=first, output="1")
        stage.scheduler.run_until_idle()
        assert described(stage, started)["status"] == "RUNNING"
        stage.sfn.send_task_success(taskToken=second, output="2")
        stage.scheduler.run_until_idle()
        assert json.loads(described(stage, started)["output"]) == 2

    def test_a_token_can_be_used_once(self, stage: Stage, tokens: list[str]) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html."""
        started = self.ask(stage)
        stage.scheduler.run_until_idle()
        stage.sfn.send_task_success(taskToken=tokens[0], output="1")
        token, errors = tokens[0], stage.sfn.exceptions
        with pytest.raises(errors.TaskTimedOut, match="Provided task does not exist anymore"):
            stage.sfn.send_task_success(taskToken=token, output="2")
        with pytest.raises(errors.TaskTimedOut):
            stage.sfn.send_task_failure(taskToken=token)
        with pytest.raises(errors.TaskTimedOut):
            stage.sfn.send_task_heartbeat(taskToken=token)
        stage.scheduler.run_until_idle()
        assert json.loads(described(stage, started)["output"]) == 1

    def test_a_token_ends_with_its_execution(self, stage: Stage, tokens: list[str]) -> None:
        """Stopped, timed out as a whole, or failed in a branch beside it."""
        ask = {
            "Type": "Task",
            "Resource": ASK,
            "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
            "End": True,
        }
        wait = {"Type": "Wait", "Seconds": 5, "Next": "No"}
        branches = [
            {"StartAt": "Ask", "States": {"Ask": ask}},
            {"StartAt": "Wait", "States": {"Wait": wait, "No": {"Type": "Fail"}}},
        ]
        both = {"Type": "Parallel", "Branches": branches, "End": True}
        arns = [
            start(stage, {"Ask": ask}),
            start(stage, {"Ask": ask}, TimeoutSeconds=9),
            start(stage, {"Both": both}),
        ]
        stage.scheduler.run_for(10)
        stage.sfn.stop_execution(executionArn=arns[0])
        stage.scheduler.run_until_idle()
        statuses = [described(stage, arn)["status"] for arn in arns]
        assert statuses == ["ABORTED", "TIMED_OUT", "FAILED"]
        assert len(tokens) == 3
        for token in tokens:
            with pytest.raises(stage.sfn.exceptions.TaskTimedOut):
                stage.sfn.send_task_success(taskToken=token, output="1")

    def test_an_unknown_token_is_invalid(self, stage: Stage) -> None:
        with pytest.raises(stage.sfn.exceptions.InvalidToken):
            stage.sfn.send_task_success(taskToken="nobody has it", output="1")

    @pytest.mark.parametrize("output", ["{", json.dumps("x" * 262_144)])
    def test_an_output_that_is_no_json_or_too_large_is_refused(
        self, stage: Stage, tokens: list[str], output: str
    ) -> None:
        started = self.ask(stage)
        stage.scheduler.run_until_idle()
        with pytest.raises(stage.sfn.exceptions.InvalidOutput):
            stage.sfn.send_task_success(taskToken=tokens[0], output=output)
        assert described(stage, started)["status"] == "RUNNING"

    @pytest.mark.own_behaviour
    def test_an_execution_that_waits_forever_ends_with_the_rehearsal(self) -> None:
        """Nothing is left of it."""
        scheduler = None
        for stage in staged():
            scheduler = stage.scheduler
            stage.lambdas.add("ask", lambda event: None)
            self.ask(stage)
            self.ask(stage, HeartbeatSeconds=5, TimeoutSeconds=60)
            stage.scheduler.run_until_idle()
        assert scheduler is not None
        assert not scheduler._processes
        assert scheduler.idle


def start(stage: Stage, states: dict[str, Any], **top: Any) -> str:
    machine = stage.machine(states, kind="STANDARD", **top)
    arn: str = stage.sfn.start_execution(stateMachineArn=machine)["executionArn"]
    return arn


def described(stage: Stage, execution: str) -> dict[str, Any]:
    answer: dict[str, Any] = stage.sfn.describe_execution(executionArn=execution)
    return answer


class TestPaths:
    """https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html."""

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("$.items[0].sku", "A"),
            ("$.items[1]", {"sku": "B"}),
            ("$.items[*].sku", ["A", "B"]),
            ("$.one", [1]),
            ("$.one[0]", 1),
            ("$.items[0:1]", [{"sku": "A"}]),
        ],
    )
    def test_definite_paths_give_a_value_and_others_a_list(
        self, stage: Stage, path: str, expected: Any
    ) -> None:
        """A path that can only name one node gives that node."""
        answer = stage.run(
            {"P": {"Type": "Pass", "Parameters": {"v.$": path}, "End": True}},
            {"items": [{"sku": "A"}, {"sku": "B"}], "one": [1]},
        )
        assert answer["output"] == {"v": expected}


DONE = {"Type": "Succeed"}


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("{", "not JSON"),
        ({"StartAt": "A"}, "no States"),
        ({"StartAt": "B", "States": {"A": DONE}}, "StartAt at / names 'B'"),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "C"}}},
            "Next of /A names 'C'",
        ),
        ({"StartAt": "A", "States": {"A": DONE, "B": DONE}}, "/B is not reachable"),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass"}}}, "exactly one of Next and End"),
        (
            {
                "StartAt": "A",
                "QueryLanguage": "JSONata",
                "States": {"A": {"Type": "Pass", "Output": {"x": ["{% 1 + %}"]}, "End": True}},
            },
            "state /A: The JSONata expression '1 +' is invalid",
        ),
        (
            {
                "StartAt": "A",
                "States": {
                    "A": invoke("f", Retry=[{"ErrorEquals": ["States.ALL", "X"]}]),
                },
            },
            "States.ALL must stand alone",
        ),
        (
            {
                "StartAt": "A",
                "States": {
                    "A": invoke("f", Catch=[{"ErrorEquals": ["X"], "Next": "Gone"}]),
                },
            },
            "Next of /A names 'Gone'",
        ),
        (
            {
                "StartAt": "P",
                "States": {
                    "P": {
                        "Type": "Parallel",
                        "Branches": [{"StartAt": "X", "States": {"A": DONE}}],
                        "End": True,
                    }
                },
            },
            "StartAt at /P/0/ names 'X'",
        ),
        (
            {
                "StartAt": "A",
                "States": {
                    "A": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                        "End": True,
                    }
                },
            },
            "an Express workflow cannot wait",
        ),
        (
            {
                "StartAt": "A",
                "States": {"A": {"Type": "Task", "Resource": "nonsense", "End": True}},
            },
            "nonsense",
        ),
    ],
)
def test_a_wrong_definition_is_refused_when_it_is_created(
    stage: Stage, definition: Any, message: str
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html."""
    text = definition if isinstance(definition, str) else json.dumps(definition)
    with pytest.raises(Exception, match="InvalidDefinition") as error:
        stage.sfn.create_state_machine(name="m", definition=text, roleArn=ROLE, type="EXPRESS")
    assert message in str(error.value)


def test_definition_and_paths_are_parsed_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsing is most of what an execution would cost, and gives the same each time."""
    from moto.stepfunctions.parser.asl.parse import asl_parser as module

    asl_parser: Any = module
    parsers = []
    make = asl_parser.ASLParser

    def counted(stream: Any) -> Any:
        parsers.append(stream)
        return make(stream)

    monkeypatch.setattr(asl_parser, "ASLParser", counted)
    arn = stage.machine({"P": {"Type": "Pass", "Parameters": {"v.$": "$.a"}, "End": True}})
    outputs = [
        stage.sfn.start_sync_execution(stateMachineArn=arn, input=json.dumps({"a": n}))["output"]
        for n in range(3)
    ]
    assert outputs == ['{"v":0}', '{"v":1}', '{"v":2}']
    assert len(parsers) == 1


def test_what_an_execution_does_is_reported(stage: Stage) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html: start, states, end."""
    arn = stage.lambdas.add("a", failing(DeclinedError("no")))
    stage.run(
        {
            "First": {"Type": "Wait", "Seconds": 3, "Next": "Second"},
            "Second": invoke(arn, Retry=[{"ErrorEquals": ["DeclinedError"], "MaxAttempts": 1}]),
        }
    )
    assert [(event.kind, event.state, event.duration_s) for event in stage.events] == [
        ("started", None, 0),
        ("entered", "First", 0),
        ("entered", "Second", 3),
        ("ended", None, 4),
    ]
    end = stage.events[-1]
    assert (end.status, end.error, end.type) == ("FAILED", "DeclinedError", "EXPRESS")
    assert end.time == START + 4
    # Express workflows tell EventBridge nothing.
    assert {event.status_change for event in stage.events} == {None}


RUNNER = """
import json, os
import boto3

def handler(event, context):
    answer = boto3.client("stepfunctions").start_sync_execution(
        stateMachineArn=os.environ["MACHINE"], input=json.dumps(event)
    )
    return {name: answer.get(name) for name in ("status", "output", "error", "cause")}
"""
STEP = """
import time

class DeclinedError(Exception):
    pass

def handler(event, context):
    if event == "decline":
        raise DeclinedError("no money")
    time.sleep(event)
    return event
"""


class TestRehearsed:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html.

    A handler runs a workflow of a template synchronously, whose task is another function.
    """

    @pytest.fixture
    def shop(self, template: Cloud, rehearse: Rehearse) -> Rehearsal:
        definition = {
            "StartAt": "Step",
            "States": {
                "Step": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke",
                    "Parameters": {"FunctionName": "${Step}", "Payload.$": "$.step"},
                    "OutputPath": "$.Payload",
                    "End": True,
                }
            },
        }
        template.function("Step", STEP, Timeout=3)
        template.add(
            "Machine",
            "AWS::StepFunctions::StateMachine",
            StateMachineType="EXPRESS",
            RoleArn=arn("Role"),
            DefinitionString=json.dumps(definition),
            DefinitionSubstitutions={"Step": arn("Step")},
        )
        variables = {"Variables": {"MACHINE": ref("Machine")}}
        template.function("Runner", RUNNER, Timeout=60, Environment=variables)
        return rehearse()

    def test_the_handler_gets_the_output(self, shop: Rehearsal) -> None:
        """In virtual time, with each invocation in the record."""
        answer = shop.invoke("Shop/Runner", {"step": 2}).payload
        assert answer == {"status": "SUCCEEDED", "output": "2", "error": None, "cause": None}
        invoked = [(record.source, record.target) for record in shop.meter.of("invocation")]
        assert invoked == [("Shop/Machine", "Shop/Step"), ("outside", "Shop/Runner")]
        assert shop.clock.now() == pytest.approx(START + 2)

    def test_the_handler_gets_the_error(self, shop: Rehearsal) -> None:
        """Named by the class that the step's own module defines."""
        answer = shop.invoke("Shop/Runner", {"step": "decline"}).payload
        assert (answer["status"], answer["error"]) == ("FAILED", "DeclinedError")
        assert json.loads(answer["cause"])["errorMessage"] == "no money"

    def test_a_step_beyond_its_functions_timeout_fails(self, shop: Rehearsal) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html."""
        answer = shop.invoke("Shop/Runner", {"step": 10}).payload
        assert answer["error"] == "Sandbox.Timedout"
        assert "timed out after 3.00 seconds" in json.loads(answer["cause"])["errorMessage"]


STARTER = """
import os
import boto3

def handler(event, context):
    client = boto3.client("stepfunctions")
    return client.start_execution(stateMachineArn=os.environ["MACHINE"], **event)["executionArn"]
"""
ASKER = """
import json

def handler(event, context):
    for record in event["Records"]:
        print(json.loads(record["body"])["token"])
"""
DECIDER = """
import boto3

def handler(event, context):
    client = boto3.client("stepfunctions")
    client.send_task_success(taskToken=event["token"], output=event["output"])
"""


class TestApproval:
    """A Standard workflow of a template asks by a queue, and a function brings the answer."""

    @pytest.fixture
    def shop(self, template: Cloud, rehearse: Rehearse) -> Rehearsal:
        ask = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {
                "QueueUrl": ref("Questions"),
                "MessageBody": {"order.$": "$.order", "token.$": "$$.Task.Token"},
            },
            "TimeoutSeconds": 7200,
            "End": True,
        }
        template.queue("Questions")
        template.function("Asker", ASKER)
        template.mapping("AskerMapping", arn("Questions"), "Asker")
        template.add(
            "Machine",
            "AWS::StepFunctions::StateMachine",
            RoleArn=arn("Role"),
            Definition={"StartAt": "Ask", "States": {"Ask": ask}},
        )
        variables = {"Variables": {"MACHINE": ref("Machine")}}
        template.function("Starter", STARTER, Environment=variables)
        template.function("Decider", DECIDER)
        template.queue("Changes")
        changes = {"source": ["aws.states"], "detail": {"stateMachineArn": [ref("Machine")]}}
        template.rule("ChangesRule", changes, {"Arn": arn("Changes")})
        del template.resources["ChangesRule"]["Properties"]["EventBusName"]
        return rehearse()

    def changes(self, shop: Rehearsal) -> list[dict[str, Any]]:
        bodies = [json.loads(message["body"]) for message in shop.messages("Shop/Changes")]
        assert {body["detail-type"] for body in bodies} == {
            "Step Functions Execution Status Change"
        }
        return [body["detail"] for body in bodies]

    def test_the_answer_ends_the_execution(self, shop: Rehearsal) -> None:
        """The starter has gone on long before.

        https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html
        """
        execution = shop.invoke(
            "Shop/Starter", {"input": '{"order": "o-1"}', "name": "o-1"}
        ).payload
        shop.run_until_idle()
        shop.run_for(3600)
        client = shop.client("stepfunctions")
        (listed,) = client.list_executions(stateMachineArn=shop.physical_id("Shop/Machine"))[
            "executions"
        ]
        assert (listed["executionArn"], listed["status"]) == (execution, "RUNNING")
        answer = {"token": shop.logs("Shop/Asker").strip(), "output": '{"approved": true}'}
        assert not shop.invoke("Shop/Decider", answer).failed
        shop.run_until_idle()
        ended = client.describe_execution(executionArn=execution)
        assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"approved": True})
        records = shop.meter.of("execution", source="Shop/Machine")
        assert [r.detail["what"] for r in records] == ["started", "entered", "ended"]
        again = shop.invoke("Shop/Decider", answer)
        assert again.payload["errorType"] == "TaskTimedOut"

    def test_its_name_is_taken(self, shop: Rehearsal) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html."""
        event = {"input": '{"order": "o-1"}', "name": "o-1"}
        first = shop.invoke("Shop/Starter", event)
        shop.run_until_idle()
        assert shop.invoke("Shop/Starter", event).payload == first.payload
        other = shop.invoke("Shop/Starter", {**event, "input": '{"order": "o-2"}'})
        assert other.payload["errorType"] == "ExecutionAlreadyExists"
        shop.run_for(7200)
        assert shop.invoke("Shop/Starter", event).payload["errorType"] == "ExecutionAlreadyExists"
        assert len(shop.logs("Shop/Asker").split()) == 1

    def test_the_default_bus_hears_of_it(self, shop: Rehearsal) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html."""
        execution = shop.invoke(
            "Shop/Starter", {"input": '{"order": "o-1"}', "name": "o-1"}
        ).payload
        shop.run_until_idle()
        token = shop.logs("Shop/Asker").strip()
        shop.invoke("Shop/Decider", {"token": token, "output": '"yes"'})
        shop.run_until_idle()
        running, succeeded = self.changes(shop)
        started = int(START * 1000)
        assert running == {
            "executionArn": execution,
            "stateMachineArn": shop.physical_id("Shop/Machine"),
            "name": "o-1",
            "status": "RUNNING",
            "startDate": started,
            "stopDate": None,
            "input": '{"order": "o-1"}',
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": None,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "Execution is RUNNING and cannot be redriven",
            "error": None,
            "cause": None,
        }
        assert (succeeded["status"], succeeded["output"]) == ("SUCCEEDED", '"yes"')
        assert succeeded["outputDetails"] == {"included": True}

    def test_the_default_bus_hears_of_failures(self, shop: Rehearsal) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
        one = shop.invoke("Shop/Starter", {"input": '{"order": "o-1"}'}).payload
        shop.invoke("Shop/Starter", {"input": '{"order": "o-2"}'})
        shop.run_for(60)
        shop.client("stepfunctions").stop_execution(executionArn=one)
        shop.run_for(7200)
        ends = [(change["status"], change["error"]) for change in self.changes(shop)[2:]]
        assert ends == [("ABORTED", None), ("FAILED", "States.Timeout")]
        assert {change["redriveStatus"] for change in self.changes(shop)[2:]} == {"REDRIVABLE"}

    def test_one_that_waits_does_not_keep_the_rehearsal_from_its_end(self, shop: Rehearsal) -> None:
        shop.invoke("Shop/Starter", {"input": '{"order": "o-1"}'})
        shop.run_until_idle()
        shop.scheduler.close()
        assert shop.scheduler.idle


def test_a_rule_starts_a_standard_workflow(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/tutorial-cloudwatch-events-s3.html"""
    states = {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.function("Function", "def handler(event, context): pass")
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        Definition={"StartAt": "Wait", "States": states},
    )
    template.rule("Rule", {"source": ["shop"]}, {"Arn": ref("Machine"), "RoleArn": arn("Role")})
    shop = rehearse()
    entry = {"Source": "shop", "DetailType": "t", "Detail": "{}", "EventBusName": "bus"}
    shop.client("events").put_events(Entries=[entry, entry])
    shop.run_until_idle()
    ends = [r for r in shop.meter.of("execution") if r.detail["what"] == "ended"]
    assert [(r.source, r.detail["status"]) for r in ends] == [("Shop/Machine", "SUCCEEDED")] * 2
    assert {r.detail["duration_s"] for r in ends} == {600}


def test_undone_moto_is_as_it_was() -> None:
    """The interpreter waits in threads again, and knows no synchronous start."""
    import threading

    from moto.core.config import default_user_config
    from moto.stepfunctions.parser.asl.component.state.exec import execute_state as module
    from moto.stepfunctions.responses import StepFunctionResponse

    execute_state: Any = module
    for _ in staged():
        assert execute_state.Thread is not threading.Thread
    assert execute_state.Thread is threading.Thread
    assert not hasattr(StepFunctionResponse, "start_sync_execution")
    assert not default_user_config["stepfunctions"]["execute_state_machine"]
