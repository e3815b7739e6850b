"""The dashboard: one for each stage, with all AWS metrics that alarms watch."""

import json
import re
from typing import Any

import pytest

from cdk_rehearsal import Assembly, texts
from tests.stacks.test_alarms import watched

RARE = {
    "InvocationsFailedToBeSentToDeadLetterCount",
    "NumberOfNotificationsFailedToRedriveToDlq",
    "PutRecords.FailedRecords",
}
"""Metrics with an alarm that are normally zero for years, and so are not on the dashboard."""


BUSES = ("AWS::Events::EventBus", "AWS::EventsV2::EventBus")
NAMED = {
    **dict.fromkeys(BUSES, "Name"),
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
"""The name property of types whose metrics are found by an explicit name."""


OF_THE_ACCOUNT = {"SMSMonthToDateSpentUSD"}
"""Metrics of the whole account, without dimensions."""


def shown(shop: Assembly) -> list[Any]:
    """All metrics of all graphs, as in the dashboard's body."""
    (dashboard,) = shop.of_type("AWS::CloudWatch::Dashboard")
    body = json.loads(texts(dashboard.properties["DashboardBody"]).replace("AWS::Region", ""))
    return [
        metric for widget in body["widgets"] for metric in widget["properties"].get("metrics", [])
    ]


def searches(shop: Assembly) -> list[str]:
    return [metric[0]["expression"] for metric in shown(shop) if isinstance(metric[0], dict)]


def named(shop: Assembly) -> list[list[str]]:
    """Namespace, name and dimensions of the metrics that are not found by a search."""
    return [
        [part for part in metric if isinstance(part, str)]
        for metric in shown(shop)
        if isinstance(metric[0], str)
    ]


def test_metrics_with_alarms_are_on_the_dashboard(shop: Assembly) -> None:
    found = set(re.findall(r"{(AWS/\w+),[^}]*} MetricName=\"([^\"]+)\"", " ".join(searches(shop))))
    found |= {(namespace, name) for namespace, name, *_ in named(shop)}
    wanted = {
        (namespace, name) for namespace, name in watched(shop) if namespace.startswith("AWS/")
    }
    assert {name for _, name in wanted - found} == RARE


def test_the_dashboard_shows_only_its_own_stage(shop: Assembly, stage: str) -> None:
    for search in searches(shop):
        assert f" orderflow {stage}" in search, search
    (api,) = shop.of_type("AWS::ApiGatewayV2::Api")
    for namespace, name, *dimensions in named(shop):
        if name in OF_THE_ACCOUNT:
            assert not dimensions
            continue
        dimension, value, *_ = dimensions
        if dimension == "ApiId":
            # An export of the backbone, named after what it refers to.
            assert f"orderflow-{stage}-backbone:ExportsOutputRef{api.logical_id}" in value
        else:
            assert namespace == f"Orderflow/{stage}"


@pytest.mark.parametrize(("type_", "name"), NAMED.items())
def test_explicit_names_begin_with_the_words_that_the_dashboard_searches_for(
    shop: Assembly, stage: str, type_: str, name: str
) -> None:
    """A search matches whole words. Generated names of queues begin with the stack's name."""
    found = shop.all_of(type_)
    assert found or type_ in BUSES
    for each in found:
        if type_ != "AWS::SQS::Queue" or name in each.properties:
            assert texts(each.properties[name]).split("-")[:2] == ["orderflow", stage], each
