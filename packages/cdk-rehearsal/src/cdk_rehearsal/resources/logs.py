"""AWS::Logs: log groups and who may write to them."""

import json

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates


@creates("AWS::Logs::LogGroup")
def create_log_group(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a log group.

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
    deployment.client("logs").create_log_group(logGroupName=name)
    resource.physical_id = name
    arn = f"arn:aws:logs:{deployment.core.region}:{deployment.core.account}:log-group:{name}:*"
    resource.attributes = {"Arn": arn}


@creates("AWS::Logs::LogStream")
def create_log_stream(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a log stream.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-logstream.html
    """
    name = properties.take("LogStreamName") or resource.generated_name(512)
    deployment.client("logs").create_log_stream(
        logGroupName=properties.require("LogGroupName"), logStreamName=name
    )
    resource.physical_id = name


@creates("AWS::Logs::ResourcePolicy")
def create_resource_policy(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Lets services write to log groups.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-resourcepolicy.html
    """
    document = properties.require("PolicyDocument")
    text = document if isinstance(document, str) else json.dumps(document)
    name = properties.require("PolicyName")
    deployment.client("logs").put_resource_policy(policyName=name, policyDocument=text)
    resource.physical_id = name
