"""AWS::SSM: parameters of Systems Manager."""

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates


@creates("AWS::SSM::Parameter")
def create_parameter(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a parameter.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html
    """
    properties.ignore("AllowedPattern", "DataType", "Policies", "Tags", "Tier")
    properties.only("Type", "String", "StringList")
    name = properties.take("Name") or f"CFN-{resource.generated_name(256)}"
    kind, value = properties.require("Type"), str(properties.require("Value"))
    deployment.client("ssm").put_parameter(
        Name=name, Type=kind, Value=value, **properties.pick("Description")
    )
    resource.physical_id = name
    resource.attributes = {"Type": kind, "Value": value}
