"""AWS::KMS: keys with their policies, and aliases."""

import json

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates


@creates("AWS::KMS::Key")
def create_key(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a key; only its policy has an effect.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kms-key.html
    """
    properties.ignore(
        *("BypassPolicyLockoutSafetyCheck", "Description", "EnableKeyRotation", "Enabled"),
        *("KeySpec", "KeyUsage", "MultiRegion", "Origin", "PendingWindowInDays"),
        *("RotationPeriodInDays", "Tags"),
    )
    policy = properties.take("KeyPolicy")
    options = {} if policy is None else {"Policy": json.dumps(policy)}
    key = deployment.client("kms").create_key(**options)["KeyMetadata"]
    resource.physical_id = key["KeyId"]
    resource.attributes = {"Arn": key["Arn"], "KeyId": key["KeyId"]}


@creates("AWS::KMS::Alias")
def create_alias(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an alias of a key.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kms-alias.html
    """
    name = properties.require("AliasName")
    deployment.client("kms").create_alias(
        AliasName=name, TargetKeyId=properties.require("TargetKeyId")
    )
    resource.physical_id = name
