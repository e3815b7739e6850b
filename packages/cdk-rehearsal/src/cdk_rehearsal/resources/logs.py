"""AWS::Logs: log groups and who may write to them."""

import json

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.log_subscriptions import DESTINATIONS


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


@creates("AWS::Logs::SubscriptionFilter")
def create_subscription_filter(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Sends the events of a log group that match a pattern to a function or a data stream.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-subscriptionfilter.html
    """
    properties.only("Distribution", "ByLogStream")
    name = properties.take("FilterName") or resource.generated_name(512)
    group, destination = properties.require("LogGroupName"), properties.require("DestinationArn")
    role = properties.take("RoleArn")
    if destination.split(":")[2] not in DESTINATIONS:
        raise properties.error(
            f"the rehearsal does not know destinations such as {destination}: use a function or a "
            "data stream of Kinesis"
        )

    def check() -> None:
        if refusal := deployment.log_subscriptions.refusal(group, destination, role):
            raise properties.error(refusal)

    deployment.checks.append((resource, check))
    deployment.client("logs").put_subscription_filter(
        logGroupName=group,
        filterName=name,
        filterPattern=properties.take("FilterPattern", ""),
        destinationArn=destination,
        **({"roleArn": role} if role else {}),
    )
    resource.physical_id = name
