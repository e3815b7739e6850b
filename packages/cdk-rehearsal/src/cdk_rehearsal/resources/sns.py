"""AWS::SNS: topics, their policies and subscriptions."""

import json

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates, generated_name
from cdk_rehearsal.services.sns import DELIVERING, LEAVING

# https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html
_SMALLEST_BYTES = 1_024


@creates("AWS::SNS::Topic")
def create_topic(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a topic, with a maximum size of its messages.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topic.html
    """
    fifo = properties.boolean("FifoTopic", False)
    properties.ignore(
        *("DataProtectionPolicy", "DeliveryStatusLogging", "DisplayName", "SignatureVersion"),
        *("Tags", "TracingConfig"),
    )
    properties.only("FifoThroughputScope", "MessageGroup", "Topic")
    if "FifoThroughputScope" in properties and not fifo:
        raise properties.error("FifoThroughputScope is for FIFO topics: set FifoTopic")
    properties.only("ArchivePolicy", {})
    name = properties.take("TopicName") or generated_name(resource, 256, fifo=fifo)
    attributes = {"FifoTopic": "true"} if fifo else {}
    if properties.boolean("ContentBasedDeduplication", False):
        attributes["ContentBasedDeduplication"] = "true"
    size = properties.integer("MaximumMessageSize", LIMITS["sns.message_bytes"])
    if not _SMALLEST_BYTES <= size <= LIMITS["sns.maximum_message_bytes"]:
        raise properties.error(
            f"MaximumMessageSize is {size}: give {_SMALLEST_BYTES} to "
            f"{LIMITS['sns.maximum_message_bytes']} bytes"
        )
    sns = deployment.client("sns")
    arn = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
    sns.set_topic_attributes(
        TopicArn=arn, AttributeName="MaximumMessageSize", AttributeValue=str(size)
    )
    for name, value in properties.pick("FifoThroughputScope").items():
        sns.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)
    for part in properties.sections("Subscription"):
        _subscribe(deployment, arn, part.require("Protocol"), part.require("Endpoint"), {})
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
    """Subscribes a queue, a function or a person.

    Text messages, e-mail and requests to other hosts leave the rehearsal: only records tell.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-subscription.html
    """
    properties.only("Protocol", *DELIVERING, *LEAVING)
    properties.ignore("DeliveryPolicy")
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
    topic, protocol = properties.require("TopicArn"), properties.require("Protocol")
    if topic.endswith(".fifo") and protocol != "sqs":
        # https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html
        raise properties.error("a FIFO topic delivers to queues only")
    resource.physical_id = _subscribe(
        deployment, topic, protocol, properties.require("Endpoint"), attributes
    )
    resource.attributes = {"Arn": resource.physical_id}


def _subscribe(
    deployment: Deployment, topic: str, protocol: str, endpoint: str, attributes: dict[str, str]
) -> str:
    arn: str = deployment.client("sns").subscribe(
        TopicArn=topic,
        Protocol=protocol,
        Endpoint=endpoint,
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return arn
