"""AWS::Logs: log groups and who may write to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates

if TYPE_CHECKING:
    from cdk_rehearsal.rehearsal import Rehearsal


@creates("AWS::Logs::LogGroup")
def create_log_group(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Create a log group.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-loggroup.html
    """
    properties.ignore(
        "DataProtectionPolicy",
        "DeletionProtectionEnabled",
        "FieldIndexPolicies",
        "KmsKeyId",
        "LogGroupClass",
        "ResourcePolicyDocument",
        "RetentionInDays",
        "Tags",
    )
    name = properties.take("LogGroupName") or resource.generated_name(512)
    rehearsal.client("logs").create_log_group(logGroupName=name)
    resource.physical_id = name
    arn = f"arn:aws:logs:{rehearsal.region}:{rehearsal.account}:log-group:{name}:*"
    resource.attributes = {"Arn": arn}


@creates("AWS::Logs::ResourcePolicy")
def create_resource_policy(
    rehearsal: Rehearsal, resource: Resource, properties: Properties
) -> None:
    """Let services write to log groups.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-resourcepolicy.html
    """
    document = properties.require("PolicyDocument")
    text = document if isinstance(document, str) else json.dumps(document)
    name = properties.require("PolicyName")
    rehearsal.client("logs").put_resource_policy(policyName=name, policyDocument=text)
    rehearsal.log_policies.append(json.loads(text))
    resource.physical_id = name
