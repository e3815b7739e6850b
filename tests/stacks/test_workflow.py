"""The checkout workflow: limited in time, with retries and compensations."""

import builtins
from collections.abc import Iterator
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from lambdas.checkout import run_checkout
from lambdas.eventing.aggregate import Refusal
from lambdas.eventing.task import Task
from tests.support.handlers import errors, handler_of, refusals

TRANSIENT = ("Lambda.", "Sandbox.Timedout")
"""Transient errors of Lambda itself.

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
    """The errors that a state catches, with the next state."""
    return {
        error: catcher["Next"]
        for catcher in state.get("Catch", [])
        for error in catcher["ErrorEquals"]
    }


def retried(state: dict[str, Any]) -> Iterator[str]:
    for retrier in state.get("Retry", []):
        yield from retrier["ErrorEquals"]


def path_from(definition: dict[str, Any], name: str) -> list[str]:
    """The states from `name` to the end, if nothing fails."""
    path = [name]
    while "Next" in definition["States"][path[-1]]:
        path.append(definition["States"][path[-1]]["Next"])
    return path


def test_the_workflow_is_express_and_logged_without_its_data(
    shop: Assembly, machine: Resource
) -> None:
    properties = machine.properties
    assert properties["StateMachineType"] == "EXPRESS"
    logging = properties["LoggingConfiguration"]
    assert logging["Level"] == "ALL"
    assert logging["IncludeExecutionData"] is False
    group = logging["Destinations"][0]["CloudWatchLogsLogGroup"]["LogGroupArn"]
    assert shop.referred(machine.stack, group).type == "AWS::Logs::LogGroup"


def test_the_workflow_reserves_stock_authorizes_the_payment_and_confirms_the_order(
    definition: dict[str, Any],
) -> None:
    path = path_from(definition, definition["StartAt"])
    assert path == ["ReserveStock", "AuthorizePayment", "ConfirmOrder", "Confirmed"]


@pytest.mark.parametrize("step", REFUSALS)
def test_each_refusal_leads_to_all_compensations(definition: dict[str, Any], step: str) -> None:
    catchers = caught(definition["States"][step])
    assert catchers.keys() == REFUSALS[step]
    for following in catchers.values():
        path = path_from(definition, following)
        assert {"RejectOrder", "RefundPayment", "ReleaseStock"} <= set(path)
        assert definition["States"][path[-1]]["Type"] == "Succeed"


def test_compensations_start_only_after_the_order_is_rejected(definition: dict[str, Any]) -> None:
    """Otherwise, a run that gives up could release the stock of an order that another confirms."""
    following = caught(definition["States"]["ReserveStock"])["StockRefused"]
    assert path_from(definition, following)[0] == "RejectOrder"
    assert caught(definition["States"]["RejectOrder"]) == {"OrderStands": "Confirmed"}


def test_a_compensation_catches_no_refusal(tasks: dict[str, dict[str, Any]]) -> None:
    for name in ("RefundPayment", "ReleaseStock"):
        assert caught(tasks[name]) == {}


def test_a_compensation_gets_the_failure_and_the_event(
    tasks: dict[str, dict[str, Any]],
) -> None:
    for name, state in tasks.items():
        assert state["ResultPath"] is None, name
        assert state["Parameters"]["Payload.$"] == "$", name
        for catcher in state.get("Catch", []):
            assert catcher["ResultPath"] == "$.failure", name


def test_only_transient_errors_are_retried(tasks: dict[str, dict[str, Any]]) -> None:
    for name, state in tasks.items():
        for error in retried(state):
            if not error.startswith(TRANSIENT):
                assert not issubclass(errors()[error], Refusal), (name, error)
        assert "States.ALL" not in [*retried(state), *caught(state)], name
        assert "States.TaskFailed" not in [*retried(state), *caught(state)], name


def test_an_unavailable_provider_is_retried_before_the_order_is_rejected(
    tasks: dict[str, dict[str, Any]],
) -> None:
    state = tasks["AuthorizePayment"]
    assert "PaymentUnavailable" in retried(state)
    assert "PaymentUnavailable" in caught(state)


def test_every_named_error_exists(tasks: dict[str, dict[str, Any]]) -> None:
    for name, state in tasks.items():
        for error in [*retried(state), *caught(state)]:
            if not error.startswith(TRANSIENT):
                assert error in errors(), (name, error)
                assert not hasattr(builtins, error), (name, error)


def test_every_refusal_is_caught_by_a_workflow(shop: Assembly) -> None:

    assert refusals() <= {
        error
        for machine in shop.of_type("AWS::StepFunctions::StateMachine")
        for state in shop.definition(machine)["States"].values()
        for error in caught(state)
    }


def test_the_workflow_may_invoke_exactly_the_functions_of_its_tasks(
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


def test_each_task_invokes_the_task_handler_of_its_name(
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


def test_each_timeout_is_longer_than_the_timeouts_inside_it(
    shop: Assembly, definition: dict[str, Any], tasks: dict[str, dict[str, Any]]
) -> None:
    """Function < task < workflow < the caller's patience < the caller's own timeout."""
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


def test_a_message_of_checkout_is_parked_before_its_order_expires(shop: Assembly) -> None:
    queue = shop.at("Checkout/RunCheckout/Queue").properties
    tries = int(queue["RedrivePolicy"]["maxReceiveCount"])
    sweeper = shop.at("Orders/SweepOrders/Function").properties
    expires_s = 60 * int(sweeper["Environment"]["Variables"]["CHECKOUT_MINUTES"])
    assert tries * queue["VisibilityTimeout"] < expires_s


def test_failures_of_a_workflow_have_alarms(shop: Assembly) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html."""
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        metrics = {
            alarm.properties["MetricName"]
            for alarm in shop.of_type("AWS::CloudWatch::Alarm")
            if alarm.properties.get("Namespace") == "AWS/States"
            for dimension in alarm.properties["Dimensions"]
            if shop.referred(alarm.stack, dimension["Value"]) == machine
        }
        # Express executions cannot be stopped.
        stopped = machine.properties["StateMachineType"] == "STANDARD"
        assert metrics == {
            "ExecutionsFailed",
            "ExecutionsTimedOut",
            "ExecutionThrottled",
            *(["ExecutionsAborted"] if stopped else []),
        }
