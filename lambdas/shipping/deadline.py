"""Deadlines: EventBridge Scheduler sends a reminder for each shipment to a queue."""

import json
from datetime import UTC, datetime, timedelta

from lambdas.eventing import aws
from lambdas.eventing.event import Cause, CloudEvent
from lambdas.shipping.events import ShipmentDue
from lambdas.shipping.settings import reminder_settings, request_settings

_SOONEST = timedelta(minutes=1)
"""The shortest time to a reminder: by the scheduler's clock too, it must be in the future."""


def remind(order_id: str, due_at: datetime, cause: Cause) -> None:
    """Schedules the order's ShipmentDue for `due_at` (UTC) or, if that is past, soon.

    There is one schedule per order. While it exists, a repetition changes nothing. The scheduler
    deletes it after the delivery.
    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
    """
    to = request_settings()
    at = max(due_at, datetime.now(UTC) + _SOONEST)
    reminder = CloudEvent.wrap(ShipmentDue(order_id=order_id, due_at=due_at), cause)
    try:
        aws.scheduler().create_schedule(
            Name=_name(order_id),
            GroupName=to.schedule_group_name,
            ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
            ScheduleExpressionTimezone="UTC",
            FlexibleTimeWindow={"Mode": "OFF"},
            ActionAfterCompletion="DELETE",
            Target={
                "Arn": to.reminder_queue_arn,
                "RoleArn": to.schedule_role_arn,
                "Input": json.dumps({"detail": json.loads(reminder.to_json())}),
                "RetryPolicy": {
                    "MaximumRetryAttempts": to.reminder_attempts,
                    "MaximumEventAgeInSeconds": to.reminder_age_s,
                },
                "DeadLetterConfig": {"Arn": to.reminder_parking_arn},
            },
        )
    except aws.scheduler().exceptions.ConflictException:
        return


def cancel(order_id: str) -> None:
    """Deletes the order's schedule, if there is one: each counts towards a quota while it exists.

    Without the name of the group, it stays: a reminder that comes too late finds nothing to do.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteSchedule.html
    """
    group = reminder_settings().schedule_group_name
    if group is None:
        return
    try:
        aws.scheduler().delete_schedule(Name=_name(order_id), GroupName=group)
    except aws.scheduler().exceptions.ResourceNotFoundException:
        return


def _name(order_id: str) -> str:
    return f"shipment-{order_id}"
