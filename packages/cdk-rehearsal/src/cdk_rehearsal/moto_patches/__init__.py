"""Makes moto fast enough, and in a few places right enough, for long rehearsals."""

from __future__ import annotations

from collections.abc import Callable

from moto.core.common_models import BaseModel

from cdk_rehearsal.moto_patches import (
    cognito,
    dynamodb,
    kinesis,
    requests,
    s3,
    schedules,
    sqs,
    values,
)
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.virtual_time.scheduler import Scheduler

_installed: list[Patches] = []


def install(scheduler: Scheduler | None = None) -> Callable[[], None]:
    """Replace parts of moto; return what puts them back. A second install changes nothing.

    With a ``scheduler`` long polls of queues wait in its virtual time, else as long as moto does.
    """
    if _installed:
        return lambda: None
    patches = Patches()
    _installed.append(patches)
    # moto keeps every model object that was ever made, for a dashboard.
    patches.set(BaseModel, "__new__", staticmethod(lambda cls, *_, **__: object.__new__(cls)))
    requests.patch(patches)
    values.patch(patches)
    dynamodb.patch(patches)
    s3.patch(patches)
    sqs.patch(patches, scheduler)
    cognito.patch(patches)
    kinesis.patch(patches)
    schedules.patch(patches)

    def undo() -> None:
        patches.undo()
        _installed.clear()

    return undo
