"""Patches of moto 5.2.5: fixes of its defects, and speed-ups for long rehearsals.

``defects`` describes each defect so that it can be reported upstream; a test shows that moto still
has it. ``own_limits`` gives moto's limits the values of the table. ``speed`` changes no answer;
tests compare the answers with those of the original.
"""

from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient

from cdk_rehearsal.moto_patches import defects, own_limits, speed
from cdk_rehearsal.moto_patches.speed import clients, constants, prototypes
from cdk_rehearsal.moto_patches.speed.clients import make_client
from cdk_rehearsal.moto_patches.speed.direct import DirectCalls
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.virtual_time.scheduler import Scheduler

__all__ = ["call_directly", "install", "keep_constants", "make_client"]

_installed: list[Patches] = []


def install(scheduler: Scheduler | None = None) -> Callable[[], None]:
    """Replaces parts of moto; returns a function that restores them.

    A second install changes nothing. With a ``scheduler`` long polls of queues wait in its virtual
    time, else as long as moto does.
    """
    if _installed:
        return lambda: None
    patches = Patches()
    _installed.append(patches)
    defects.patch(patches)
    own_limits.patch(patches)
    speed.patch(patches, scheduler)

    def undo() -> None:
        patches.undo()
        _installed.clear()

    return undo


def keep_constants(patches: Patches) -> None:
    """Makes each start of moto but the first of this process cheap; to be called before it."""
    constants.patch(patches)


def call_directly(account: str, patches: Patches) -> Callable[..., Any]:
    """Makes clients cheap; returns a replacement of ``_make_api_call`` that calls moto directly."""
    calls_api: Callable[..., Any] = BaseClient._make_api_call  # type: ignore[attr-defined]
    clients.patch(patches)
    direct = DirectCalls(account)
    direct.install(patches)
    prototypes.patch(patches)
    return direct.before(calls_api)
