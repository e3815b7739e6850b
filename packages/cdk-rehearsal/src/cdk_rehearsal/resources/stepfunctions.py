"""AWS::StepFunctions: state machines."""

import json
import re
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.log_groups import WorkflowLog, log_group_of

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
    resource.attributes = {"Arn": arn, "Name": name}


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
