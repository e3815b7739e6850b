"""AWS::SNS: topics, their policies and subscriptions."""

import json

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.sns import DEFAULT_MAX_BYTES

# https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html
_SMALLEST_MAX_BYTES = 1_024
_LARGEST_MAX_BYTES = 1_048_576


@creates("AWS::SNS::Topic")
def create_topic(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a standard topic, with a maximum size of its messages.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topic.html
    """
    properties.only("FifoTopic", False, "false")
    properties.ignore("DisplayName", "SignatureVersion", "Tags", "TracingConfig")
    name = properties.take("TopicName") or resource.generated_name(256)
    size = properties.integer("MaximumMessageSize", DEFAULT_MAX_BYTES)
    if not _SMALLEST_MAX_BYTES <= size <= _LARGEST_MAX_BYTES:
        raise properties.error(
            f"MaximumMessageSize is {size}: give {_SMALLEST_MAX_BYTES} to "
            f"{_LARGEST_MAX_BYTES} bytes"
        )
    sns = deployment.client("sns")
    arn = sns.create_topic(Name=name)["TopicArn"]
    sns.set_topic_attributes(
        TopicArn=arn, AttributeName="MaximumMessageSize", AttributeValue=str(size)
    )
    deployment.core.access.encrypt(arn, properties.take("KmsMasterKeyId"))
    resource.physical_id = arn
    resource.attributes = {"TopicArn": arn, "TopicName": name}


@creates("AWS::SNS::TopicPolicy")
def create_topic_policy(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Gives topics a policy.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topicpolicy.html
    """
    policy = json.dumps(properties.require("PolicyDocument"))
    for arn in properties.require("Topics"):
        deployment.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=policy
        )
    resource.physical_id = resource.generated_name(128)
    resource.attributes = {"Id": resource.physical_id}


@creates("AWS::SNS::Subscription")
def create_subscription(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Subscribes a queue, a function or a person; e-mail leaves the rehearsal.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-subscription.html
    """
    properties.only("Protocol", "sqs", "lambda", "email", "email-json")
    properties.only("Region", deployment.core.region)
    attributes = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in properties.pick(
            "FilterPolicyScope", "FilterPolicy", "RawMessageDelivery"
        ).items()
    }
    redrive = properties.section("RedrivePolicy")
    if redrive.values:
        dead_letters = redrive.require("deadLetterTargetArn")
        attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": dead_letters})
        deployment.queues.dead_letter_arns.add(dead_letters)
    resource.physical_id = deployment.client("sns").subscribe(
        TopicArn=properties.require("TopicArn"),
        Protocol=properties.require("Protocol"),
        Endpoint=properties.require("Endpoint"),
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    resource.attributes = {"Arn": resource.physical_id}
