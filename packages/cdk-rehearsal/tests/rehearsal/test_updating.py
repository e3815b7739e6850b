"""Single stacks are updated while the application runs, as CloudFormation does it."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cdk_rehearsal import (
    Assembly,
    Mixing,
    Rehearsal,
    RehearsalError,
    UnsupportedTemplateError,
    UpdateRefused,
)
from cdk_rehearsal.latency import NONE
from cdk_rehearsal.topology import (
    all_orders,
    count_orders,
    covering_orders,
    drawn_order,
    free_pairs,
    pairs_of,
)
from rehearsal.cloud import Cloud, arn, write_assembly

Templates = dict[str, dict[str, Any]]

SAY = "import os\ndef handler(event, context): return {word!r} + os.environ['MARK']"


def shop(tmp_path: Path) -> Templates:
    """A queue that a second stack reads, a workflow, and a function."""
    base, user = Cloud(tmp_path, "Base"), Cloud(tmp_path, "User")
    base.queue("Queue", VisibilityTimeout=60)
    base.template["Outputs"] = {
        "Queue": {"Value": arn("Queue"), "Export": {"Name": "the-queue"}},
    }
    user.function("Say", SAY.format(word="old"), Environment={"Variables": {"MARK": "."}})
    user.mapping("Mapping", {"Fn::ImportValue": "the-queue"}, "Say")
    user.add(
        "Flow",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        StateMachineType="EXPRESS",
        DefinitionString=flow("old"),
    )
    user.queue("Extra")
    return {"Base": base.template, "User": user.template}


def flow(word: str) -> str:
    state = {"Type": "Pass", "Result": word, "End": True}
    return json.dumps({"StartAt": "Say", "States": {"Say": state}})


def properties(templates: Templates, stack: str, logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = templates[stack]["Resources"][logical_id]["Properties"]
    return found


@pytest.fixture
def old(tmp_path: Path) -> Templates:
    """The templates that run."""
    return shop(tmp_path)


@pytest.fixture
def running(tmp_path: Path, old: Templates) -> Iterator[Rehearsal]:
    """A rehearsal of the old templates."""
    with Rehearsal(write_assembly(tmp_path / "old", old), latency=NONE, seed=3) as rehearsal:
        rehearsal.name_release("old")
        yield rehearsal


@pytest.fixture
def new(old: Templates) -> Templates:
    """The templates to update to, for a test to change."""
    return copy.deepcopy(old)


def assembly(tmp_path: Path, new: Templates) -> Assembly:
    return Assembly(write_assembly(tmp_path / "new", new))


def test_old_and_new_answer_by_weight_and_then_only_the_new_one(
    tmp_path: Path, running: Rehearsal, old: Templates, new: Templates
) -> None:
    """Between the two calls, new code also meets old settings, and the reverse."""
    changed = properties(new, "User", "Say")
    changed["Code"] = {"ZipFile": SAY.format(word="new")}
    changed["Environment"] = {"Variables": {"MARK": "!"}}
    properties(new, "User", "Flow")["DefinitionString"] = flow("new")
    mixing = Mixing(seconds=60, share=0.25)

    def said(times: int) -> Counter[str]:
        return Counter(running.invoke("User/Say", {}).payload for _ in range(times))

    def flowed(times: int) -> Counter[str]:
        start = running.client("stepfunctions").start_sync_execution
        machine = running.physical_id("User/Flow")
        return Counter(json.loads(start(stateMachineArn=machine)["output"]) for _ in range(times))

    assert said(3) == {"old.": 3}
    touched = running.update("User", assembly(tmp_path, new), release="new", mixing=mixing)
    assert {each.path for each in touched} == {"User/Say", "User/Flow"}
    drawn, executions = said(200), flowed(200)
    assert drawn.keys() == {"old.", "new!", "new.", "old!"}
    assert 2 < drawn["old."] / drawn["new!"] < 5
    assert 2 < executions["old"] / executions["new"] < 5
    records = running.meter.of("invocation", target="User/Say")
    assert {each.detail["release"] for each in records} == {
        *("old", "new", "new code, old settings", "old code, new settings")
    }
    running.run_for(60)
    assert said(20) == {"new!": 20}
    assert flowed(5) == {"new": 5}
    running.update("User", Assembly(tmp_path / "old"), release="old")
    assert said(5) == {"old.": 5}
    assert flowed(5) == {"old": 5}


def test_an_update_creates_changes_and_deletes_resources(
    tmp_path: Path, running: Rehearsal, new: Templates
) -> None:
    properties(new, "Base", "Queue")["VisibilityTimeout"] = 90
    properties(new, "User", "Mapping")["BatchSize"] = 7
    del new["User"]["Resources"]["Extra"], new["User"]["Resources"]["ExtraPolicy"]
    new["User"]["Resources"]["Other"] = {"Type": "AWS::SQS::Queue", "Properties": {}}
    made = assembly(tmp_path, new)
    for stack in ("Base", "User"):
        running.update(stack, made)
    sqs, queue = running.client("sqs"), running.physical_id("Base/Queue")
    stated = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert stated["VisibilityTimeout"] == "90"
    (mapping,) = running.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert mapping["BatchSize"] == 7
    for number in range(9):
        sqs.send_message(QueueUrl=queue, MessageBody=str(number))
    running.run_until_idle()
    batches = running.meter.of("delivery", source="Base/Queue")
    assert sum(len(each.detail["messages"]) for each in batches) == 9
    assert max(len(each.detail["messages"]) for each in batches) <= 7
    assert {"Base/Queue", "User/Other"} == running.queue_depths().keys()


def test_a_deleted_resource_is_not_found_and_is_found_once_when_it_is_back(
    tmp_path: Path, running: Rehearsal, old: Templates, new: Templates
) -> None:
    del new["User"]["Resources"]["Extra"], new["User"]["Resources"]["ExtraPolicy"]
    running.update("User", assembly(tmp_path, new))
    with pytest.raises(RehearsalError, match="no resource  at User/Extra"):
        running.resource("User/Extra")

    running.update("User", Assembly(write_assembly(tmp_path / "again", old)))
    assert running.resource("User/Extra").type == "AWS::SQS::Queue"


@pytest.mark.parametrize("name", [None, "named"])
def test_a_retained_resource_keeps_its_name_from_the_next_one(
    tmp_path: Path, running: Rehearsal, old: Templates, new: Templates, name: str | None
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html"""
    new["User"]["Resources"]["Log"] = {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": name} if name else {},
        "DeletionPolicy": "RetainExceptOnCreate",
        "Metadata": {"aws:cdk:path": "User/Log/Resource"},
    }
    with_log, without = assembly(tmp_path, new), Assembly(write_assembly(tmp_path / "again", old))
    running.update("User", with_log)
    first = running.physical_id("User/Log")
    running.update("User", without)
    groups = running.client("logs").describe_log_groups
    assert [each["logGroupName"] for each in groups()["logGroups"]] == [first]
    if name:
        with pytest.raises(UnsupportedTemplateError, match="log group already exists"):
            running.update("User", with_log)
        return
    running.update("User", with_log)
    found = {each["logGroupName"] for each in groups()["logGroups"]}
    assert found == {first, running.physical_id("User/Log")}
    assert len(found) == 2


def exported_no_more(new: Templates) -> str:
    del new["Base"]["Outputs"]
    return "Base"


def imported_in_vain(new: Templates) -> str:
    properties(new, "User", "Mapping")["EventSourceArn"] = {"Fn::ImportValue": "another"}
    return "User"


def another_value(new: Templates) -> str:
    new["Base"]["Outputs"]["Queue"]["Value"] = "another"
    return "Base"


def another_type(new: Templates) -> str:
    new["User"]["Resources"]["Extra"]["Type"] = "AWS::SNS::Topic"
    return "User"


def another_name(new: Templates) -> str:
    properties(new, "User", "Extra")["QueueName"] = "named"
    return "User"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (exported_no_more, "Base cannot remove its export the-queue, because User imports it"),
        (imported_in_vain, "User imports another, which no deployed stack exports"),
        (another_value, "Base cannot change its export the-queue, because User imports it"),
        (another_type, r"Extra .*its type cannot become AWS::SNS::Topic"),
        (another_name, r"cannot update QueueName of User/Extra: write an updater"),
    ],
)
def test_what_cannot_be_updated_is_refused_by_name(
    tmp_path: Path, running: Rehearsal, new: Templates, change: Any, message: str
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html"""
    stack = change(new)
    with pytest.raises((UpdateRefused, UnsupportedTemplateError), match=message):
        running.update(stack, assembly(tmp_path, new))


# -- orders -------------------------------------------------------------------------------


def test_orders_keep_dependencies_and_cover_each_free_pair() -> None:
    needed = {"a": set[str](), "b": {"a"}, "c": {"a"}, "d": {"a", "b"}, "e": set[str]()}
    orders = [*all_orders(needed)]
    assert len(orders) == len(set(orders)) == count_orders(needed) == 15
    covering = covering_orders(needed)
    assert set(covering) <= set(orders)
    assert len(covering) < 5
    assert free_pairs(needed) <= set().union(*map(pairs_of, covering))
    assert {drawn_order(needed, Random(seed)) for seed in range(200)} == set(orders)
