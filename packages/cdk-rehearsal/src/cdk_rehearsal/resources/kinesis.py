"""AWS::Kinesis: data streams."""

from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DecreaseStreamRetentionPeriod.html
_SHORTEST_RETENTION_HOURS = 24


@creates("AWS::Kinesis::Stream")
def create_stream(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a data stream; one on demand has four shards, as a new one has.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kinesis-stream.html
    https://docs.aws.amazon.com/streams/latest/dev/how-do-i-size-a-stream.html
    """
    properties.ignore("DesiredShardLevelMetrics", "Tags")
    encryption = properties.section("StreamEncryption")
    encryption.only("EncryptionType", "KMS")
    name = properties.take("Name") or resource.generated_name(128)
    mode = properties.section("StreamModeDetails").take("StreamMode", "PROVISIONED")
    options: dict[str, Any] = {"StreamModeDetails": {"StreamMode": mode}}
    if mode == "PROVISIONED":
        options["ShardCount"] = int(properties.require("ShardCount"))
    elif mode != "ON_DEMAND":
        raise properties.error(f"there is no StreamMode {mode}")
    elif "ShardCount" in properties:
        raise properties.error("a stream on demand takes no ShardCount")
    client = deployment.client("kinesis")
    client.create_stream(StreamName=name, **options)
    shortest, longest = _SHORTEST_RETENTION_HOURS, LIMITS["kinesis.retention_hours"]
    retention = properties.integer("RetentionPeriodHours", shortest)
    if not shortest <= retention <= longest:
        raise properties.error(f"RetentionPeriodHours is from {shortest} to {longest}")
    if retention > shortest:
        client.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=retention)
    summary = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    deployment.core.access.encrypt(summary["StreamARN"], encryption.take("KeyId"))
    resource.physical_id = name
    resource.attributes = {"Arn": summary["StreamARN"]}
