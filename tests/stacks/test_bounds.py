"""Steps of workflows have limited retries and timeouts."""

from typing import Any

from cdk_rehearsal import Assembly, Resource
from tests.support.handlers import refusals

TRANSIENT = {
    "Contention",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Sandbox.Timedout",
}
"""Transient errors, which every step retries.

https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
"""


def test_each_step_retries_transient_errors_with_backoff_and_jitter(shop: Assembly) -> None:
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        for name, state in tasks(shop, machine):
            retried = {error for retrier in state["Retry"] for error in retrier["ErrorEquals"]}
            assert retried >= TRANSIENT, name
            for retrier in state["Retry"]:
                assert retrier["BackoffRate"] > 1, name
                assert not refusals() & set(retrier["ErrorEquals"]), name
                assert "States.ALL" not in retrier["ErrorEquals"], name
                assert retrier["JitterStrategy"] == "FULL", name
                assert 1 <= retrier["MaxAttempts"] <= 10, name


def test_each_step_ends_before_its_workflow(shop: Assembly) -> None:
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        longest = shop.definition(machine)["TimeoutSeconds"]
        for name, state in tasks(shop, machine):
            assert 0 < state["TimeoutSeconds"] < longest, name


def test_an_erasure_is_refused_only_because_of_open_orders(shop: Assembly) -> None:
    """Any other error leaves a failed execution, which an alarm reports and a redrive continues."""
    steps = dict(tasks(shop, shop.at("Privacy/Workflow")))
    caught = {name: state["Catch"] for name, state in steps.items() if "Catch" in state}
    refused = {"ErrorEquals": ["OrdersOpen"], "Next": "RefuseErasure", "ResultPath": "$.failure"}
    assert caught == {"CheckOrders": [refused]}


def test_a_caught_error_does_not_replace_the_event(shop: Assembly) -> None:
    """Each compensation reads the event."""
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        for name, state in tasks(shop, machine):
            for catcher in state.get("Catch", []):
                path = catcher["ResultPath"]  # null discards the error
                assert path is None or path.startswith("$."), name
                assert path is None or not path.startswith("$.detail"), name


def test_each_step_of_a_checkout_ends_within_the_customers_patience(shop: Assembly) -> None:
    """Returns may take longer: tests/returns/test_workflow.py checks the limits of their steps."""
    for name, state in tasks(shop, shop.at("Checkout/Workflow")):
        assert 0 < state["TimeoutSeconds"] <= 30, name
        for retrier in state["Retry"]:
            assert retrier["MaxAttempts"] <= 6, name
            assert retrier["MaxDelaySeconds"] <= 10, name


def tasks(shop: Assembly, machine: Resource) -> list[tuple[str, dict[str, Any]]]:
    """The names and states of a workflow's tasks."""
    states = shop.definition(machine)["States"].items()
    return [(name, state) for name, state in states if state["Type"] == "Task"]
