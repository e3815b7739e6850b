"""Versions and aliases of state machines: which one an execution runs, and who may start it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, check
from cdk_rehearsal.latency import NONE
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse

DEFINITION = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}


def machine(template: Cloud, kind: str = "STANDARD") -> None:
    """Adds a state machine with two versions."""
    template.role("Role")
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        StateMachineType=kind,
        Definition=DEFINITION,
        RoleArn=arn("Role"),
    )
    for name, after in (("One", "Machine"), ("Two", "One")):
        template.add(
            name,
            "AWS::StepFunctions::StateMachineVersion",
            StateMachineArn=ref("Machine"),
            StateMachineRevisionId=arn("Machine", "StateMachineRevisionId"),
        )
        template.resources[name]["DependsOn"] = [after]


def alias(template: Cloud, name: str = "live", **properties: Any) -> None:
    """Adds an alias, by default one whose deployments are canaries."""
    properties = properties or {"DeploymentPreference": preference()}
    template.add("Live", "AWS::StepFunctions::StateMachineAlias", Name=name, **properties)


def preference(**changed: Any) -> dict[str, Any]:
    """A deployment preference, without the properties that are None."""
    stated = {
        "StateMachineVersionArn": ref("Two"),
        "Type": "CANARY",
        "Percentage": 10,
        "Interval": 10,
        **changed,
    }
    return {key: value for key, value in stated.items() if value is not None}


def routes(weight: int) -> list[dict[str, Any]]:
    """A routing configuration: the second version has `weight` percent."""
    return [
        {"StateMachineVersionArn": ref(name), "Weight": share}
        for name, share in (("One", 100 - weight), ("Two", weight))
    ]


@pytest.mark.parametrize(
    ("started", "version", "through"),
    [("Machine", None, None), ("One", "1", None), ("Live", "2", "live")],
)
def test_an_execution_belongs_to_the_version_and_alias_that_started_it(
    template: Cloud, aws: Deploy, started: str, version: str | None, through: str | None
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/execution-alias-version-associate.html"""
    machine(template)
    alias(template)
    shop = aws()
    client = shop.client("stepfunctions")
    unqualified = shop.physical_id("Shop/Machine")
    execution = client.start_execution(stateMachineArn=shop.physical_id(f"Shop/{started}"))
    shop.run_until_idle()
    found = client.describe_execution(executionArn=execution["executionArn"])
    assert found["status"] == "SUCCEEDED"
    assert found["stateMachineArn"] == unqualified
    expected = [version and f"{unqualified}:{version}", through and f"{unqualified}:{through}"]
    assert [found.get(f"stateMachine{each}Arn") for each in ("Version", "Alias")] == expected
    listed = client.list_executions(stateMachineArn=unqualified)["executions"]
    assert [each["executionArn"] for each in listed] == [execution["executionArn"]]


def test_an_alias_starts_an_express_execution_and_waits_for_it(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-state-machine-alias.html"""
    machine(template, "EXPRESS")
    alias(template)
    shop = aws()
    answer = shop.client("stepfunctions").start_sync_execution(
        stateMachineArn=shop.physical_id("Shop/Live"), input='{"a": 1}'
    )
    assert (answer["status"], json.loads(answer["output"])) == ("SUCCEEDED", {"a": 1})


def test_the_name_of_an_execution_is_taken_for_all_versions(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""
    machine(template)
    alias(template)
    shop = aws()
    client = shop.client("stepfunctions")
    client.start_execution(stateMachineArn=shop.physical_id("Shop/Machine"), name="one")
    shop.run_until_idle()
    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(stateMachineArn=shop.physical_id("Shop/Live"), name="one")


def test_the_weights_of_an_alias_decide_for_each_execution_and_the_seed_repeats_it(
    template: Cloud,
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-state-machine-alias.html"""
    machine(template)
    alias(template, RoutingConfiguration=routes(30))
    directory = template.write()
    runs = []
    for seed in (1, 1, 2):
        with Rehearsal(directory, latency=NONE, seed=seed) as shop:
            client = shop.client("stepfunctions")
            begun = [
                client.start_execution(stateMachineArn=shop.physical_id("Shop/Live"))
                for _ in range(100)
            ]
            shop.run_until_idle()
            described = [client.describe_execution(executionArn=e["executionArn"]) for e in begun]
            runs.append([each["stateMachineVersionArn"][-1] for each in described])
    assert 16 <= Counter(runs[0])["2"] <= 46
    assert runs[0] == runs[1] != runs[2]


START = """
import boto3

def handler(event, context):
    try:
        boto3.client("stepfunctions").start_execution(stateMachineArn=event)
    except Exception as error:
        return type(error).__name__
"""


@pytest.mark.parametrize(
    ("qualifier", "refused"),
    [(None, []), ("live", ["Machine", "One"]), ("1", ["Machine", "Live"])],
)
def test_a_permission_is_on_the_state_machine_and_may_be_limited_to_a_qualifier(
    template: Cloud, aws: Deploy, qualifier: str | None, refused: list[str]
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html"""
    machine(template)
    alias(template)
    limit = {"StringEquals": {"states:StateMachineQualifier": qualifier}}
    statement = {
        "Effect": "Allow",
        "Action": "states:StartExecution",
        "Resource": ref("Machine"),
        **({"Condition": limit} if qualifier else {}),
    }
    template.role("Starts", statement)
    template.function("Start", START, Role=arn("Starts"))
    shop = aws()

    def told(name: str) -> Any:
        answer = shop.client("lambda").invoke(
            FunctionName=shop.physical_id("Shop/Start"),
            Payload=json.dumps(shop.physical_id(f"Shop/{name}")),
        )
        return json.load(answer["Payload"])

    outcomes = {name: told(name) for name in ("Machine", "One", "Live")}
    assert [name for name, error in outcomes.items() if error] == refused


def test_an_event_starts_an_execution_by_an_alias(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html"""
    machine(template)
    alias(template)
    template.role(
        "Starts",
        {"Effect": "Allow", "Action": "states:StartExecution", "Resource": ref("Machine")},
    )
    template.bus("Bus")
    template.rule("Rule", {"source": ["a"]}, {"Arn": ref("Live"), "RoleArn": arn("Starts")})
    shop = rehearse()
    shop.client("events").put_events(
        Entries=[
            {
                "EventBusName": shop.physical_id("Shop/Bus"),
                "Source": "a",
                "DetailType": "b",
                "Detail": "{}",
            }
        ]
    )
    shop.run_until_idle()
    listed = shop.client("stepfunctions").list_executions(
        stateMachineArn=shop.physical_id("Shop/Machine")
    )
    assert [each["status"] for each in listed["executions"]] == ["SUCCEEDED"]


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"Description": "neither"}, "either a DeploymentPreference or a RoutingConfiguration"),
        ({"DeploymentPreference": preference(), "RoutingConfiguration": routes(10)}, "give either"),
        ({"RoutingConfiguration": routes(10)[1:]}, "add up to 100"),
        ({"DeploymentPreference": preference(Interval=None)}, "Interval is missing"),
        ({"DeploymentPreference": preference(Type="SLOW")}, "Type"),
        ({"DeploymentPreference": preference(Alarms=["arn:aws:a"])}, "give the alarm's name"),
        ({"name": "7", "RoutingConfiguration": routes(50)}, "is that of a version"),
    ],
)
def test_an_alias_that_step_functions_refuses_is_a_problem(
    template: Cloud, properties: dict[str, Any], problem: str
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-stepfunctions-statemachinealias-deploymentpreference.html"""
    machine(template)
    alias(template, **properties)
    (found,) = check(template.write())
    assert problem in found.problem


def test_a_version_of_another_revision_is_a_problem(template: Cloud) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachineversion.html"""
    machine(template)
    template.resources["Two"]["Properties"]["StateMachineRevisionId"] = "other"
    (found,) = check(template.write())
    assert "not StateMachineRevisionId other" in found.problem
