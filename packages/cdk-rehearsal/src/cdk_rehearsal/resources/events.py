"""AWS::Events: buses, rules and archives."""

import json
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.patterns import EventPattern
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.target_inputs import InputTransformer, JsonPath

# What can be a target, by the service in its ARN.
TARGET_SERVICES = frozenset({"events", "kinesis", "lambda", "logs", "sns", "sqs", "states"})


@creates("AWS::Events::EventBus")
def create_event_bus(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an event bus.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-eventbus.html
    """
    properties.ignore("DeadLetterConfig", "Description", "KmsKeyIdentifier", "LogConfig", "Tags")
    name = properties.require("Name")
    arn = deployment.client("events").create_event_bus(Name=name)["EventBusArn"]
    policy = properties.take("Policy")
    if policy is not None:
        deployment.client("events").put_permission(EventBusName=name, Policy=json.dumps(policy))
    resource.physical_id = name
    resource.attributes = {"Arn": arn, "Name": name}


@creates("AWS::Events::EventBusPolicy")
def create_event_bus_policy(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Says who may put events on a bus.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-eventbuspolicy.html
    """
    statement = {"Sid": properties.require("StatementId"), **properties.require("Statement")}
    deployment.client("events").put_permission(
        EventBusName=properties.take("EventBusName", "default"),
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    resource.physical_id = properties.require("StatementId")


@creates("AWS::Events::Rule")
def create_rule(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a rule with its targets: for events that match, or at scheduled times.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-rule.html
    """
    client = deployment.client("events")
    properties.ignore("Description", "RoleArn", "Tags")
    bus = properties.take("EventBusName", "default").rsplit("/", 1)[-1]
    name = properties.take("Name") or resource.generated_name(64)
    when: dict[str, str] = {}
    pattern, schedule = properties.take("EventPattern"), properties.take("ScheduleExpression")
    if pattern is not None:
        EventPattern(pattern)
        when["EventPattern"] = json.dumps(pattern)
    if schedule is not None:
        when["ScheduleExpression"] = schedule
    if not when:
        raise properties.error("a rule has an EventPattern or a ScheduleExpression")
    state = properties.take("State", "ENABLED")
    targets = [_target(deployment, part) for part in properties.sections("Targets")]
    arn = client.put_rule(Name=name, EventBusName=bus, State=state, **when)["RuleArn"]
    for start in range(0, len(targets), 10):
        client.put_targets(Rule=name, EventBusName=bus, Targets=targets[start : start + 10])
    for target in targets:
        if "DeadLetterConfig" in target:
            deployment.queues.dead_letter_arns.add(target["DeadLetterConfig"]["Arn"])
    # On a bus of one's own the physical id names the bus, too.
    resource.physical_id = name if bus == "default" else f"{bus}|{name}"
    resource.attributes = {"Arn": arn}


def _target(deployment: Deployment, part: Properties) -> dict[str, Any]:
    arn = part.require("Arn")
    _check_kind(deployment, part, arn)
    target = part.pick("Arn", "Id", "Input", "InputPath", "RoleArn")
    transformer = part.section("InputTransformer")
    if transformer.values:
        template = transformer.require("InputTemplate")
        InputTransformer(transformer.take("InputPathsMap"), template)
        target["InputTransformer"] = transformer.values
    if arn.split(":")[2] == "kinesis" and "RoleArn" not in target:
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
        raise part.error("a data stream as a target needs a role that may put records: RoleArn")
    if ":event-busv2/" in arn and "RoleArn" not in target:
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html
        raise part.error("a Custom Event Bus as a target needs a role that may put events: RoleArn")
    kinesis = part.section("KinesisParameters")
    if kinesis.values:
        JsonPath(kinesis.require("PartitionKeyPath"))
        target["KinesisParameters"] = kinesis.values
    group = part.section("SqsParameters").take("MessageGroupId")
    if arn.endswith(".fifo") and ":sqs:" in arn:
        if group is None:
            raise part.error("a FIFO queue as a target needs SqsParameters.MessageGroupId")
        target["SqsParameters"] = {"MessageGroupId": group}
    dead_letters = part.section("DeadLetterConfig")
    if dead_letters.values:
        target["DeadLetterConfig"] = {"Arn": dead_letters.require("Arn")}
    retry = part.section("RetryPolicy")
    if retry.values:
        target["RetryPolicy"] = {
            name: int(value)
            for name, value in retry.pick(
                "MaximumEventAgeInSeconds", "MaximumRetryAttempts"
            ).items()
        }
    return target


def _check_kind(deployment: Deployment, part: Properties, arn: str) -> None:
    """Refuses targets that are not known, unless they may idle, and buses elsewhere."""
    if arn.split(":")[2] not in TARGET_SERVICES:
        if not deployment.stand_ins.invents:
            raise part.error(f"the rehearsal does not know targets such as {arn}")
        deployment.stand_ins.note(deployment.core.path_of(arn), "takes events, and does nothing")
        deployment.bus.idle.add(arn)
    here = [deployment.core.region, deployment.core.account]
    if arn.split(":")[2] == "events" and arn.split(":")[3:5] != here:
        raise part.error(f"the bus {arn} is in another account or region than the rehearsal")


@creates("AWS::Events::Archive")
def create_archive(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates an archive of a bus.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-archive.html
    """
    properties.ignore("Description", "KmsKeyIdentifier")
    name = properties.take("ArchiveName") or resource.generated_name(48)
    pattern = properties.take("EventPattern")
    options = {} if pattern is None else {"EventPattern": json.dumps(pattern)}
    EventPattern(pattern or {"source": [{"exists": True}]})
    arn = deployment.client("events").create_archive(
        ArchiveName=name,
        EventSourceArn=properties.require("SourceArn"),
        RetentionDays=properties.integer("RetentionDays", 0),
        **options,
    )["ArchiveArn"]
    resource.physical_id = name
    resource.attributes = {"Arn": arn, "ArchiveName": name}
