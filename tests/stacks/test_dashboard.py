"""The dashboard: one for each stage, with all that alarms tell of on the hops."""

import json
import re

from tests.stacks.test_alarms import WATCHED
from topology.assembly import Assembly, texts

HOPS = {"AWS/Events", "AWS/Kinesis", "AWS/Lambda", "AWS/SNS", "AWS/SQS", "AWS/Scheduler"}
"""Services of which the dashboard shows every resource; the API and workflows have own consoles."""
RARE = {
    "InvocationsFailedToBeSentToDeadLetterCount",
    "NumberOfNotificationsFailedToRedriveToDlq",
    "PutRecords.FailedRecords",
}
"""What is an alarm when it happens once, and a flat line for years."""


def searches(shop: Assembly) -> list[str]:
    (dashboard,) = shop.of_type("AWS::CloudWatch::Dashboard")
    body = json.loads(texts(dashboard.properties["DashboardBody"]).replace("AWS::Region", ""))
    return [
        metric[0]["expression"]
        for widget in body["widgets"]
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], dict)
    ]


def test_what_alarms_tell_of_a_hop_is_on_the_dashboard(shop: Assembly) -> None:
    found = set(re.findall(r'MetricName="([^"]+)"', " ".join(searches(shop))))
    wanted = {name for namespace, name in WATCHED if namespace in HOPS}
    assert wanted - RARE <= found
    assert not RARE & found


def test_it_shows_its_own_stage_and_no_other(shop: Assembly, stage: str) -> None:
    for search in searches(shop):
        assert f" orderflow {stage}" in search, search
