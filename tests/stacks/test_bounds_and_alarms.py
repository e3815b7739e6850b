"""Bounds of what is done, and alarms on what fails: nothing goes on for ever or unseen."""

import json
import re
from pathlib import Path
from typing import Any

from stacks.constructs.packaging import PROJECT
from tests.support.handlers import refusals
from topology.assembly import Assembly, Resource


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
            assert state["Retry"], name
            for retrier in state["Retry"]:
                assert not refusals() & set(retrier["ErrorEquals"]), name
                assert "States.ALL" not in retrier["ErrorEquals"], name
                assert retrier["JitterStrategy"] == "FULL", name
                assert 1 <= retrier["MaxAttempts"] <= 10, name


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


def test_each_alarm_notifies_somebody_and_names_a_page_that_exists(shop: Assembly) -> None:
    pages = pages_of(PROJECT / "docs" / "runbook.md")
    for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
        (action,) = alarm.properties["AlarmActions"]
        assert shop.referred(alarm.stack, action).type == "AWS::SNS::Topic", alarm
        page = re.search(r"docs/runbook\.md#([\w-]+)$", alarm.properties["AlarmDescription"])
        assert page, alarm
        assert page[1] in pages, f"{alarm} names a page that is not there: {page[1]}"
        assert alarm.properties["TreatMissingData"] == "notBreaching", alarm


def pages_of(runbook: Path) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    headings = re.findall(r"^## (.+)$", runbook.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_dead_letter_queue_and_each_function_has_an_alarm(shop: Assembly) -> None:
    alarms = shop.of_type("AWS::CloudWatch::Alarm")
    watched = {
        shop.referred(alarm.stack, dimension["Value"]).path
        for alarm in alarms
        for dimension in alarm.properties.get("Dimensions", [])
        if shop.refers(alarm.stack, dimension["Value"])
    }
    unwatched = [
        resource.path
        for resource in shop.of_type(
            "AWS::SQS::Queue", "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine"
        )
        if resource.path not in watched
    ]

    assert unwatched == []
