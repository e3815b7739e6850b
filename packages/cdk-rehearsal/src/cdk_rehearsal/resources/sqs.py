"""AWS::SQS: queues and their policies."""

import json

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates, generated_name

QUEUE_ATTRIBUTES = (
    "DelaySeconds",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)
"""The attributes of a queue that can change."""


@creates("AWS::SQS::Queue")
def create_queue(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a queue.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html
    """
    fifo = properties.boolean("FifoQueue", False)
    properties.ignore("DeduplicationScope", "FifoThroughputLimit", "Tags")
    _check_redrive_permission(properties.section("RedriveAllowPolicy"))
    name = properties.take("QueueName") or generated_name(resource, 80, fifo=fifo)
    attributes = attributes_of(properties)
    arn = f"arn:aws:sqs:{deployment.core.region}:{deployment.core.account}:{name}"
    if fifo:
        based = properties.boolean("ContentBasedDeduplication", False)
        attributes |= {
            "FifoQueue": "true",
            "ContentBasedDeduplication": "true" if based else "false",
        }
    attributes |= redrive_policy(deployment, properties, arn)
    url = deployment.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    deployment.core.access.encrypt(arn, attributes.get("KmsMasterKeyId"))
    resource.physical_id = url
    resource.attributes = {"Arn": arn, "QueueName": name, "QueueUrl": url}
    deployment.queues.add(
        resource.path, name, arn, resource.properties.get("RedriveAllowPolicy", {})
    )


def attributes_of(properties: Properties) -> dict[str, str]:
    """Returns the attributes of a queue as the API takes them."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in properties.pick(*QUEUE_ATTRIBUTES).items()
    }


def redrive_policy(deployment: Deployment, properties: Properties, arn: str) -> dict[str, str]:
    """Returns the attribute that names the dead-letter queue of a queue; empty without one."""
    redrive = properties.section("RedrivePolicy")
    if not redrive.values:
        return {}
    dead_letters = deployment.queues.by_arn(redrive.require("deadLetterTargetArn"))
    if dead_letters.name.endswith(".fifo") != properties.boolean("FifoQueue", False):
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
        raise properties.error(
            "the dead-letter queue of a FIFO queue is one, too, and that of a standard queue "
            "is a standard queue"
        )
    if not dead_letters.takes_dead_letters_of(arn):
        raise properties.error(
            f"the RedriveAllowPolicy of its dead-letter queue {dead_letters.path} does not "
            f"admit {arn}"
        )
    deployment.queues.dead_letter_arns.add(dead_letters.arn)
    policy = {
        "deadLetterTargetArn": dead_letters.arn,
        "maxReceiveCount": redrive.integer("maxReceiveCount", 10),
    }
    return {"RedrivePolicy": json.dumps(policy)}


def _check_redrive_permission(permission: Properties) -> None:
    permission.only("redrivePermission", "allowAll", "byQueue", "denyAll")
    permission.ignore("sourceQueueArns")


@creates("AWS::SQS::QueuePolicy")
def create_queue_policy(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Gives queues a policy.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queuepolicy.html
    """
    policy = json.dumps(properties.require("PolicyDocument"))
    for url in properties.require("Queues"):
        deployment.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    resource.physical_id = resource.generated_name(128)
    resource.attributes = {"Id": resource.physical_id}
