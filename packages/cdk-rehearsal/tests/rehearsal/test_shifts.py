"""Aliases shift to new versions in virtual time, and back if an alarm fires."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Rehearsal, RehearsalError, UpdateRolledBack, check
from cdk_rehearsal.latency import NONE
from rehearsal.cloud import Cloud, arn, ref, write_assembly

Template = dict[str, Any]

WORK = "def handler(event, context): return {word!r}"
FAIL = "def handler(event, context): raise ValueError(event)"
CANARY = "CodeDeployDefault.LambdaCanary10Percent5Minutes"


def alarm(template: Cloud, name: str, metric: str, **dimension: Any) -> None:
    """Adds an alarm on the first failure in a minute."""
    ((key, value),) = dimension.items()
    template.add(
        name,
        "AWS::CloudWatch::Alarm",
        Namespace="AWS/States" if key == "StateMachineArn" else "AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": key, "Value": value}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )


def shop(directory: Path) -> Template:
    """A function and a workflow, both with a version and an alias that shifts."""
    template = Cloud(directory)
    template.function("Say", WORK.format(word="old"))
    alarm(template, "Errors", "Errors", FunctionName=ref("Say"))
    template.add("Application", "AWS::CodeDeploy::Application", ComputePlatform="Lambda")
    template.role("Deploys")
    template.add(
        "Group",
        "AWS::CodeDeploy::DeploymentGroup",
        ApplicationName=ref("Application"),
        DeploymentConfigName=CANARY,
        ServiceRoleArn=arn("Deploys"),
        AlarmConfiguration={"Enabled": True, "Alarms": [{"Name": ref("Errors")}]},
    )
    template.add("VersionA", "AWS::Lambda::Version", FunctionName=ref("Say"))
    template.add(
        "Live",
        "AWS::Lambda::Alias",
        Name="live",
        FunctionName=ref("Say"),
        FunctionVersion=arn("VersionA", "Version"),
    )
    template.resources["Live"]["UpdatePolicy"] = {
        "CodeDeployLambdaAliasUpdate": {
            "ApplicationName": ref("Application"),
            "DeploymentGroupName": ref("Group"),
        }
    }
    machine(template)
    return template.template


def machine(template: Cloud) -> None:
    template.add(
        "Flow",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        StateMachineType="EXPRESS",
        DefinitionString=flow("old"),
    )
    alarm(template, "Failed", "ExecutionsFailed", StateMachineArn=ref("Flow"))
    template.add(
        "FlowVersion",
        "AWS::StepFunctions::StateMachineVersion",
        StateMachineArn=ref("Flow"),
        StateMachineRevisionId=arn("Flow", "StateMachineRevisionId"),
    )
    template.resources["FlowVersion"]["UpdateReplacePolicy"] = "Retain"
    template.add(
        "FlowLive",
        "AWS::StepFunctions::StateMachineAlias",
        Name="live",
        DeploymentPreference={
            "StateMachineVersionArn": arn("FlowVersion"),
            "Type": "LINEAR",
            "Percentage": 40,
            "Interval": 3,
            "Alarms": [ref("Failed")],
        },
    )


def flow(word: str) -> str:
    state = {"Type": "Pass", "Result": word, "End": True}
    if word == "fail":
        state = {"Type": "Fail", "Error": "Broken"}
    return json.dumps({"StartAt": "Say", "States": {"Say": state}})


@pytest.fixture
def old(tmp_path: Path) -> Template:
    """The template that runs."""
    return shop(tmp_path)


@pytest.fixture
def running(tmp_path: Path, old: Template) -> Iterator[Rehearsal]:
    """A rehearsal of the old template, at the beginning of a minute."""
    directory = write_assembly(tmp_path / "old", {"Shop": old})
    with Rehearsal(directory, latency=NONE, seed=3) as rehearsal:
        rehearsal.name_release("old")
        yield rehearsal


@pytest.fixture
def new(old: Template) -> Template:
    """The template to update to, for a test to change."""
    return copy.deepcopy(old)


def stated(template: Template, logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][logical_id]["Properties"]
    return found


def next_version(template: Template, code: str, name: str = "VersionB") -> None:
    """Changes the code, and with it the version's logical id, as the CDK library does."""
    resources = template["Resources"]
    stated(template, "Say")["Code"] = {"ZipFile": code}
    resources[name] = resources.pop("VersionA")
    stated(template, "Live")["FunctionVersion"] = arn(name, "Version")


def assembly(tmp_path: Path, new: Template, name: str = "new") -> Assembly:
    return Assembly(write_assembly(tmp_path / name, {"Shop": new}))


def said(running: Rehearsal, times: int = 200) -> Counter[str]:
    """What the alias of the function answers."""
    live = running.physical_id("Shop/Live")
    return Counter(str(running.invoke(live, "x").payload) for _ in range(times))


def flowed(running: Rehearsal, times: int = 100) -> Counter[str]:
    """What executions return that the alias of the workflow starts."""
    start, live = (
        running.client("stepfunctions").start_sync_execution,
        running.physical_id("Shop/FlowLive"),
    )
    answers = [start(stateMachineArn=live) for _ in range(times)]
    return Counter(json.loads(each.get("output", '"failed"')) for each in answers)


def versions(running: Rehearsal) -> list[str]:
    """The versions of the function that there are."""
    listed = running.client("lambda").list_versions_by_function(
        FunctionName=running.physical_id("Shop/Say")
    )["Versions"]
    return [each["Version"] for each in listed]


def test_a_canary_gets_its_share_for_its_minutes_and_then_all(
    tmp_path: Path, running: Rehearsal, new: Template
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html"""
    next_version(new, WORK.format(word="new"))
    update = running.start_update("Shop", assembly(tmp_path, new), release="new")
    running.run_for(1)
    counted = said(running)
    assert 8 <= counted["new"] <= 36
    assert counted["new"] + counted["old"] == 200
    running.run_for(5 * 60 - 3)
    assert said(running)["old"] > 150
    assert not update.done
    running.run_for(3)
    assert said(running, 20) == {"new": 20}
    assert {each.path for each in update.result()} == {"Shop/Say", "Shop/Live", "Shop/VersionA"}
    assert versions(running) == ["$LATEST", "2"]
    releases = {each.detail["release"] for each in running.meter.of("invocation")}
    assert releases == {"old", "new"}


def test_increments_are_equal_and_executions_keep_their_version(
    tmp_path: Path, running: Rehearsal, new: Template
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-stepfunctions-statemachinealias-deploymentpreference.html"""
    stated(new, "Flow")["DefinitionString"] = flow("new")
    update = running.start_update("Shop", assembly(tmp_path, new), release="new")
    shares = []
    for _ in range(3):
        running.run_for(60)
        shares.append(flowed(running)["new"])
        running.run_for(120)
    assert 25 <= shares[0] <= 55 < 65 <= shares[1] <= 93 < shares[2] == 100
    assert update.done
    executions = running.meter.of("execution", source="Shop/Flow")
    assert {each.detail.get("release") for each in executions} >= {"old", "new"}


@pytest.mark.parametrize("code", [FAIL, ""], ids=["function", "workflow"])
def test_an_alarm_moves_the_alias_back_and_the_stack_rolls_back(
    tmp_path: Path, running: Rehearsal, old: Template, new: Template, code: str
) -> None:
    """https://docs.aws.amazon.com/codedeploy/latest/userguide/monitoring-create-alarms.html"""
    if code:
        next_version(new, code)
    else:
        stated(new, "Flow")["DefinitionString"] = flow("fail")
    before = {each.physical_id for each in running.resources}
    new["Resources"]["Log"] = {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": "added"},
        "DeletionPolicy": "RetainExceptOnCreate",
    }
    update = running.start_update("Shop", assembly(tmp_path, new), release="new")
    running.run_for(1)
    counted = said(running, 60) + flowed(running, 60)
    assert 2 <= 120 - counted["old"] <= 40
    running.run_for(3 * 60)
    with pytest.raises(UpdateRolledBack, match=r"Shop is rolled back: in the state ALARM: Shop-"):
        update.result()
    assert said(running, 30) + flowed(running, 30) == {"old": 60}
    assert {each.physical_id for each in running.resources} == before
    assert versions(running) == ["$LATEST", "1"]
    # The correction gets a version with a number of its own, once the alarm is over.
    next_version(old, WORK.format(word="right"), "VersionC")
    stated(old, "Flow")["DefinitionString"] = flow("right")
    running.run_for(10 * 60)
    running.update("Shop", assembly(tmp_path, old, "corrected"), release="right")
    assert said(running, 10) + flowed(running, 10) == {"right": 20}
    assert versions(running) == ["$LATEST", "3" if code == FAIL else "2"]


def test_what_depends_on_an_alias_waits_and_other_resources_do_not(
    tmp_path: Path, running: Rehearsal, new: Template
) -> None:
    next_version(new, WORK.format(word="new"))
    stated(new, "Flow")["DefinitionString"] = flow("new")
    new["Resources"]["Flow"]["DependsOn"] = ["Live"]
    new["Resources"]["Free"] = {"Type": "AWS::SQS::Queue", "Properties": {}}
    begun = running.clock.now()
    update = running.start_update("Shop", assembly(tmp_path, new))
    running.run_for(4 * 60)
    assert "Shop/Free" in running.queue_depths()
    assert flowed(running, 50) == {"old": 50}
    with pytest.raises(RehearsalError, match="has to wait: another stack is being updated"):
        running.update("Shop", assembly(tmp_path, new))
    update.result()
    # The five minutes of the function, and then twice three of the workflow.
    assert running.clock.now() - begun == 11 * 60


def unable(new: Template) -> None:
    """CodeDeploy's role may not read alarms."""
    statement = {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}
    stated(new, "Deploys")["Policies"][0]["PolicyDocument"]["Statement"] = [statement]


def disabled(new: Template) -> None:
    stated(new, "Group")["AlarmConfiguration"]["Enabled"] = False


def at_once(new: Template) -> None:
    stated(new, "Group")["DeploymentConfigName"] = "CodeDeployDefault.LambdaAllAtOnce"
    del stated(new, "Group")["AlarmConfiguration"]


@pytest.mark.parametrize(("change", "minutes"), [(disabled, 5), (at_once, 0)])
def test_alarms_that_a_group_does_not_have_stop_nothing(
    tmp_path: Path, running: Rehearsal, new: Template, change: Any, minutes: int
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-codedeploy-deploymentgroup-alarmconfiguration.html"""
    running.client("cloudwatch").describe_alarms()
    next_version(new, FAIL)
    change(new)
    begun = running.clock.now()
    update = running.start_update("Shop", assembly(tmp_path, new))
    running.run_for(1)
    assert said(running, 60)["old"] < 60
    update.result()
    assert running.clock.now() - begun == max(minutes * 60, 1)
    assert "old" not in said(running, 10)


@pytest.mark.parametrize("ignores", [False, True])
def test_a_state_that_cannot_be_read_stops_a_shift_unless_the_group_ignores_it(
    tmp_path: Path, old: Template, ignores: bool
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-codedeploy-deploymentgroup-alarmconfiguration.html"""
    unable(old)
    stated(old, "Group")["AlarmConfiguration"]["IgnorePollAlarmFailure"] = ignores
    directory = write_assembly(tmp_path / "old", {"Shop": old})
    new = copy.deepcopy(old)
    next_version(new, WORK.format(word="new"))
    with Rehearsal(directory, latency=NONE) as running:
        if ignores:
            running.update("Shop", assembly(tmp_path, new))
        else:
            with pytest.raises(UpdateRolledBack, match="Shop/Group cannot read its alarms"):
                running.update("Shop", assembly(tmp_path, new))
        assert said(running, 5) == {"new" if ignores else "old": 5}


def test_a_configuration_that_codedeploy_does_not_have_is_a_problem(
    tmp_path: Path, old: Template
) -> None:
    """https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html"""
    stated(old, "Group")["DeploymentConfigName"] = "CodeDeployDefault.LambdaCanary20Percent5Minutes"
    (found,) = check(write_assembly(tmp_path / "old", {"Shop": old}))
    assert "CodeDeploy has no configuration CodeDeployDefault.LambdaCanary20" in found.problem


def test_a_template_may_have_a_configuration_of_its_own(tmp_path: Path, old: Template) -> None:
    """https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html"""
    old["Resources"]["Config"] = {
        "Type": "AWS::CodeDeploy::DeploymentConfig",
        "Properties": {
            "ComputePlatform": "Lambda",
            "TrafficRoutingConfig": {
                "Type": "TimeBasedLinear",
                "TimeBasedLinear": {"LinearInterval": 2, "LinearPercentage": 30},
            },
        },
    }
    stated(old, "Group")["DeploymentConfigName"] = ref("Config")
    directory = write_assembly(tmp_path / "old", {"Shop": old})
    new = copy.deepcopy(old)
    next_version(new, WORK.format(word="new"))
    with Rehearsal(directory, latency=NONE) as running:
        begun = running.clock.now()
        running.update("Shop", assembly(tmp_path, new))
        # 30 percent, 60, 90, and the rest.
        assert running.clock.now() - begun == 3 * 2 * 60
        assert said(running, 5) == {"new": 5}
