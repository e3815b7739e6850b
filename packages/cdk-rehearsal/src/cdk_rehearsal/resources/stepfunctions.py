"""AWS::StepFunctions: state machines, their versions and aliases."""

import json
import re
import uuid
from functools import partial
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.codedeploy import alarms_firing
from cdk_rehearsal.resources.registry import Release, Resource, creates, deletes, updates
from cdk_rehearsal.services.log_groups import WorkflowLog, log_group_of
from cdk_rehearsal.shifting import Increments, Shift, shift

_LOGGING = (
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery"),
    *("logs:DeleteLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy"),
    *("logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
)
"""https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""
_TRACING = (
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    *("xray:GetSamplingRules", "xray:GetSamplingTargets"),
)
"""https://docs.aws.amazon.com/step-functions/latest/dg/concepts-xray-tracing.html"""


@creates("AWS::StepFunctions::StateMachine")
def create_state_machine(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a state machine.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html
    """
    properties.ignore("EncryptionConfiguration", "Tags")
    logging = properties.take("LoggingConfiguration", {})
    logs = bool(logging.get("Destinations")) and logging.get("Level", "OFF") != "OFF"
    traces = properties.section("TracingConfiguration").boolean("Enabled", False)
    role = properties.require("RoleArn")
    definition = definition_of(properties)
    name = properties.take("StateMachineName") or resource.generated_name(80)
    arn = deployment.client("stepfunctions").create_state_machine(
        name=name,
        definition=definition,
        roleArn=role,
        type=properties.take("StateMachineType", "STANDARD"),
    )["stateMachineArn"]
    for destination in logging.get("Destinations", []):
        deployment.log_groups.workflows[arn] = WorkflowLog(
            log_group_of(destination["CloudWatchLogsLogGroup"]["LogGroupArn"]),
            logging.get("Level", "OFF"),
            with_data=bool(logging.get("IncludeExecutionData", False)),
        )
    access = deployment.core.access
    session = access.session(role, "states")

    def check() -> None:
        if not access.is_assumable(role, service="states.amazonaws.com", source_arn=arn):
            raise properties.error(
                f"Neither the global service principal states.amazonaws.com, nor the regional one "
                f"is authorized to assume the provided role {role}"
            )
        refused = [a for a in _LOGGING if logs and not access.allows(session, a, "*")]
        if refused:
            raise properties.error(
                "The state machine IAM Role is not authorized to access the Log Destination: it "
                f"needs {', '.join(refused)}"
            )
        for action in _TRACING if traces else ():
            access.allows(session, action, "*")

    deployment.checks.append((resource, check))
    resource.physical_id = arn
    revision = revision_of(arn, role, definition)
    resource.attributes = {"Arn": arn, "Name": name, "StateMachineRevisionId": revision}


def revision_of(arn: str, role: str, definition: str) -> str:
    """Returns the revision of a state machine: a UUID as on AWS, another one for each change."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn} {role} {definition}"))


@creates("AWS::StepFunctions::StateMachineVersion")
def create_version(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Publishes the current revision of a state machine.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachineversion.html
    """
    arn, revision = properties.require("StateMachineArn"), properties.take("StateMachineRevisionId")
    machine = next((each for each in deployment.resources if each.physical_id == arn), None)
    if machine is None:
        raise properties.error(f"there is no state machine {arn}")
    current = machine.attributes["StateMachineRevisionId"]
    if revision not in (None, current):
        raise properties.error(
            f"the state machine has revision {current}, not StateMachineRevisionId {revision}: "
            "refer to the attribute of the state machine"
        )
    # moto 5.2.5 lacks PublishStateMachineVersion, and an update without a change.
    client = deployment.client("stepfunctions")
    resource.physical_id = client.update_state_machine(
        stateMachineArn=arn,
        roleArn=client.describe_state_machine(stateMachineArn=arn)["roleArn"],
        publish=True,
        **_described(properties, "versionDescription"),
    )["stateMachineVersionArn"]
    resource.attributes = {"Arn": resource.physical_id}


@deletes("AWS::StepFunctions::StateMachineVersion")
def delete_version(deployment: Deployment, resource: Resource) -> None:
    """Deletes a version. Its executions go on."""
    deployment.state_machines.remove_version(resource.physical_id)


@creates("AWS::StepFunctions::StateMachineAlias")
def create_alias(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an alias, which starts executions of one version, or of two by weight.

    A deployment preference takes effect when a stack is updated; a new alias has all of the
    traffic at once.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachinealias.html
    """
    name = properties.require("Name")
    if str(name).isdecimal():
        raise properties.error(f"the name {name} is that of a version: use a letter, too")
    properties.ignore("StateMachineArn")
    resource.physical_id = deployment.client("stepfunctions").create_state_machine_alias(
        name=name,
        routingConfiguration=_routing(properties),
        **_described(properties, "description"),
    )["stateMachineAliasArn"]
    resource.attributes = {"Arn": resource.physical_id}


@updates("AWS::StepFunctions::StateMachineAlias", except_for=("Name", "StateMachineArn"))
def update_alias(
    deployment: Deployment, resource: Resource, properties: Properties, release: Release
) -> Shift | None:
    """Moves an alias: as its deployment preference says, or at once by a routing configuration.

    A rollback moves it at once: how long the one of CloudFormation takes is not documented.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-stepfunctions-statemachinealias-deploymentpreference.html
    """
    properties.ignore("Name", "StateMachineArn")
    client, arn = deployment.client("stepfunctions"), resource.physical_id
    preference = resource.properties.get("DeploymentPreference")
    routing, former = _routing(properties), _present(client, arn)
    (latest, *_) = routing
    if preference is None or release.is_rollback or latest == former:
        client.update_state_machine_alias(
            stateMachineAliasArn=arn,
            routingConfiguration=routing,
            **_described(properties, "description"),
        )
        return None
    increments = Increments()
    if (kind := preference["Type"]) != "ALL_AT_ONCE":
        share, minutes = int(preference["Percentage"]), int(preference["Interval"])
        increments = Increments(share, minutes, is_canary=kind == "CANARY")

    def move(share: float) -> None:
        new = round(100 * share)
        weights = ((former, 100 - new), (latest, new))
        client.update_state_machine_alias(
            stateMachineAliasArn=arn,
            routingConfiguration=[{**each, "weight": weight} for each, weight in weights if weight],
        )

    names = preference.get("Alarms", [])
    return shift(increments, move, partial(alarms_firing, deployment.client("cloudwatch"), names))


def _present(client: Any, arn: str) -> dict[str, Any]:
    """Returns the version of an alias."""
    described = client.describe_state_machine_alias(stateMachineAliasArn=arn)
    route: dict[str, Any] = described["routingConfiguration"][0]
    return route


@deletes("AWS::StepFunctions::StateMachineAlias")
def delete_alias(deployment: Deployment, resource: Resource) -> None:
    """Deletes an alias."""
    deployment.client("stepfunctions").delete_state_machine_alias(
        stateMachineAliasArn=resource.physical_id
    )


def _routing(properties: Properties) -> list[dict[str, Any]]:
    """Returns the versions of an alias, each with its weight once nothing shifts."""
    preference = properties.section("DeploymentPreference")
    routes = properties.sections("RoutingConfiguration")
    if bool(preference.values) == bool(routes):
        raise properties.error("give either a DeploymentPreference or a RoutingConfiguration")
    if routes:
        routing = [
            {
                "stateMachineVersionArn": each.require("StateMachineVersionArn"),
                "weight": int(each.require("Weight")),
            }
            for each in routes
        ]
    else:
        routing = [{"stateMachineVersionArn": _preferred(preference), "weight": 100}]
    if sum(each["weight"] for each in routing) != 100:
        raise properties.error("the weights of a RoutingConfiguration add up to 100")
    return routing


def _preferred(preference: Properties) -> str:
    """Returns the version of a deployment preference.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-stepfunctions-statemachinealias-deploymentpreference.html
    """
    preference.only("Type", "ALL_AT_ONCE", "CANARY", "LINEAR")
    if preference.require("Type") != "ALL_AT_ONCE":
        preference.require("Interval")
        preference.require("Percentage")
    for alarm in preference.take("Alarms", []):
        if str(alarm).startswith("arn:"):
            raise preference.error(
                f"Alarms has the ARN {alarm}, which never rolls back: give the alarm's name"
            )
    version: str = preference.require("StateMachineVersionArn")
    return version


def _described(properties: Properties, parameter: str) -> dict[str, Any]:
    text = properties.take("Description")
    return {} if text is None else {parameter: text}


def definition_of(properties: Properties) -> str:
    """Returns the definition of a state machine, with its substitutions."""
    definition = properties.take("DefinitionString")
    if definition is None:
        definition = json.dumps(properties.require("Definition"))
    substitutions: dict[str, Any] = properties.take("DefinitionSubstitutions", {})
    return re.sub(
        r"\$\{([\w.:]+)\}",
        lambda match: str(substitutions.get(match[1], match[0])),
        definition,
    )
