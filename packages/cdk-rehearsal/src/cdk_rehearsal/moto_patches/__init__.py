"""Patches of moto 5.2.5: fixes of its defects, and speed-ups for long rehearsals.

``defects`` describes each defect so that it can be reported upstream; a test shows that moto still
has it. ``speed`` changes no answer; tests compare the answers with those of the original.
"""

from __future__ import annotations

from collections.abc import Callable

from cdk_rehearsal.moto_patches import defects, speed
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.virtual_time.scheduler import Scheduler

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
    speed.patch(patches, scheduler)

    def undo() -> None:
        patches.undo()
        _installed.clear()

    return undo
