"""Runs a rehearsal at the pace that the viewer of its page has chosen."""

import threading
import time
from collections.abc import Callable

from cdk_rehearsal.console.console import Console
from cdk_rehearsal.rehearsal import Rehearsal

_STEP_S = 0.05
_LONGEST_STEP_S = 5.0
_QUIET_S = 1.0
"""Virtual seconds until something is due, of which the viewer may skip all."""

# The function of the real world, kept before the clock starts.
_monotonic = time.monotonic


def play(rehearsal: Rehearsal, console: Console, *, until: Callable[[], bool]) -> None:
    """Runs a rehearsal in small steps, so that the page always answers, until `until` holds."""
    scheduler, clock = rehearsal.scheduler, rehearsal.clock
    changes = None
    while not until():
        if changes != console.changes:
            changes = console.changes
            virtual, real = clock.now(), _monotonic()
        due = scheduler.next_time()
        if console.skips_quiet and due is not None and due > clock.now() + _QUIET_S:
            rehearsal.run_for(due - clock.now())
            changes = None
        else:
            rehearsal.run_for(min(max(_STEP_S * console.speed, _STEP_S / 10), _LONGEST_STEP_S))
        console.tick()
        ahead = (clock.now() - virtual) / console.speed - (_monotonic() - real)
        if ahead > 0 and changes == console.changes:
            # The rehearsal has replaced `time.sleep`.
            threading.Event().wait(ahead)
