"""The report of permissions: used, unused, too wide, refused, and parts that nothing needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import PermissionReport, Rehearsal, permission_report, read_explanations
from cdk_rehearsal.cli import main
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

SEND = """
    import boto3, os
    def handler(event, context):
        queue = boto3.client("sqs")
        queue.send_message(QueueUrl=os.environ["QUEUE"], MessageBody="m")
        bus = boto3.client("events")
        entry = {"Source": "shop", "DetailType": "Sold", "Detail": "{}"}
        bus.put_events(Entries=[entry])
"""
SCENARIO = """
def scenario(rehearsal):
    assert not rehearsal.invoke("Shop/Send", {}).failed
"""


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


LOGS = allow(["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:*:*:log-group:/aws/*:*")
SOLD = {"StringEquals": {"events:source": "shop", "events:detail-type": "Sold"}}
PUBLISH = allow("events:PutEvents", "arn:aws:events:eu-central-1:123456789012:event-bus/default")


def sender(template: Cloud, *statements: dict[str, Any]) -> None:
    template.queue("Queue")
    template.role("SendRole", LOGS, *statements)
    variables = {"Variables": {"QUEUE": ref("Queue")}}
    template.function(
        "Send", SEND, Role=arn("SendRole"), FunctionName="send", Environment=variables
    )


def sent(shop: Rehearsal) -> PermissionReport:
    shop.invoke("Shop/Send", {})
    return permission_report(shop)


def test_each_permission_is_used_or_not(template: Cloud, rehearse: Rehearse) -> None:
    permitted = allow(["sqs:SendMessage", "sqs:DeleteMessage"], arn("Queue"))
    sender(template, permitted, {**PUBLISH, "Condition": SOLD})
    report = sent(rehearse())
    (role,) = report.roles
    assert role.who == "Shop/Send"
    assert "sqs:SendMessage on Shop/Queue" in map(str, role.used)
    assert [str(each) for each in role.unused] == ["sqs:DeleteMessage on Shop/Queue"]
    assert report.findings == [
        "Shop/Send: never used: sqs:DeleteMessage on Shop/Queue",
        "Shop/Send | action | sqs:DeleteMessage of sqs:SendMessage, sqs:DeleteMessage: "
        "its removal changes nothing",
    ]


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("sqs:*", arn("Queue")),
        ("sqs:SendMessage", "*"),
        ("sqs:SendMessage", "arn:aws:sqs:eu-central-1:123456789012:*"),
    ],
)
def test_a_permission_for_everything_is_a_wildcard(
    template: Cloud, rehearse: Rehearse, action: str, resource: Any
) -> None:
    sender(template, allow(action, resource), {**PUBLISH, "Condition": SOLD})
    (role,) = sent(rehearse()).roles
    assert [each.action for each in role.wildcards] == [action]


def test_an_action_that_no_condition_limits_to_its_use_is_a_finding(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html"""
    sender(template, allow("sqs:SendMessage", arn("Queue")), PUBLISH)
    (role,) = sent(rehearse()).roles
    bus = "events:PutEvents on arn:aws:events:eu-central-1:123456789012:event-bus/default"
    assert f"{bus}, any events:source" in role.unlimited


def test_the_removal_of_each_part_that_decides_is_noticed(
    template: Cloud, rehearse: Rehearse
) -> None:
    detail_types = {"ForAllValues:StringEquals": {"events:detail-type": ["Sold", "Bought"]}}
    source = {"StringEquals": {"events:source": "shop"}}
    condition = {**source, **detail_types, "Null": {"events:detail-type": "false"}}
    sender(
        template,
        allow("sqs:SendMessage", [arn("Queue"), "arn:aws:sqs:::other"]),
        {**PUBLISH, "Condition": condition},
    )
    report = sent(rehearse())
    assert [(each.kind, each.part.partition(" of ")[0]) for each in report.needless] == [
        ("resource", "arn:aws:sqs:::other"),
        ("value", "ForAllValues:StringEquals events:detail-type 1"),
    ]
    assert report.removals == 12


def test_a_refused_request_is_a_finding(template: Cloud, rehearse: Rehearse) -> None:
    sender(template)
    (role,) = sent(rehearse()).roles
    assert [str(each) for each in role.denied] == ["sqs:SendMessage on Shop/Queue"]


class TestCommand:
    @pytest.fixture
    def files(self, template: Cloud, tmp_path: Path) -> tuple[str, Path]:
        permitted = allow(["sqs:SendMessage", "sqs:DeleteMessage"], arn("Queue"))
        sender(template, permitted, {**PUBLISH, "Condition": SOLD})
        scenario = tmp_path / "scenario.py"
        scenario.write_text(SCENARIO)
        return str(template.write()), scenario

    def test_it_runs_a_scenario_and_exits_with_1_for_a_finding(
        self, files: tuple[str, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match="1"):
            main(["permissions", files[0], str(files[1])])
        assert "never used: sqs:DeleteMessage on Shop/Queue" in capsys.readouterr().out
        with pytest.raises(SystemExit, match="1"):
            main(["permissions", files[0], str(files[1]), "--json"])
        assert json.loads(capsys.readouterr().out)["roles"]["Shop/Send"]["unused"]

    @pytest.mark.parametrize(("permission", "status"), [("sqs:Delete*", 0), ("sqs:Purge*", 1)])
    def test_explanations_have_to_fit(
        self, files: tuple[str, Path], permission: str, status: int
    ) -> None:
        explanations = files[1].with_name("why.toml")
        entry = f'[[permission]]\nrole = "Shop/*"\npermission = "{permission}"\nwhy = "soon"\n'
        explanations.write_text(entry)
        with pytest.raises(SystemExit, match=str(status)):
            main(["permissions", files[0], str(files[1]), "--explanations", str(explanations)])

    def test_a_file_without_a_scenario_is_an_error(
        self, files: tuple[str, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        files[1].write_text("")
        with pytest.raises(SystemExit, match="2"):
            main(["permissions", files[0], str(files[1])])
        assert "defines scenario(rehearsal)" in capsys.readouterr().err


def test_a_wrong_explanation_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "why.toml"
    file.write_text('[[permission]]\npermission = "a"\n')
    with pytest.raises(ValueError, match="wrong entry"):
        read_explanations(file)
