"""Bounds of what is done: nothing goes on for ever."""

import json
from typing import Any

from cdk_rehearsal.topology.assembly import Assembly, Resource
from tests.support.handlers import refusals

PASSING = {
    "Contention",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Sandbox.Timedout",
}
"""What passes by itself, and is worth another attempt of any step.

https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
"""


def test_the_api_is_throttled_and_logs_who_was_answered_what(shop: Assembly) -> None:
    (stage,) = shop.of_type("AWS::ApiGatewayV2::Stage")
    limits = stage.properties["DefaultRouteSettings"]

    assert limits["ThrottlingRateLimit"] > 0
    assert limits["ThrottlingBurstLimit"] > 0
    log = json.loads(stage.properties["AccessLogSettings"]["Format"])
    assert {"requestId", "route", "status"} <= log.keys()


def test_each_step_is_retried_with_jitter_for_what_may_pass(shop: Assembly) -> None:
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        for name, state in tasks(shop, machine):
            retried = {error for retrier in state["Retry"] for error in retrier["ErrorEquals"]}
            assert retried >= PASSING, name
            for retrier in state["Retry"]:
                assert retrier["BackoffRate"] > 1, name
                assert not refusals() & set(retrier["ErrorEquals"]), name
                assert "States.ALL" not in retrier["ErrorEquals"], name
                assert retrier["JitterStrategy"] == "FULL", name
                assert 1 <= retrier["MaxAttempts"] <= 10, name


def test_what_failed_does_not_take_the_place_of_the_event(shop: Assembly) -> None:
    """Each compensation reads the event."""
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        for name, state in tasks(shop, machine):
            for catcher in state.get("Catch", []):
                path = catcher["ResultPath"]  # null throws the failure away
                assert path is None or path.startswith("$."), name
                assert path is None or not path.startswith("$.detail"), name


def test_each_step_of_a_checkout_is_over_before_its_customer_is(shop: Assembly) -> None:
    """A return may take its time: its steps are bounded in tests/returns/test_workflow.py."""
    for name, state in tasks(shop, shop.at("Checkout/Workflow")):
        assert 0 < state["TimeoutSeconds"] <= 30, name
        for retrier in state["Retry"]:
            assert retrier["MaxAttempts"] <= 6, name
            assert retrier["MaxDelaySeconds"] <= 10, name


def tasks(shop: Assembly, machine: Resource) -> list[tuple[str, dict[str, Any]]]:
    """The names and states of a workflow's tasks."""
    states = shop.definition(machine)["States"].items()
    return [(name, state) for name, state in states if state["Type"] == "Task"]
