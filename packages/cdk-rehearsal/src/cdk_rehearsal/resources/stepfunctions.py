"""AWS::StepFunctions: state machines."""

import json
import re
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.log_groups import WorkflowLog, log_group_of


@creates("AWS::StepFunctions::StateMachine")
def create_state_machine(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a state machine.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html
    """
    properties.ignore("EncryptionConfiguration", "Tags", "TracingConfiguration")
    logging = properties.take("LoggingConfiguration", {})
    definition = properties.take("DefinitionString")
    if definition is None:
        definition = json.dumps(properties.require("Definition"))
    substitutions: dict[str, Any] = properties.take("DefinitionSubstitutions", {})
    definition = re.sub(
        r"\$\{([\w.:]+)\}",
        lambda match: str(substitutions.get(match[1], match[0])),
        definition,
    )
    name = properties.take("StateMachineName") or resource.generated_name(80)
    arn = deployment.client("stepfunctions").create_state_machine(
        name=name,
        definition=definition,
        roleArn=properties.require("RoleArn"),
        type=properties.take("StateMachineType", "STANDARD"),
    )["stateMachineArn"]
    for destination in logging.get("Destinations", []):
        deployment.log_groups.workflows[arn] = WorkflowLog(
            log_group_of(destination["CloudWatchLogsLogGroup"]["LogGroupArn"]),
            logging.get("Level", "OFF"),
            with_data=bool(logging.get("IncludeExecutionData", False)),
        )
    resource.physical_id = arn
    resource.attributes = {"Arn": arn, "Name": name}
