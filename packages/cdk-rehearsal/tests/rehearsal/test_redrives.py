"""Step Functions: RedriveExecution.

https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.crossing import crosses
from rehearsal.test_stepfunctions import Stage, staged

DAY_S = 86_400.0


@pytest.fixture
def stage() -> Iterator[Stage]:
    yield from staged()


class Flaky:
    """A function that fails for the listed values until it is repaired."""

    def __init__(self, stage: Stage, *failing: Any) -> None:
        self.failing = set(failing)
        self.calls: list[Any] = []
        self.arn = stage.lambdas.add("flaky", self)

    def __call__(self, event: Any) -> Any:
        self.calls.append(event)
        if event in self.failing:
            raise ValueError(f"{event} fails")
        return f"{event} done"

    def task(self, **more: Any) -> dict[str, Any]:
        """A state that calls the function with its input."""
        return {"Type": "Task", "Resource": self.arn, **more}


def start(stage: Stage, states: dict[str, Any], data: Any = None, **top: Any) -> str:
    machine = stage.machine(states, "STANDARD", **top)
    execution = stage.sfn.start_execution(stateMachineArn=machine, input=json.dumps(data))
    stage.scheduler.run_until_idle()
    return str(execution["executionArn"])


def redrive(stage: Stage, execution: str, **options: Any) -> Any:
    date = stage.sfn.redrive_execution(executionArn=execution, **options)["redriveDate"]
    stage.scheduler.run_until_idle()
    return date


def described(stage: Stage, execution: str) -> dict[str, Any]:
    return dict(stage.sfn.describe_execution(executionArn=execution))


def history(stage: Stage, execution: str) -> list[str]:
    events = stage.sfn.get_execution_history(executionArn=execution)["events"]
    return [event["type"] for event in events]


def refusal(stage: Stage, execution: str) -> str:
    with pytest.raises(ClientError) as raised:
        stage.sfn.redrive_execution(executionArn=execution)
    error = raised.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_the_execution_continues_at_the_failed_state_with_the_same_input(stage: Stage) -> None:
    first = stage.lambdas.add("first", lambda event: {**event, "first": True})
    broken = [True]

    def second(event: Any) -> Any:
        if broken[0]:
            raise ValueError("not yet")
        return {**event, "second": True}

    states = {
        "First": {"Type": "Task", "Resource": first, "Next": "Second"},
        "Second": {
            "Type": "Task",
            "Resource": stage.lambdas.add("second", second),
            "Next": "Third",
        },
        "Third": {"Type": "Pass", "End": True},
    }
    execution = start(stage, states, {"order": 1})
    failed = described(stage, execution)
    assert (failed["status"], failed["redriveStatus"]) == ("FAILED", "REDRIVABLE")
    assert (failed["redriveCount"], "redriveDate" in failed) == (0, False)
    before = history(stage, execution)
    broken[0] = False
    stage.scheduler.run_for(60)
    date = redrive(stage, execution)
    done = described(stage, execution)
    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"]) == {"order": 1, "first": True, "second": True}
    assert [name for _, name, _ in stage.lambdas.calls] == ["first", "second", "second"]
    assert (done["redriveCount"], done["redriveDate"]) == (1, date)
    assert not {"error", "cause"} & done.keys()
    after = history(stage, execution)
    assert after[: len(before)] == before
    assert after[len(before) :] == [
        "ExecutionRedriven",
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
        "LambdaFunctionSucceeded",
        "TaskStateExited",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]


def test_a_state_that_fails_in_its_output_gets_its_input_again(stage: Stage) -> None:
    given: list[Any] = []

    def keep(event: Any) -> int:
        given.append(event)
        return 1

    task = {
        "Type": "Task",
        "Resource": stage.lambdas.add("keep", keep),
        "ResultPath": "$.result",
        "OutputPath": "$.missing",
        "End": True,
    }
    execution = start(stage, {"Keep": task}, {"order": 1})
    redrive(stage, execution)
    assert given == [{"order": 1}, {"order": 1}]


def test_retries_start_anew_and_a_redrive_may_fail_again(stage: Stage) -> None:
    flaky = Flaky(stage, "a")
    retry = [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    execution = start(stage, {"Task": flaky.task(Retry=retry, End=True)}, "a")
    assert len(flaky.calls) == 3
    redrive(stage, execution)
    assert len(flaky.calls) == 6
    again = described(stage, execution)
    assert (again["status"], again["redriveCount"]) == ("FAILED", 1)
    flaky.failing.clear()
    redrive(stage, execution)
    assert (described(stage, execution)["redriveCount"], len(flaky.calls)) == (2, 7)


def branches(flaky: Flaky, *values: str) -> list[dict[str, Any]]:
    return [
        {
            "StartAt": f"Set{value}",
            "States": {
                f"Set{value}": {"Type": "Pass", "Result": value, "Next": f"Call{value}"},
                f"Call{value}": flaky.task(End=True),
            },
        }
        for value in values
    ]


def test_only_branches_that_have_not_ended_are_redriven(stage: Stage) -> None:
    flaky = Flaky(stage, "b")
    states = {
        "All": {"Type": "Parallel", "Branches": branches(flaky, "a", "b", "c"), "Next": "Last"},
        "Last": {"Type": "Pass", "End": True},
    }
    execution = start(stage, states)
    assert described(stage, execution)["status"] == "FAILED"
    called = len(flaky.calls)
    flaky.failing.clear()
    redrive(stage, execution)
    assert json.loads(described(stage, execution)["output"]) == ["a done", "b done", "c done"]
    assert "a" not in flaky.calls[called:]
    assert "b" in flaky.calls[called:]


def test_only_iterations_that_have_not_succeeded_are_redriven(stage: Stage) -> None:
    flaky = Flaky(stage, 3)
    processor = {"StartAt": "Call", "States": {"Call": flaky.task(End=True)}}
    states = {"Each": {"Type": "Map", "MaxConcurrency": 1, "ItemProcessor": processor, "End": True}}
    execution = start(stage, states, [1, 2, 3, 4])
    assert flaky.calls == [1, 2, 3]
    redrive(stage, execution)
    assert flaky.calls == [1, 2, 3, 3]
    flaky.failing.clear()
    redrive(stage, execution)
    assert flaky.calls == [1, 2, 3, 3, 3, 4]
    output = json.loads(described(stage, execution)["output"])
    assert output == ["1 done", "2 done", "3 done", "4 done"]


def test_a_retry_within_a_redrive_runs_all_iterations(stage: Stage) -> None:
    flaky = Flaky(stage, 2)
    processor = {"StartAt": "Call", "States": {"Call": flaky.task(End=True)}}
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    states = {
        "Each": {
            "Type": "Map",
            "MaxConcurrency": 1,
            "ItemProcessor": processor,
            "Retry": retry,
            "End": True,
        }
    }
    execution = start(stage, states, [1, 2])
    assert flaky.calls == [1, 2, 1, 2]
    redrive(stage, execution)
    assert flaky.calls[4:] == [2, 1, 2]


def test_a_state_in_a_loop_forgets_its_earlier_iterations(stage: Stage) -> None:
    flaky = Flaky(stage, 2)
    flaky.failing.clear()
    processor = {"StartAt": "Call", "States": {"Call": flaky.task(End=True)}}
    states = {
        "Each": {
            "Type": "Map",
            "MaxConcurrency": 1,
            "ItemsPath": "$.items",
            "ItemProcessor": processor,
            "ResultPath": "$.done",
            "Next": "Check",
        },
        "Check": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.last", "BooleanEquals": True, "Next": "End"}],
            "Default": "Again",
        },
        "Again": {"Type": "Pass", "Result": True, "ResultPath": "$.last", "Next": "Pause"},
        "Pause": {"Type": "Wait", "Seconds": 60, "Next": "Each"},
        "End": {"Type": "Succeed"},
    }
    machine = stage.machine(states, "STANDARD")
    execution = stage.sfn.start_execution(
        stateMachineArn=machine, input=json.dumps({"items": [1, 2, 3], "last": False})
    )["executionArn"]
    stage.scheduler.run_for(30)
    assert flaky.calls == [1, 2, 3]
    flaky.failing.add(2)
    stage.scheduler.run_until_idle()
    assert flaky.calls == [1, 2, 3, 1, 2]
    flaky.failing.clear()
    redrive(stage, execution)
    assert flaky.calls == [1, 2, 3, 1, 2, 2, 3]
    assert described(stage, execution)["status"] == "SUCCEEDED"


def test_a_stopped_and_a_timed_out_execution_are_redriven_with_all_of_their_time(
    stage: Stage,
) -> None:
    states = {"Wait": {"Type": "Wait", "Seconds": 50, "Next": "End"}, "End": {"Type": "Succeed"}}
    machine = stage.machine(states, "STANDARD", TimeoutSeconds=60)
    stopped = stage.sfn.start_execution(stateMachineArn=machine)["executionArn"]
    stage.scheduler.run_for(30)
    stage.sfn.stop_execution(executionArn=stopped)
    stage.scheduler.run_until_idle()
    assert described(stage, stopped)["status"] == "ABORTED"
    redrive(stage, stopped)
    assert described(stage, stopped)["status"] == "SUCCEEDED"
    late = stage.machine(states, "STANDARD", TimeoutSeconds=40)
    execution = stage.sfn.start_execution(stateMachineArn=late)["executionArn"]
    stage.scheduler.run_until_idle()
    ended = stage.scheduler.now()
    assert described(stage, execution)["status"] == "TIMED_OUT"
    redrive(stage, execution)
    assert described(stage, execution)["status"] == "TIMED_OUT"
    assert stage.scheduler.now() == ended + 40


def test_a_fail_state_fails_again(stage: Stage) -> None:
    execution = start(stage, {"Bad": {"Type": "Fail", "Error": "Bad"}})
    redrive(stage, execution)
    assert described(stage, execution)["error"] == "Bad"
    assert history(stage, execution) == [
        "ExecutionStarted",
        "FailStateEntered",
        "ExecutionFailed",
        "ExecutionRedriven",
        "FailStateEntered",
        "ExecutionFailed",
    ]


def test_a_token_makes_a_redrive_idempotent(stage: Stage) -> None:
    execution = start(stage, {"Bad": {"Type": "Fail"}})
    date = redrive(stage, execution, clientToken="one")
    stage.scheduler.run_for(60)
    assert redrive(stage, execution, clientToken="one") == date
    assert described(stage, execution)["redriveCount"] == 1


def test_reports_and_the_context_count_redrives(stage: Stage) -> None:
    counts: list[Any] = []

    def count(event: Any) -> None:
        counts.append(event)
        raise ValueError("again")

    task = {
        "Type": "Task",
        "Resource": stage.lambdas.add("count", count),
        "Parameters": {"redriven.$": "$$.Execution"},
        "End": True,
    }
    execution = start(stage, {"Count": task})
    redrive(stage, execution)
    redrive(stage, execution)
    assert [each["redriven"].get("RedriveCount", 0) for each in counts] == [0, 1, 2]
    assert counts[1]["redriven"]["RedriveTime"].endswith("Z")
    found = [(event.kind, event.redrives) for event in stage.events if event.kind != "entered"]
    assert found == [
        ("started", 0),
        ("ended", 0),
        ("redriven", 1),
        ("ended", 1),
        ("redriven", 2),
        ("ended", 2),
    ]


@crosses("stepfunctions.redrivable_s")
@pytest.mark.parametrize("days", [13.9, 14.1])
def test_an_execution_can_be_redriven_for_fourteen_days(stage: Stage, days: float) -> None:
    execution = start(stage, {"Bad": {"Type": "Fail"}})
    stage.scheduler.run_for(days * DAY_S)
    found = described(stage, execution)
    if days < 14:
        assert found["redriveStatus"] == "REDRIVABLE"
        redrive(stage, execution)
    else:
        assert found["redriveStatus"] == "NOT_REDRIVABLE"
        assert found["redriveStatusReason"] == "Execution redrivable period exceeded"
        assert refusal(stage, execution).startswith("ExecutionNotRedrivable: ")


def test_what_runs_or_succeeded_or_is_express_or_unknown_cannot_be_redriven(stage: Stage) -> None:
    good = start(stage, {"Good": {"Type": "Succeed"}})
    assert refusal(stage, good) == (
        "ExecutionNotRedrivable: Execution is SUCCEEDED and cannot be redriven"
    )
    machine = stage.machine({"Wait": {"Type": "Wait", "Seconds": 5, "End": True}}, "STANDARD")
    running = stage.sfn.start_execution(stateMachineArn=machine)["executionArn"]
    stage.scheduler.run_for(1)
    assert described(stage, running)["redriveStatus"] == "NOT_REDRIVABLE"
    assert "RUNNING" in refusal(stage, running)
    assert refusal(stage, good.replace(":execution:", ":express:")).startswith("InvalidArn")
    assert refusal(stage, f"{good}x").startswith("ExecutionDoesNotExist")


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_only_children_of_a_map_run_that_have_not_succeeded_are_redriven(
    stage: Stage, kind: str
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html"""
    flaky, before = Flaky(stage, 2, 3), list[Any]()
    first = {"Type": "Task", "Resource": stage.lambdas.add("before", before.append)}
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
        "StartAt": "Before",
        "States": {
            "Before": {**first, "ResultPath": None, "Next": "Call"},
            "Call": flaky.task(End=True),
        },
    }
    states = {
        "Each": {
            "Type": "Map",
            "MaxConcurrency": 1,
            "ToleratedFailureCount": 1,
            "ItemProcessor": processor,
            "End": True,
        }
    }
    execution = start(stage, states, [1, 2, 3, 4])
    assert described(stage, execution)["status"] == "FAILED"
    assert described(stage, execution)["error"] == "States.ExceedToleratedFailureThreshold"
    assert (before, flaky.calls) == ([1, 2, 3], [1, 2, 3])
    flaky.failing.clear()
    redrive(stage, execution)
    assert described(stage, execution)["status"] == "SUCCEEDED"
    output = json.loads(described(stage, execution)["output"])
    assert output == ["1 done", "2 done", "3 done", "4 done"]
    assert flaky.calls[3:] == [2, 3, 4]
    # A Standard child continues at the failed state, an Express child starts anew.
    assert before[3:] == ([4] if kind == "STANDARD" else [2, 3, 4])
    (run,) = stage.sfn.list_map_runs(executionArn=execution)["mapRuns"]
    run = stage.sfn.describe_map_run(mapRunArn=run["mapRunArn"])
    counts = run["itemCounts"]
    assert (counts["succeeded"], counts["failed"], counts["total"]) == (4, 0, 4)
    assert (run["status"], run["redriveCount"]) == ("SUCCEEDED", 1)
    of_runs = [each for each in history(stage, execution) if each.startswith("MapRun")]
    assert of_runs == ["MapRunStarted", "MapRunFailed", "MapRunRedriven", "MapRunSucceeded"]
