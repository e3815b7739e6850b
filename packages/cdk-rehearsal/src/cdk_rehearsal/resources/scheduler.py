"""AWS::Scheduler: schedules and their groups."""

from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Release, Resource, creates, updates
from cdk_rehearsal.services.schedules import PARAMETERS


@creates("AWS::Scheduler::ScheduleGroup")
def create_schedule_group(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a group of schedules.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-scheduler-schedulegroup.html
    """
    properties.ignore("Tags")
    name = properties.take("Name") or resource.generated_name(64)
    arn = deployment.client("scheduler").create_schedule_group(Name=name)["ScheduleGroupArn"]
    resource.physical_id = name
    resource.attributes = {"Arn": arn, "State": "ACTIVE"}


@creates("AWS::Scheduler::Schedule")
def create_schedule(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a schedule.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-scheduler-schedule.html
    """
    name = properties.take("Name") or resource.generated_name(64)
    arn = deployment.client("scheduler").create_schedule(Name=name, **_stated(properties))
    resource.physical_id = name
    resource.attributes = {"Arn": arn["ScheduleArn"]}


@updates("AWS::Scheduler::Schedule", except_for=("GroupName", "Name"))
def update_schedule(
    deployment: Deployment, resource: Resource, properties: Properties, _: Release
) -> None:
    """Changes a schedule.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
    """
    properties.ignore("Name")
    deployment.client("scheduler").update_schedule(Name=resource.physical_id, **_stated(properties))


def _stated(properties: Properties) -> dict[str, Any]:
    properties.ignore("KmsKeyArn")
    window = properties.section("FlexibleTimeWindow")
    return {
        "FlexibleTimeWindow": {
            "Mode": window.require("Mode"),
            **_numbers(window, "MaximumWindowInMinutes"),
        },
        "Target": _target(properties.section("Target")),
        **properties.pick(
            "Description",
            "EndDate",
            "GroupName",
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "StartDate",
            "State",
        ),
    }


def _target(part: Properties) -> dict[str, Any]:
    target = {
        "Arn": part.require("Arn"),
        "RoleArn": part.require("RoleArn"),
        **part.pick("Input"),
    }
    service = target["Arn"].split(":")[2]
    if service in PARAMETERS:
        kind, names = PARAMETERS[service]
        stated = part.section(kind)
        if stated.values or service in ("events", "kinesis"):
            target[kind] = {name: stated.require(name) for name in names}
    dead_letters = part.section("DeadLetterConfig")
    if dead_letters.values:
        target["DeadLetterConfig"] = {"Arn": dead_letters.require("Arn")}
    retry = part.section("RetryPolicy")
    if retry.values:
        target["RetryPolicy"] = _numbers(retry, "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
    return target


def _numbers(part: Properties, *names: str) -> dict[str, int]:
    return {name: int(value) for name, value in part.pick(*names).items()}
