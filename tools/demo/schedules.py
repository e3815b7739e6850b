"""Schedules of a rehearsed application, switched on and off as an operator does it."""

from collections.abc import Callable
from functools import partial

from cdk_rehearsal import Rehearsal

CANARY = "Orders/PlaceCanary/Schedule"
"""The schedule of the synthetic orders."""

_ENABLED, _DISABLED = "ENABLED", "DISABLED"
_KEPT = (
    *("Description", "FlexibleTimeWindow", "Target", "StartDate", "EndDate"),
    *("ScheduleExpression", "ScheduleExpressionTimezone"),
)


def enable(shop: Rehearsal, path: str) -> None:
    """Enables the schedule at a construct path. A rate begins anew, with an execution at once."""
    _switch(shop, path, _ENABLED)


def disable(shop: Rehearsal, path: str) -> Callable[[], object]:
    """Disables the schedule at a construct path. Returns a function that restores its state."""
    former = _switch(shop, path, _DISABLED)
    return partial(_switch, shop, path, former)


def _switch(shop: Rehearsal, path: str, state: str) -> str:
    """Changes the state of a schedule, and nothing else. Returns the former one.

    UpdateSchedule sets what a request leaves out to its default:
    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
    """
    schedule = shop.resource(path)
    client = shop.client("scheduler")
    named = {"Name": schedule.physical_id, "GroupName": schedule.properties["GroupName"]}
    stated = client.get_schedule(**named)
    kept = {each: stated[each] for each in _KEPT if each in stated}
    client.update_schedule(**named, **kept, State=state)
    former: str = stated["State"]
    return former
