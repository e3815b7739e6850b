"""AWS::EventsV2: Custom Event Buses, their subscribers and resource policies."""

import json
from collections.abc import Mapping
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates

_NUMBERS = (
    *("MaxBatchSize", "MaxBatchWindowInSeconds", "MaxRetryAttempts", "MaxEventAgeInSeconds"),
    *("RetentionPeriodInDays", "StartingPoint", "EndPoint"),
)


@creates("AWS::EventsV2::EventBus")
def create_event_bus(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a Custom Event Bus.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-eventsv2-eventbus.html
    """
    properties.ignore("Description", "EncryptionConfiguration", "Tags")
    storage = _block(properties, "StorageConfiguration", "RetentionPeriodInDays")
    created = deployment.client("eventbridgev2").create_event_bus(
        Name=properties.require("Name"), **storage
    )
    _identify(resource, created, "EventBusArn", State=created["State"])


@creates("AWS::EventsV2::Subscriber")
def create_subscriber(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a subscriber of a Custom Event Bus.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-eventsv2-subscriber.html
    """
    properties.ignore("Description", "LogConfiguration", "ResumePosition", "Tags")
    options = properties.pick("StartingPosition", "State", "Type")
    options |= _block(properties, "BatchConfiguration", "MaxBatchSize", "MaxBatchWindowInSeconds")
    options |= _block(properties, "OnFailureConfiguration", "Arn")
    options |= _block(
        properties, "RetryPolicy", "MaxEventAgeInSeconds", "MaxRetryAttempts", "RetryStrategy"
    )
    options |= _block(
        properties, "PointInTimeConfiguration", "EndPoint", "PointType", "StartingPoint"
    )
    filters = properties.section("FilterConfiguration")
    if filters.values:
        options["FilterConfiguration"] = {
            **filters.pick("Language"),
            "Filters": [part.pick("Pattern", "Scope") for part in filters.sections("Filters")],
        }
    transformer = properties.section("Transformer")
    if transformer.values:
        options["Transformer"] = {
            **transformer.pick("Type"),
            **_block(transformer, "JsonataConfiguration", "Expression"),
        }
    created = deployment.client("eventbridgev2").create_subscriber(
        Name=properties.require("Name"),
        EventBusArn=properties.require("EventBusArn"),
        InvokeConfiguration=_invocation(properties.section("InvokeConfiguration")),
        **options,
    )
    bus_name = created["EventBusArn"].split("/")[1]
    _identify(resource, created, "SubscriberArn", BusName=bus_name)


def _identify(resource: Resource, created: Mapping[str, Any], arn: str, **more: str) -> None:
    """Sets the id of a new resource, its ARN, and the attributes that templates can read."""
    moment = created["CreationTime"].isoformat()
    resource.physical_id = created[arn]
    resource.attributes = {
        arn: created[arn],
        **more,
        "CreationTime": moment,
        "LastModifiedTime": moment,
    }


def _invocation(part: Properties) -> dict[str, Any]:
    """Returns the target with the parameters that the rehearsal knows."""
    part.require("TargetArn")
    part.require("RoleArn")
    invoke = part.pick("RoleArn", "TargetArn")
    for name, known in (
        ("EventBusV2Parameters", ("Metadata", "SystemMetadata")),
        ("KinesisParameters", ("PartitionKey",)),
        ("LambdaParameters", ("InvocationTimeoutSeconds", "InvocationType", "Qualifier")),
        (
            "SnsParameters",
            ("MessageAttributes", "MessageDeduplicationId", "MessageGroupId", "Subject"),
        ),
        ("SqsParameters", ("MessageAttributes", "MessageDeduplicationId", "MessageGroupId")),
        (
            "StepFunctionsParameters",
            ("InvocationTimeoutSeconds", "InvocationType", "Name", "TraceHeader"),
        ),
        ("UniversalTargetParameters", ("Input",)),
    ):
        invoke |= _block(part, name, *known)
    return invoke


def _block(properties: Properties, name: str, *known: str) -> dict[str, Any]:
    """Returns an object within with its known members, if it is there, as the API takes it."""
    if name not in properties:
        return {}
    picked = properties.section(name).pick(*known)
    return {name: {k: int(v) if k in _NUMBERS else v for k, v in picked.items()}}


@creates("AWS::EventsV2::EventSource")
def create_event_source(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an event source: events of an AWS service reach a Custom Event Bus.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-eventsv2-eventsource.html
    """
    properties.ignore("Description", "Tags")
    created = deployment.client("eventbridgev2").create_event_source(
        Name=properties.require("Name"),
        EventBusArn=properties.require("EventBusArn"),
        Configuration=properties.require("Configuration"),
    )
    _identify(resource, created, "EventSourceArn", State=created["State"])


@creates("AWS::EventsV2::ResourcePolicy")
def create_resource_policy(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Says which other accounts may use a Custom Event Bus.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-eventsv2-resourcepolicy.html
    """
    arn = properties.require("EventBusArn")
    written = deployment.client("eventbridgev2").put_resource_policy(
        ResourceArn=arn,
        PolicyDocument=json.dumps(properties.require("PolicyDocument")),
        ExpectedRevisionId="NO_POLICY",
    )
    resource.physical_id = arn
    resource.attributes = {"RevisionId": written["RevisionId"]}
