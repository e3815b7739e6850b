"""The dashboard: one for each stage, with all that alarms tell of on the hops."""

import json
import re
from typing import Any

import pytest

from cdk_rehearsal import Assembly, texts
from tests.stacks.test_alarms import WATCHED

RARE = {
    "InvocationsFailedToBeSentToDeadLetterCount",
    "NumberOfNotificationsFailedToRedriveToDlq",
    "PutRecords.FailedRecords",
}
"""What is an alarm when it happens once, and a flat line for years."""


NAMED = {
    "AWS::Events::EventBus": "Name",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
"""What has a name of its own and metrics by it."""


OF_THE_ACCOUNT = {"SMSMonthToDateSpentUSD"}
"""What is counted for all stages together, by no dimension."""


def shown(shop: Assembly) -> list[Any]:
    """All metrics of all graphs, as the dashboard names them."""
    (dashboard,) = shop.of_type("AWS::CloudWatch::Dashboard")
    body = json.loads(texts(dashboard.properties["DashboardBody"]).replace("AWS::Region", ""))
    return [
        metric for widget in body["widgets"] for metric in widget["properties"].get("metrics", [])
    ]


def searches(shop: Assembly) -> list[str]:
    return [metric[0]["expression"] for metric in shown(shop) if isinstance(metric[0], dict)]


def named(shop: Assembly) -> list[list[str]]:
    """Namespace, name, and each dimension with its value, of what is not searched for."""
    return [
        [part for part in metric if isinstance(part, str)]
        for metric in shown(shop)
        if isinstance(metric[0], str)
    ]


def test_what_alarms_tell_of_is_on_the_dashboard(shop: Assembly) -> None:
    found = set(re.findall(r"{(AWS/\w+),[^}]*} MetricName=\"([^\"]+)\"", " ".join(searches(shop))))
    found |= {(namespace, name) for namespace, name, *_ in named(shop)}
    wanted = {(namespace, name) for namespace, name in WATCHED if namespace.startswith("AWS/")}
    assert {name for _, name in wanted - found} == RARE


def test_it_shows_its_own_stage_and_no_other(shop: Assembly, stage: str) -> None:
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
def test_a_name_that_the_stacks_give_begins_with_the_words_that_are_searched_for(
    shop: Assembly, stage: str, type_: str, name: str
) -> None:
    """A search finds whole words. Queues without a name get one that begins with the stack's."""
    found = shop.of_type(type_)
    assert found
    for each in found:
        if type_ != "AWS::SQS::Queue" or name in each.properties:
            assert texts(each.properties[name]).split("-")[:2] == ["orderflow", stage], each
