"""AWS::CodeDeploy: deployment groups that shift the traffic of Lambda aliases."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.errors import UnsupportedTemplateError
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.alarms import NOT_REHEARSED
from cdk_rehearsal.shifting import Increments, Shift, ShiftStopped, shift

_LAMBDA = "CodeDeployDefault.Lambda"
_PREDEFINED = {
    f"{_LAMBDA}AllAtOnce": Increments(),
    **{f"{_LAMBDA}Canary10Percent{n}Minutes": Increments(10, n) for n in (5, 10, 15, 30)},
    **{
        f"{_LAMBDA}Linear10PercentEvery{n}Minute{'s' if n > 1 else ''}": Increments(
            10, n, is_canary=False
        )
        for n in (1, 2, 3, 10)
    },
}
"""https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html"""

_KINDS = {"TimeBasedCanary": ("Canary", True), "TimeBasedLinear": ("Linear", False)}

CONFIG, GROUP = "AWS::CodeDeploy::DeploymentConfig", "AWS::CodeDeploy::DeploymentGroup"


@creates(CONFIG)
def create_deployment_config(_: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a deployment configuration. That of servers or of containers has no effect.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-codedeploy-deploymentconfig.html
    """
    properties.ignore("MinimumHealthyHosts", "ZonalConfig")
    resource.physical_id = properties.take("DeploymentConfigName") or resource.generated_name(100)
    if properties.take("ComputePlatform") == "Lambda":
        _increments(properties.section("TrafficRoutingConfig"))
    else:
        properties.ignore("TrafficRoutingConfig")


@creates(GROUP)
def create_deployment_group(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a deployment group. What only servers and containers have is without effect.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-codedeploy-deploymentgroup.html
    """
    properties.ignore(
        *("AutoScalingGroups", "BlueGreenDeploymentConfiguration", "Deployment", "ECSServices"),
        *("DeploymentStyle", "Ec2TagFilters", "Ec2TagSet", "LoadBalancerInfo"),
        *("OnPremisesInstanceTagFilters", "OnPremisesTagSet", "OutdatedInstancesStrategy"),
        *("AutoRollbackConfiguration", "Tags", "TerminationHookEnabled", "TriggerConfigurations"),
    )
    properties.require("ApplicationName")
    _alarms(properties)
    role, config = properties.require("ServiceRoleArn"), properties.take("DeploymentConfigName")
    if config is not None and config.startswith(_LAMBDA) and config not in _PREDEFINED:
        raise properties.error(
            f"CodeDeploy has no configuration {config}: name one of {', '.join(_PREDEFINED)}"
        )

    def check() -> None:
        if not deployment.core.access.is_assumable(role, service="codedeploy.amazonaws.com"):
            raise properties.error(
                f"CodeDeploy cannot assume the role {role}: its trust policy has to name "
                "codedeploy.amazonaws.com"
            )

    deployment.checks.append((resource, check))
    resource.physical_id = properties.take("DeploymentGroupName") or resource.generated_name(100)


def alias_shift(
    deployment: Deployment, resource: Resource, properties: Properties, former: str, latest: str
) -> Shift:
    """Returns a deployment that moves an alias of a function from one version to another.

    CodeDeploy reads alarms and moves the alias with the role of the group. It stops if an alarm is
    in the state ALARM, or if it cannot read the states and the group does not ignore that.
    https://docs.aws.amazon.com/codedeploy/latest/userguide/monitoring-create-alarms.html
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
    """
    policy = resource.update_policy["CodeDeployLambdaAliasUpdate"]
    if hooks := sorted(policy.keys() - {"ApplicationName", "DeploymentGroupName"}):
        raise properties.error(
            f"the rehearsal calls no function before or after a shift: remove {', '.join(hooks)}"
        )
    stated = _resource(deployment, GROUP, policy["DeploymentGroupName"])
    if stated is None:
        raise properties.error(f"there is no deployment group {policy['DeploymentGroupName']}")
    group = Properties(stated.properties, stated.where)
    role = group.require("ServiceRoleArn")
    principal = deployment.core.access.session(role, "codedeploy")
    clients = {each: deployment.core.client(each, principal) for each in ("cloudwatch", "lambda")}
    alias = {"FunctionName": properties.require("FunctionName"), "Name": properties.require("Name")}

    def move(share: float) -> None:
        version, weights = (latest, {}) if share == 1 else (former, {latest: share})
        try:
            clients["lambda"].get_alias(**alias)
            clients["lambda"].update_alias(
                **alias,
                FunctionVersion=version,
                RoutingConfig={"AdditionalVersionWeights": weights},
            )
        except ClientError as error:
            raise ShiftStopped(f"{stated.path} cannot move the alias: {error}") from None

    names, ignores = _alarms(group)

    def firing() -> Sequence[str]:
        try:
            return alarms_firing(clients["cloudwatch"], names)
        except ClientError as error:
            if ignores:
                return ()
            raise ShiftStopped(f"{stated.path} cannot read its alarms: {error}") from None

    return shift(_config(deployment, group), move, firing)


def alarms_firing(client: Any, names: Sequence[str]) -> Sequence[str]:
    """Returns those of the named alarms that are in the state ALARM.

    CloudWatch takes an alarm that does not exist for one that is not. Raises
    UnsupportedTemplateError for an alarm that the rehearsal cannot evaluate.
    """
    if not names:
        return ()
    answer = client.describe_alarms(
        AlarmNames=[*names], AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100
    )
    alarms = [*answer["MetricAlarms"], *answer["CompositeAlarms"]]
    for alarm in alarms:
        if str(alarm.get("StateReason", "")).startswith(NOT_REHEARSED):
            raise UnsupportedTemplateError(
                f"the alarm {alarm['AlarmName']} watches a deployment. {alarm['StateReason']}: "
                "leave it out of the deployment's alarms"
            )
    return [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]


def _alarms(group: Properties) -> tuple[list[str], bool]:
    """Returns the names of a group's alarms, and whether unknown states are ignored.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-codedeploy-deploymentgroup-alarmconfiguration.html
    """
    section = group.section("AlarmConfiguration")
    names = [each.require("Name") for each in section.sections("Alarms")]
    enabled, ignores = (
        section.boolean("Enabled", bool(names)),
        section.boolean("IgnorePollAlarmFailure", False),
    )
    return (names if enabled else []), ignores


def _config(deployment: Deployment, group: Properties) -> Increments:
    name = group.require("DeploymentConfigName")
    if found := _PREDEFINED.get(name):
        return found
    stated = _resource(deployment, CONFIG, name)
    if stated is None or "TrafficRoutingConfig" not in stated.properties:
        raise group.error(f"there is no configuration {name} for functions")
    return _increments(Properties(stated.properties, stated.where).section("TrafficRoutingConfig"))


def _increments(routing: Properties) -> Increments:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-codedeploy-deploymentconfig-trafficroutingconfig.html."""
    kind = routing.require("Type")
    if kind == "AllAtOnce":
        return Increments()
    if kind not in _KINDS:
        raise routing.error(f"Type {kind} is none of AllAtOnce, {', '.join(_KINDS)}")
    name, is_canary = _KINDS[kind]
    times = routing.section(kind)
    interval, percentage = (
        int(times.require(f"{name}{each}")) for each in ("Interval", "Percentage")
    )
    return Increments(percentage, interval, is_canary=is_canary)


def _resource(deployment: Deployment, kind: str, name: str) -> Resource | None:
    found = (each for each in deployment.resources if each.type == kind)
    return next((each for each in found if each.physical_id == name), None)
