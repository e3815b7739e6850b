"""AWS::SQS: queues and their policies."""

import json

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates, generated_name

_ATTRIBUTES = (
    "DelaySeconds",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)


@creates("AWS::SQS::Queue")
def create_queue(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a queue.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html
    """
    fifo = properties.boolean("FifoQueue", False)
    properties.ignore("DeduplicationScope", "FifoThroughputLimit", "Tags")
    _check_redrive_permission(properties.section("RedriveAllowPolicy"))
    name = properties.take("QueueName") or generated_name(resource, 80, fifo=fifo)
    attributes = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in properties.pick(*_ATTRIBUTES).items()
    }
    arn = f"arn:aws:sqs:{deployment.core.region}:{deployment.core.account}:{name}"
    if fifo:
        based = properties.boolean("ContentBasedDeduplication", False)
        attributes |= {
            "FifoQueue": "true",
            "ContentBasedDeduplication": "true" if based else "false",
        }
    redrive = properties.section("RedrivePolicy")
    if redrive.values:
        dead_letters = deployment.queues.by_arn(redrive.require("deadLetterTargetArn"))
        if dead_letters.name.endswith(".fifo") != fifo:
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
        attributes["RedrivePolicy"] = json.dumps(
            {
                "deadLetterTargetArn": dead_letters.arn,
                "maxReceiveCount": redrive.integer("maxReceiveCount", 10),
            }
        )
        deployment.queues.dead_letter_arns.add(dead_letters.arn)
    url = deployment.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    deployment.core.access.encrypt(arn, attributes.get("KmsMasterKeyId"))
    resource.physical_id = url
    resource.attributes = {"Arn": arn, "QueueName": name, "QueueUrl": url}
    deployment.queues.add(
        resource.path, name, arn, resource.properties.get("RedriveAllowPolicy", {})
    )


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
