"""What if: two forks of a rehearsal run on from the same moment, and one of them is changed."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from multiprocessing import Pipe
from typing import Any

from cdk_rehearsal.console.recording import has_row
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.forks import Fork, fork, forked
from cdk_rehearsal.meter import Record
from cdk_rehearsal.rehearsal import Rehearsal

# The function of the real world, kept before the clock starts.
_monotonic = time.monotonic

_STEP_S = 5.0
_ALARMS_EVERY_S = 60.0
_LONGEST_REAL_S = 120.0
"""A branch that has not come to its end by then is compared as far as it has come."""
_SHOWN = 40

Passed = tuple[float, str, str, str, str]
"""What a branch has passed: its time after the fork, kind, source, target, and more in words."""


@dataclass
class Branch:
    """What happened in one fork."""

    passed: list[Passed] = field(default_factory=list)
    seconds: float = 0.0
    """The virtual time up to which it came."""
    dead: dict[str, int] = field(default_factory=dict)
    """The messages in each dead-letter queue at the end."""
    alarms: dict[str, float] = field(default_factory=dict)
    """The alarms that rang, with the time after the fork."""
    verdicts: dict[str, tuple[bool, str]] = field(default_factory=dict)


class Moment:
    """A moment of a rehearsal that is kept: a fork of its process, which waits.

    `run` is called there with what `ask` gets. `leave` lets the fork go of what is its parent's.
    """

    def __init__(
        self, says: str, now: float, run: Callable[[Any], Any], leave: Callable[[], None]
    ) -> None:
        self.says = says
        self.time = now
        self._link, far = Pipe()
        self._pid = fork()
        if self._pid:
            far.close()
            return
        try:
            self._link.close()
            leave()
            while True:
                far.send(run(far.recv()))
        except (EOFError, OSError):
            pass
        finally:
            os._exit(0)

    def ask(self, request: Any) -> Any:
        """Returns what the fork answers. Raises RehearsalError if it has ended."""
        try:
            self._link.send(request)
            return self._link.recv()
        except (EOFError, OSError):
            raise RehearsalError("this moment is no longer kept: its fork has ended") from None

    def let_go(self) -> None:
        """Closes this process's end of the link."""
        self._link.close()

    def close(self) -> None:
        """Ends the fork."""
        self.let_go()
        os.waitpid(self._pid, 0)


def run_branch(
    rehearsal: Rehearsal,
    seconds: float,
    alarms: Callable[[], Sequence[Mapping[str, Any]]],
    verdicts: Mapping[str, Callable[[], Mapping[str, Any]]],
) -> Branch:
    """Runs a fork on for some virtual seconds, and lets the application judge the end."""
    rehearsal.scheduler.hurry()
    branch, records = Branch(), rehearsal.meter.records
    first, start, began = len(records), rehearsal.clock.now(), _monotonic()
    ringing = {each["path"] for each in alarms() if each["state"] == "ALARM"}
    evaluated = start
    while (left := start + seconds - rehearsal.clock.now()) > 0:
        if _monotonic() - began > _LONGEST_REAL_S:
            break
        rehearsal.run_for(min(_STEP_S, left))
        now = rehearsal.clock.now()
        if now - evaluated >= _ALARMS_EVERY_S or now >= start + seconds:
            evaluated = now
            for each in alarms():
                if each["state"] == "ALARM" and each["path"] not in ringing:
                    branch.alarms.setdefault(each["path"], round(now - start, 1))
    branch.seconds = round(rehearsal.clock.now() - start, 3)
    branch.passed = [
        _passed(each, start)
        for each in records[first:]
        if has_row(each.kind, each.detail.get("what")) and each.detail.get("outcome") != "filtered"
    ]
    depths = rehearsal.queue_depths()
    branch.dead = {path: depths[path] for path in rehearsal.dead_letter_queues()}
    for name, judge in verdicts.items():
        verdict = judge()
        branch.verdicts[name] = (bool(verdict["good"]), str(verdict["text"]))
    return branch


def compared(plain: Branch, changed: Branch) -> dict[str, Any]:
    """Returns what differs between two branches, and from where on."""
    end = min(plain.seconds, changed.seconds)
    both = [[each for each in branch.passed if each[0] <= end] for branch in (plain, changed)]
    first = next(
        (pair for pair in zip_longest(*both) if pair[0] != pair[1]),
        None,
    )
    counts = [Counter(map(_counted, passed)) for passed in both]
    rows = [(what, counts[0][what], counts[1][what]) for what in {*counts[0], *counts[1]}]
    rows.sort(key=lambda row: (-abs(row[1] - row[2]), row))
    return {
        "seconds": end,
        "first": first and [each and list(each) for each in first],
        "counts": [row for row in rows if row[1] != row[2]][:_SHOWN],
        "same": sum(row[1] == row[2] for row in rows),
        "records": [len(passed) for passed in both],
        "dead": _differing(plain.dead, changed.dead, 0),
        "alarms": _differing(plain.alarms, changed.alarms, None),
        "verdicts": [
            [name, *branch.verdicts[name]] for branch in (plain, changed) for name in plain.verdicts
        ],
    }


def branches(
    runs: Sequence[Callable[[], Branch]],
) -> list[Fork[Branch]]:
    """Runs each in a fork, and returns them in this order."""
    return sorted(forked(runs, at_once=len(runs)), key=lambda each: each.index)


def _passed(record: Record, start: float) -> Passed:
    detail = record.detail
    event = detail.get("event")
    says = [
        str(event.get("detail-type", "")) if isinstance(event, dict) else "",
        "failed" if detail.get("error") or detail.get("failed") else "",
        *(str(detail[name]) for name in ("name", "outcome", "what") if detail.get(name)),
    ]
    if record.kind in {"request", "outbound"}:
        says.append(str(detail.get("status")))
    words = " ".join(filter(None, says))
    return round(record.time - start, 6), record.kind, record.source, record.target, words


def _counted(passed: Passed) -> str:
    """Names what is counted: events by type, and all else by its kind and place."""
    _, kind, source, target, words = passed
    if kind == "published":
        return f"published {words}"
    return " ".join(filter(None, (kind, words, "at", target or source)))


def _differing(
    plain: Mapping[str, Any], changed: Mapping[str, Any], missing: Any
) -> list[list[Any]]:
    """Returns what is not `missing` in both, by name."""
    rows = (
        [name, plain.get(name, missing), changed.get(name, missing)]
        for name in sorted({*plain, *changed})
    )
    return [row for row in rows if row[1:] != [missing, missing]]
