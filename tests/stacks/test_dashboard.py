"""The dashboards of a stage: of all AWS metrics that alarms watch, and of one order."""

import json
import re
from pathlib import Path
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


def body_of(shop: Assembly, name: str) -> Any:
    """The body of the dashboard whose path contains `name`."""
    (body,) = (
        texts(dashboard.properties["DashboardBody"])
        for dashboard in shop.of_type("AWS::CloudWatch::Dashboard")
        if name in dashboard.path
    )
    return json.loads(body.replace("AWS::Region", ""))


def shown(shop: Assembly) -> list[Any]:
    """All metrics of all graphs, as in the body of the stage's dashboard."""
    return [
        metric
        for widget in body_of(shop, "Dashboards")["widgets"]
        for metric in widget["properties"].get("metrics", [])
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


def test_a_text_field_sets_the_order_in_all_queries_of_its_dashboard(
    shop: Assembly, stage: str
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html."""
    body = body_of(shop, "Operations/Order")
    (variable,) = body["variables"]
    assert (variable["type"], variable["inputType"]) == ("pattern", "input")
    shown = json.dumps(body["widgets"]).replace(variable["pattern"], "6a1c9d0e")
    queries = [widget["properties"]["query"] for widget in json.loads(shown)]
    assert len(queries) == 3
    for query in queries:
        source, kind, order, *_ = query.split("\n| ")
        assert source == f"SOURCE logGroups(namePrefix: ['orderflow-{stage}'])"
        assert kind == 'filter type = "span"'
        assert order.startswith('filter subject = "6a1c9d0e"')


def test_the_queries_of_an_order_find_the_log_groups_of_all_functions(
    shop: Assembly, stage: str
) -> None:
    """A log group without a name has one that begins with the name of its stack."""
    groups = {(each.stack, each.logical_id): each for each in shop.all_of("AWS::Logs::LogGroup")}
    for function in shop.all_of("AWS::Lambda::Function"):
        ref = function.properties["LoggingConfig"]["LogGroup"]["Ref"]
        group = groups[function.stack, ref]
        name = texts(group.properties.get("LogGroupName", f"orderflow-{stage}"))
        assert name.startswith(f"orderflow-{stage}"), group.path


def test_the_names_of_stacks_begin_as_the_log_groups_of_the_queries(assembly: Path) -> None:
    for name in Assembly(assembly).stack_names.values():
        assert name.startswith("orderflow-dev-")
