"""Releases: all callers use an alias, and its traffic shifts gradually and back on alarms."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from cdk_rehearsal import Assembly, Resource
from lambdas.inventory import get_price, list_proposals
from stacks.constructs.buses import KINDS
from stacks.constructs.packaging import Target, prepare
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.vault import Vault
from stacks.constructs.workflow import Invoke, Kind, Workflow
from stacks.environment import PROD, Shift

ALIAS, FUNCTION = "AWS::Lambda::Alias", "AWS::Lambda::Function"
MACHINE_ALIAS = "AWS::StepFunctions::StateMachineAlias"
CALLERS = {
    "AWS::ApiGatewayV2::Integration": "IntegrationUri",
    "AWS::Lambda::EventSourceMapping": "FunctionName",
    "AWS::Lambda::Permission": "FunctionName",
}
"""The types that name a function which they, or what they permit, invoke."""


@pytest.fixture
def prod(templates: Mapping[str, Assembly]) -> Assembly:
    return templates["prod"]


def named(shop: Assembly, resource: Resource, value: Any) -> Resource | None:
    """The resource that a plain reference is to, be it an alias."""
    return shop.identified(resource.stack, value["Ref"])


def stated(shop: Assembly, resource: Resource) -> dict[str, Any]:
    """A resource as its template states it."""
    found: dict[str, Any] = shop.templates[resource.stack]["Resources"][resource.logical_id]
    return found


def groups(shop: Assembly) -> Iterator[tuple[Resource, Resource, Resource]]:
    """Each alias with its function and the deployment group that moves it."""
    for alias in shop.of_type(ALIAS):
        update = stated(shop, alias)["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        group = shop.referred(alias.stack, update["DeploymentGroupName"])
        application = shop.referred(group.stack, group.properties["ApplicationName"])
        assert shop.referred(alias.stack, update["ApplicationName"]) == application
        assert application.properties == {"ComputePlatform": "Lambda"}
        yield alias, shop.referred(alias.stack, alias.properties["FunctionName"]), group


def test_every_caller_invokes_the_alias(prod: Assembly) -> None:
    for type_, name in CALLERS.items():
        for caller in prod.of_type(type_):
            found = named(prod, caller, caller.properties[name])
            assert found is not None, caller
            assert found.type == ALIAS, caller
    for machine in prod.of_type("AWS::StepFunctions::StateMachine"):
        parts = machine.properties["DefinitionString"]["Fn::Join"][1]
        invoked = [
            following
            for part, following in pairwise(parts)
            if (target := prod.find(machine.stack, part)) and target.type == FUNCTION
        ]
        assert invoked
        assert all(each.startswith(':live"') for each in invoked), machine


def test_no_one_may_invoke_a_function_without_its_alias(prod: Assembly) -> None:
    found = 0
    for policy in prod.of_type("AWS::IAM::Policy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            if statement["Action"] == "lambda:InvokeFunction":
                resources = statement["Resource"]
                for each in resources if isinstance(resources, list) else [resources]:
                    assert each["Fn::Join"][1][-1] == ":live", policy
                    found += 1
    assert found > 10


def test_each_alias_moves_gradually_and_back_on_alarms(prod: Assembly) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html."""
    released = list(groups(prod))
    assert {function for _, function, _ in released} == {*prod.of_type(FUNCTION)}
    for alias, function, group in released:
        assert alias.properties["Name"] == "live"
        version = prod.identified(alias.stack, alias.properties["FunctionVersion"]["Fn::GetAtt"][0])
        assert version is not None
        assert prod.referred(version.stack, version.properties["FunctionName"]) == function
        properties = group.properties
        config = properties["DeploymentConfigName"]
        assert config == "CodeDeployDefault.LambdaCanary10Percent10Minutes"
        style = {"DeploymentOption": "WITH_TRAFFIC_CONTROL", "DeploymentType": "BLUE_GREEN"}
        assert properties["DeploymentStyle"] == style
        rollback = properties["AutoRollbackConfiguration"]
        assert rollback["Enabled"] is True
        assert {*rollback["Events"]} == {
            *("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST")
        }
        assert properties["AlarmConfiguration"]["Enabled"] is True
        alarms = {
            prod.referred(group.stack, alarm["Name"]).path
            for alarm in properties["AlarmConfiguration"]["Alarms"]
        }
        consumes = function.path.endswith("/Function") and function.stack != "Analytics"
        failing = {f"{function.stack}/ConsumersFail"} if consumes else set()
        assert alarms == {f"{function.path}/Errors", *failing}


def test_a_role_of_deployments_may_move_the_aliases_of_its_stack(prod: Assembly) -> None:
    for _, function, group in groups(prod):
        role = prod.referred(group.stack, group.properties["ServiceRoleArn"])
        allowed = {
            (action, resource.path if (resource := prod.find(policy.stack, each)) else each)
            for policy in prod.of_type("AWS::IAM::Policy")
            if role in [prod.referred(policy.stack, each) for each in policy.properties["Roles"]]
            for statement in policy.properties["PolicyDocument"]["Statement"]
            for action in listed(statement["Action"])
            for each in listed(statement["Resource"])
        }
        for action in ("GetAlias", "UpdateAlias", "GetProvisionedConcurrencyConfig"):
            assert (f"lambda:{action}", function.path) in allowed
        assert ("cloudwatch:DescribeAlarms", "*") in allowed
        assert {path.partition("/")[0] for _, path in allowed} == {group.stack, "*"}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_each_workflow_is_started_by_an_alias_that_shifts_gradually(prod: Assembly) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-stepfunctions-statemachinealias-deploymentpreference.html."""
    machines = prod.of_type("AWS::StepFunctions::StateMachine")
    shifted = []
    for alias in prod.of_type(MACHINE_ALIAS):
        preference = dict(alias.properties["DeploymentPreference"])
        version = prod.identified(
            alias.stack, preference.pop("StateMachineVersionArn")["Fn::GetAtt"][0]
        )
        assert version is not None
        machine = prod.referred(version.stack, version.properties["StateMachineArn"])
        shifted.append(machine)
        assert version.properties["StateMachineRevisionId"] == {
            "Fn::GetAtt": [machine.logical_id, "StateMachineRevisionId"]
        }
        # Its executions take weeks: an older version stays, until the state machine is deleted.
        policies = stated(prod, version)
        assert (policies["UpdateReplacePolicy"], policies["DeletionPolicy"]) == ("Retain", "Delete")
        alarms = {prod.referred(alias.stack, each).path for each in preference.pop("Alarms")}
        expected = ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionThrottled")
        assert alarms >= {f"{machine.path}/{name}" for name in expected}
        assert preference == {"Type": "CANARY", "Percentage": 10, "Interval": 10}
        (starter,) = [
            function
            for function in prod.of_type(FUNCTION)
            if (arn := function.properties["Environment"]["Variables"].get("STATE_MACHINE_ARN"))
            and prod.referred(function.stack, arn) == machine
        ]
        arn = starter.properties["Environment"]["Variables"]["STATE_MACHINE_ARN"]
        assert arn == {"Fn::GetAtt": [alias.logical_id, "Arn"]}
    assert sorted(map(str, shifted)) == sorted(map(str, machines))


def test_a_stage_that_replaces_in_place_has_no_versions(templates: Mapping[str, Assembly]) -> None:
    types = {resource.type for resource in templates["dev"].resources}
    assert FUNCTION in types
    assert types.isdisjoint({ALIAS, MACHINE_ALIAS, "AWS::Lambda::Version"})
    assert not [each for each in types if each.startswith("AWS::CodeDeploy::")]


# -- small stages -------------------------------------------------------------------------


def stage(shift: Shift, **variables: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The templates of a context with two functions, of which one reads a stream, and a workflow.

    `variables` are more environment variables of the first function.
    """
    prepare(Target.HOST)
    environment = replace(PROD, shift=shift)
    app = App()
    backbone, context, other = (Stack(app, name) for name in ("Backbone", "Inventory", "Checkout"))
    platform = Platform(
        environment=environment,
        bus=KINDS["custom"](backbone, "Bus", environment=environment, prefix="orderflow."),
        vault=Vault(backbone, "Vault", environment=environment),
        alarm_topic=sns.Topic(backbone, "Alarms"),
        target=Target.HOST,
    )
    table = dynamodb.Table(
        context,
        "Table",
        partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
        stream=dynamodb.StreamViewType.NEW_IMAGE,
    )
    first, second = (
        PythonFunction(context, name, platform=platform, handler=handler, environment=given)
        for name, handler, given in (
            ("First", undeclared(get_price.handler), variables),
            ("Second", undeclared(list_proposals.handler), {}),
        )
    )
    start = lambda_.StartingPosition.TRIM_HORIZON
    first.listen(sources.DynamoEventSource(table, starting_position=start))
    Workflow(
        other,
        "Workflow",
        platform=platform,
        kind=Kind.EXPRESS,
        start=Invoke(other, "Step", second),
        timeout=Duration.minutes(1),
    )
    return Template.from_stack(context).to_json(), Template.from_stack(other).to_json()


def undeclared(handler: Any) -> Any:
    """A function in the module of a handler, without what the handler declares."""

    def function(event: Any, context: Any) -> None:
        """Does nothing."""

    function.__module__ = handler.__module__
    return function


def of_type(template: Mapping[str, Any], type_: str) -> dict[str, Any]:
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == type_
    }


def test_only_a_changed_function_has_a_new_version() -> None:
    before, after = (stage("gradual", **given)[0] for given in ({}, {"MORE": "1"}))
    old, new = (set(of_type(each, "AWS::Lambda::Version")) for each in (before, after))
    (gone,), (made,) = old - new, new - old
    assert gone.startswith("FirstCurrentVersion")
    assert made.startswith("FirstCurrentVersion")
    (kept,) = old & new
    assert kept.startswith("SecondCurrentVersion")


def test_a_stage_that_begins_to_shift_keeps_its_mappings_and_exports() -> None:
    """A new mapping would read the stream from its start, and an export in use cannot be removed.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
    """
    (in_place, caller), (gradual, shifting) = stage("in-place"), stage("gradual")
    mapping = "AWS::Lambda::EventSourceMapping"
    (before,), (after,) = of_type(in_place, mapping).items(), of_type(gradual, mapping).items()
    assert before[0] == after[0]
    differing = {
        name
        for name, value in before[1]["Properties"].items()
        if value != after[1]["Properties"][name]
    }
    assert differing == {"FunctionName"}
    assert in_place["Outputs"] == gradual["Outputs"]
    assert imports(caller) == imports(shifting) != set()


def imports(value: Any) -> set[str]:
    """The exports that a template imports."""
    if isinstance(value, dict):
        found = {str(value["Fn::ImportValue"])} if "Fn::ImportValue" in value else set()
        return found.union(*map(imports, value.values()))
    return set().union(*map(imports, value)) if isinstance(value, list) else set()


def test_in_an_emergency_the_traffic_shifts_at_once_and_no_alarm_counts() -> None:
    """An alarm that fires already would stop the deployment of its correction."""
    context, other = stage("at-once")
    found = of_type(context, "AWS::CodeDeploy::DeploymentGroup")
    assert len(found) == 2
    for group in found.values():
        properties = group["Properties"]
        assert properties["DeploymentConfigName"] == "CodeDeployDefault.LambdaAllAtOnce"
        assert "DEPLOYMENT_STOP_ON_ALARM" not in properties["AutoRollbackConfiguration"]["Events"]
        assert not properties.get("AlarmConfiguration", {}).get("Alarms")
    (alias,) = of_type(other, MACHINE_ALIAS).values()
    preference = alias["Properties"]["DeploymentPreference"]
    assert preference.keys() == {"StateMachineVersionArn", "Type"}
    assert preference["Type"] == "ALL_AT_ONCE"
