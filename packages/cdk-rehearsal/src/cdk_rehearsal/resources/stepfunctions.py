"""AWS::StepFunctions: state machines."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates

if TYPE_CHECKING:
    from cdk_rehearsal.rehearsal import Rehearsal


@creates("AWS::StepFunctions::StateMachine")
def create_state_machine(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Create a state machine.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html
    """
    properties.ignore(
        "EncryptionConfiguration", "LoggingConfiguration", "Tags", "TracingConfiguration"
    )
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
    arn = rehearsal.client("stepfunctions").create_state_machine(
        name=name,
        definition=definition,
        roleArn=properties.require("RoleArn"),
        type=properties.take("StateMachineType", "STANDARD"),
    )["stateMachineArn"]
    resource.physical_id = arn
    resource.attributes = {"Arn": arn, "Name": name}
