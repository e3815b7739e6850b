"""The checkout workflow: bounded, retried where that helps, and undone where it does not."""

import builtins
from collections.abc import Iterator
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from lambdas.checkout import run_checkout
from lambdas.eventing import transaction
from lambdas.eventing.aggregate import Refusal
from lambdas.eventing.task import Task
from tests.support.handlers import errors, handler_of, refusals

PASSING = ("Lambda.", "Sandbox.Timedout")
"""Errors of Lambda itself that may pass.

https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
"""
REFUSALS = {
    "ReserveStock": {"StockRefused"},
    "AuthorizePayment": {"PaymentRefused", "PaymentUnavailable"},
    "ConfirmOrder": {"OrderClosed"},
}


@pytest.fixture
def machine(shop: Assembly) -> Resource:
    return shop.at("Checkout/Workflow")


@pytest.fixture
def definition(shop: Assembly, machine: Resource) -> dict[str, Any]:
    return shop.definition(machine)


@pytest.fixture
def tasks(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: state for name, state in definition["States"].items() if state["Type"] == "Task"}


def caught(state: dict[str, Any]) -> dict[str, str]:
    """The errors that a state catches, and where it goes on."""
    return {
        error: catcher["Next"]
        for catcher in state.get("Catch", [])
        for error in catcher["ErrorEquals"]
    }


def retried(state: dict[str, Any]) -> Iterator[str]:
    for retrier in state.get("Retry", []):
        yield from retrier["ErrorEquals"]


def path_from(definition: dict[str, Any], name: str) -> list[str]:
    """The states from one on to the end, if nothing fails."""
    path = [name]
    while "Next" in definition["States"][path[-1]]:
        path.append(definition["States"][path[-1]]["Next"])
    return path


def test_it_is_express_traced_and_logged_without_its_data(
    shop: Assembly, machine: Resource
) -> None:
    properties = machine.properties
    assert properties["StateMachineType"] == "EXPRESS"
    assert properties["TracingConfiguration"] == {"Enabled": True}
    logging = properties["LoggingConfiguration"]
    assert logging["Level"] == "ALL"
    assert logging["IncludeExecutionData"] is False
    group = logging["Destinations"][0]["CloudWatchLogsLogGroup"]["LogGroupArn"]
    assert shop.referred(machine.stack, group).type == "AWS::Logs::LogGroup"


def test_it_goes_from_stock_over_payment_to_the_confirmed_order(
    definition: dict[str, Any],
) -> None:
    path = path_from(definition, definition["StartAt"])
    assert path == ["ReserveStock", "AuthorizePayment", "ConfirmOrder", "Confirmed"]


@pytest.mark.parametrize("step", REFUSALS)
def test_each_refusal_leads_to_the_compensation_of_all_that_was_done(
    definition: dict[str, Any], step: str
) -> None:
    catchers = caught(definition["States"][step])
    assert catchers.keys() == REFUSALS[step]
    for following in catchers.values():
        path = path_from(definition, following)
        assert {"RejectOrder", "RefundPayment", "ReleaseStock"} <= set(path)
        assert definition["States"][path[-1]]["Type"] == "Succeed"


def test_nothing_is_undone_before_the_order_is_settled(definition: dict[str, Any]) -> None:
    """Else a run that gives up could take away what another run confirms."""
    following = caught(definition["States"]["ReserveStock"])["StockRefused"]
    assert path_from(definition, following)[0] == "RejectOrder"
    assert caught(definition["States"]["RejectOrder"]) == {"OrderStands": "Confirmed"}


def test_a_compensation_cannot_be_refused(tasks: dict[str, dict[str, Any]]) -> None:
    for name in ("RefundPayment", "ReleaseStock"):
        assert caught(tasks[name]) == {}


def test_a_compensation_gets_the_failure_and_still_the_event(
    tasks: dict[str, dict[str, Any]],
) -> None:
    for name, state in tasks.items():
        assert state["ResultPath"] is None, name
        assert state["Parameters"]["Payload.$"] == "$", name
        for catcher in state.get("Catch", []):
            assert catcher["ResultPath"] == "$.failure", name


def test_only_what_may_pass_is_retried(tasks: dict[str, dict[str, Any]]) -> None:
    for name, state in tasks.items():
        for error in retried(state):
            if not error.startswith(PASSING):
                assert not issubclass(errors()[error], Refusal), (name, error)
        assert "States.ALL" not in [*retried(state), *caught(state)], name
        assert "States.TaskFailed" not in [*retried(state), *caught(state)], name


def test_every_task_is_retried_when_lambda_or_the_table_is_busy(
    tasks: dict[str, dict[str, Any]],
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html."""
    for name, state in tasks.items():
        assert {
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "Lambda.TooManyRequestsException",
            transaction.Contention.__name__,
        } <= set(retried(state)), name


def test_retries_are_bounded_grow_and_are_jittered(tasks: dict[str, dict[str, Any]]) -> None:
    for name, state in tasks.items():
        assert state["Retry"], name
        for retrier in state["Retry"]:
            assert 1 <= retrier["MaxAttempts"] <= 10, name
            assert retrier["BackoffRate"] > 1, name
            assert retrier["JitterStrategy"] == "FULL", name
            assert retrier["MaxDelaySeconds"] <= 30, name


def test_an_unavailable_provider_is_asked_again_before_it_is_given_up_on(
    tasks: dict[str, dict[str, Any]],
) -> None:
    state = tasks["AuthorizePayment"]
    assert "PaymentUnavailable" in retried(state)
    assert "PaymentUnavailable" in caught(state)


def test_every_error_that_is_named_exists(tasks: dict[str, dict[str, Any]]) -> None:
    for name, state in tasks.items():
        for error in [*retried(state), *caught(state)]:
            if not error.startswith(PASSING):
                assert error in errors(), (name, error)
                assert not hasattr(builtins, error), (name, error)


def test_every_refusal_that_a_task_may_raise_is_caught(shop: Assembly) -> None:
    """By the workflow of its task, whichever that is."""
    assert refusals() <= {
        error
        for machine in shop.of_type("AWS::StepFunctions::StateMachine")
        for state in shop.definition(machine)["States"].values()
        for error in caught(state)
    }


def test_the_workflow_may_invoke_the_functions_of_its_tasks_and_no_others(
    shop: Assembly, machine: Resource, tasks: dict[str, dict[str, Any]]
) -> None:
    role = shop.referred(machine.stack, machine.properties["RoleArn"])
    granted = [
        shop.referred(policy.stack, function).path
        for policy in shop.of_type("AWS::IAM::Policy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Action"] == "lambda:InvokeFunction"
        and role in (shop.referred(policy.stack, each) for each in policy.properties["Roles"])
        for function in statement["Resource"]
    ]

    assert sorted(granted) == sorted(
        state["Parameters"]["FunctionName"] for state in tasks.values()
    )


def test_tasks_are_functions_of_their_kind(
    shop: Assembly, tasks: dict[str, dict[str, Any]]
) -> None:
    for name, state in tasks.items():
        assert state["Resource"] == "arn:aws:states:::lambda:invoke"
        function = shop.at(state["Parameters"]["FunctionName"])
        assert isinstance(handler_of(function), Task), name
        words = "".join(
            word.capitalize() for word in function.properties["Handler"].split(".")[2].split("_")
        )
        assert words == name


def test_each_wait_is_longer_than_what_it_waits_for(
    shop: Assembly, definition: dict[str, Any], tasks: dict[str, dict[str, Any]]
) -> None:
    """Function < task < workflow < its caller's patience < its caller's own time-out."""
    for name, state in tasks.items():
        function = shop.at(state["Parameters"]["FunctionName"])
        assert function.properties["Timeout"] < state["TimeoutSeconds"], name
        assert state["TimeoutSeconds"] < definition["TimeoutSeconds"], name
    (caller,) = [
        function
        for function in shop.of_type("AWS::Lambda::Function")
        if handler_of(function) is run_checkout.handler
    ]
    assert definition["TimeoutSeconds"] < run_checkout.PATIENCE_S
    assert caller.properties["Timeout"] > run_checkout.PATIENCE_S


def test_a_workflow_that_fails_is_an_alarm(shop: Assembly) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html."""
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        metrics = {
            alarm.properties["MetricName"]
            for alarm in shop.of_type("AWS::CloudWatch::Alarm")
            if alarm.properties.get("Namespace") == "AWS/States"
            for dimension in alarm.properties["Dimensions"]
            if shop.referred(alarm.stack, dimension["Value"]) == machine
        }
        # Nobody stops an Express execution.
        stopped = machine.properties["StateMachineType"] == "STANDARD"
        assert metrics == {
            "ExecutionsFailed",
            "ExecutionsTimedOut",
            "ExecutionThrottled",
            *(["ExecutionsAborted"] if stopped else []),
        }
