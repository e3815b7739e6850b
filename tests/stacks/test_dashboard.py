"""The dashboard: one for each stage, with all that alarms tell of on the hops."""

import json
import re
from typing import Any

from tests.stacks.test_alarms import WATCHED
from topology.assembly import Assembly, texts

RARE = {
    "InvocationsFailedToBeSentToDeadLetterCount",
    "NumberOfNotificationsFailedToRedriveToDlq",
    "PutRecords.FailedRecords",
}
"""What is an alarm when it happens once, and a flat line for years."""


def shown(shop: Assembly) -> list[Any]:
    """All metrics of all graphs, as the dashboard names them."""
    (dashboard,) = shop.of_type("AWS::CloudWatch::Dashboard")
    body = json.loads(texts(dashboard.properties["DashboardBody"]).replace("AWS::Region", ""))
    return [
        metric for widget in body["widgets"] for metric in widget["properties"].get("metrics", [])
    ]


def searches(shop: Assembly) -> list[str]:
    return [metric[0]["expression"] for metric in shown(shop) if isinstance(metric[0], dict)]


def named(shop: Assembly) -> list[tuple[str, str, str, str]]:
    """Namespace, name and the first dimension of what is not searched for."""
    return [tuple(metric[:4]) for metric in shown(shop) if isinstance(metric[0], str)]


def test_what_alarms_tell_of_is_on_the_dashboard(shop: Assembly) -> None:
    found = set(re.findall(r"{(AWS/\w+),[^}]*} MetricName=\"([^\"]+)\"", " ".join(searches(shop))))
    found |= {(namespace, name) for namespace, name, *_ in named(shop)}
    wanted = {(namespace, name) for namespace, name in WATCHED if namespace.startswith("AWS/")}
    assert {name for _, name in wanted - found} == RARE


def test_it_shows_its_own_stage_and_no_other(shop: Assembly, stage: str) -> None:
    for search in searches(shop):
        assert f" orderflow {stage}" in search, search
    (api,) = shop.of_type("AWS::ApiGatewayV2::Api")
    for namespace, _, dimension, value in named(shop):
        if dimension == "ApiId":
            # An export of the backbone, named after what it refers to.
            assert f"orderflow-{stage}-backbone:ExportsOutputRef{api.logical_id}" in value
        else:
            assert namespace == f"Orderflow/{stage}"
    # The name that CloudFormation gives a state machine does not begin with that of its stack.
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        assert machine.properties["StateMachineName"].startswith(f"orderflow-{stage}-")
