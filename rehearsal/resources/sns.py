"""AWS::SNS: topics, as far as alarms need them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rehearsal.properties import Properties
from rehearsal.resources.registry import Resource, creates

if TYPE_CHECKING:
    from rehearsal.rehearsal import Rehearsal


@creates("AWS::SNS::Topic")
def create_topic(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Create a standard topic.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topic.html
    """
    properties.only("FifoTopic", False, "false")
    properties.ignore("DisplayName", "KmsMasterKeyId", "SignatureVersion", "Tags", "TracingConfig")
    name = properties.take("TopicName") or resource.generated_name(256)
    arn = rehearsal.client("sns").create_topic(Name=name)["TopicArn"]
    resource.physical_id = arn
    resource.attributes = {"TopicArn": arn, "TopicName": name}


@creates("AWS::SNS::TopicPolicy")
def create_topic_policy(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Give topics a policy.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topicpolicy.html
    """
    policy = json.dumps(properties.require("PolicyDocument"))
    for arn in properties.require("Topics"):
        rehearsal.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=policy
        )
    resource.physical_id = resource.generated_name(128)
    resource.attributes = {"Id": resource.physical_id}


@creates("AWS::SNS::Subscription")
def create_subscription(rehearsal: Rehearsal, resource: Resource, properties: Properties) -> None:
    """Subscribe a person: e-mail only, which leaves the rehearsal.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-subscription.html
    """
    properties.only("Protocol", "email", "email-json")
    resource.physical_id = rehearsal.client("sns").subscribe(
        TopicArn=properties.require("TopicArn"),
        Protocol="email",
        Endpoint=properties.require("Endpoint"),
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    resource.attributes = {"Arn": resource.physical_id}
