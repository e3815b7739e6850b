"""Defects of EventBridge Scheduler in moto 5.2.5.

**A group that does not exist raises KeyError** in CreateSchedule and DeleteScheduleGroup. The API
answers ResourceNotFoundException:
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html#API_CreateSchedule_Errors

    scheduler.create_schedule(GroupName="none", Name="n", ...)  # KeyError: 'none'

**A second group of the same name replaces the first**, with its schedules. The API answers
ConflictException: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html

    for _ in range(2):
        scheduler.create_schedule_group(Name="g")  # No error.

**UpdateSchedule ignores ActionAfterCompletion, and leaves State empty if it is not given.** The API
sets every field, by default to its default value:
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
(The same field was missing in GetSchedule: https://github.com/getmoto/moto/issues/7782)

    scheduler.update_schedule(Name="n", ActionAfterCompletion="DELETE", ...)
    scheduler.get_schedule(Name="n")["ActionAfterCompletion"]  # None
"""

from typing import Any

from moto.scheduler.exceptions import ScheduleExists
from moto.scheduler.models import EventBridgeSchedulerBackend
from moto.scheduler.responses import EventBridgeSchedulerResponse

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Checks the names of groups, and updates all fields of a schedule."""
    backend = EventBridgeSchedulerBackend
    create = backend.create_schedule
    create_group = backend.create_schedule_group
    delete_group = backend.delete_schedule_group
    update = EventBridgeSchedulerResponse.update_schedule

    def create_schedule(backend: Any, group_name: str | None = None, **options: Any) -> Any:
        group = backend.get_schedule_group(group_name)
        return create(backend, group_name=group.name, **options)

    def create_schedule_group(backend: Any, name: str, tags: list[dict[str, str]]) -> Any:
        if name in backend.schedule_groups:
            raise ScheduleExists(name)
        return create_group(backend, name, tags)

    def delete_schedule_group(backend: Any, name: str | None) -> None:
        delete_group(backend, backend.get_schedule_group(name).name)

    def update_schedule(response: Any) -> str:
        answer = update(response)
        name = response.uri.split("?")[0].split("/")[-1]
        schedule = response.scheduler_backend.get_schedule(response._get_param("GroupName"), name)
        schedule.action_after_completion = response._get_param("ActionAfterCompletion")
        schedule.state = schedule.state or "ENABLED"
        return answer

    patches.set(backend, "create_schedule", create_schedule)
    patches.set(backend, "create_schedule_group", create_schedule_group)
    patches.set(backend, "delete_schedule_group", delete_schedule_group)
    patches.set(EventBridgeSchedulerResponse, "update_schedule", update_schedule)
