"""The console: sends a rehearsal's records to the page, and carries out the page's commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from cdk_rehearsal.console.actions import Action, Site
from cdk_rehearsal.console.commands import Commands
from cdk_rehearsal.console.layout import map_of
from cdk_rehearsal.console.link import Link
from cdk_rehearsal.rehearsal import Rehearsal

# The function of the real world, kept before the clock starts.
_monotonic = time.monotonic

_EVERY_S = 0.05
_PAUSED_S = 0.25
_ALARMS_S = 1.0
"""The alarms are evaluated at most this often, in real time, as there may be hundreds."""


class Console:
    """A live page about a rehearsal; to be used in a `with` statement.

    Call `tick` often, between two steps of the rehearsal. It returns soon, unless the viewer has
    paused: then it returns when the viewer continues.
    """

    def __init__(
        self,
        rehearsal: Rehearsal,
        *,
        title: str,
        actions: Sequence[Action] = (),
        site: Site | None = None,
        runbook: Callable[[str], str] | None = None,
        port: int = 0,
    ) -> None:
        """Prepares a page with this title. `port` is that of the page; 0 takes a free one.

        The page links to `site`. `runbook` returns the text about an alarm with a description.
        Raises RehearsalError if the libraries of the extra `console` are missing.
        """
        self.url = ""
        """The URL of the page, with its token."""
        self.speed = 1.0
        """Virtual seconds in a real one, if the caller keeps a pace."""
        self.skips_quiet = True
        """Whether the caller should skip times in which nothing happens."""
        self.changes = 0
        """How often the viewer has changed the pace. The caller then begins to measure anew."""
        self.phase = ""
        """What the rehearsal is doing, in words."""
        self.paused = False
        self.viewers = 0
        self._rehearsal = rehearsal
        self._title = title
        self._commands = Commands(self, rehearsal, actions, runbook)
        self._site = site
        self._actions = actions
        self._link = Link(port)
        self._records = 0
        self._ticked = 0.0
        self._depths: dict[str, tuple[int, float]] = {}
        self._busy: dict[str, int] = {}
        self._alarms: dict[str, dict[str, Any]] = {}
        self._evaluated = self._evaluated_at = 0.0
        self._status = b""

    # -- beginning and end ----------------------------------------------------------------

    def __enter__(self) -> Console:
        """Starts the server of the page, and waits until it listens."""
        pages = self._site.pages() if self._site else {}
        records = self._rehearsal.meter.records
        about = {
            "title": self._title,
            "start": min((each.time for each in records[:1]), default=self._rehearsal.clock.now()),
            "map": map_of(self._rehearsal.assembly),
            "actions": [
                {"name": each.name, "says": each.says, "role": each.role} for each in self._actions
            ],
            "faults": self._commands.faults(),
            "pages": pages,
            "build": self._site.build if self._site else "",
            "runbook": self._commands.has_runbook,
        }
        self.url = self._link.start(about, self._site.directory if self._site and pages else None)
        self.tick(at_once=True)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Sends the last records, and ends the server."""
        self._commands.close()
        self._send_records()
        self._link.close()

    def leave_to_parent(self) -> None:
        """Cuts this process, a fork, off from the page."""
        self.viewers = 0
        self._link.leave_to_parent()

    # -- between two steps ----------------------------------------------------------------

    def tick(self, *, at_once: bool = False) -> None:
        """Sends what has happened, and carries out the commands of the page."""
        now = _monotonic()
        if not at_once and not self.paused and now - self._ticked < _EVERY_S:
            return
        self._ticked = now
        self._exchange()
        while self.paused:
            self._link.wait(_PAUSED_S)
            self._exchange()

    def _exchange(self) -> None:
        self._send_records()
        self._send_samples()
        self._send_status()
        self._link.flush()
        for command in self._link.commands():
            self._answer(command)
        self._link.flush()
        if not self._link.is_open:
            # The rehearsal goes on without a page.
            self.paused = False

    def _send_records(self) -> None:
        records = self._rehearsal.meter.records
        for record in records.since(self._records):
            self._link.put(b"R", self._link.encode(record))
        self._records = len(records)

    def _send_samples(self) -> None:
        now = self._rehearsal.clock.now()
        samples: list[tuple[float, str, str, float, float]] = []
        for queue in self._rehearsal.queues:
            depth = queue.depth
            if not depth and queue.path not in self._depths:
                continue
            oldest = queue.oldest or 0.0
            if self._depths.get(queue.path) != (depth, oldest):
                self._depths[queue.path] = (depth, oldest)
                age = round((now - oldest) * 1000) if oldest else 0
                samples.append((now, "depth", queue.path, depth, age))
        for function in self._rehearsal.functions:
            # One invocation at a time is nothing to look at.
            active = function.active if function.active > 1 else 0
            if active != self._busy.get(function.path, 0):
                self._busy[function.path] = active
                limit = function.reserved_concurrency or 0
                samples.append((now, "busy", function.path, active, limit))
        due = now // 60 != self._evaluated // 60 and _monotonic() - self._evaluated_at > _ALARMS_S
        if self.viewers and due:
            self._evaluated, self._evaluated_at = now, _monotonic()
            samples += self._alarm_samples(now)
        if samples:
            self._link.put(b"S", self._link.encode(samples))

    def _alarm_samples(self, now: float) -> list[tuple[float, str, str, float, float]]:
        """Evaluates the alarms of the templates, and returns those in another state."""
        samples = []
        for alarm in self._commands.alarms():
            known = self._alarms.get(alarm["path"], {}).get("state")
            ringing = alarm["state"] == "ALARM"
            if ringing != (known == "ALARM"):
                samples.append((now, "alarm", alarm["path"], float(ringing), 0.0))
            self._alarms[alarm["path"]] = alarm
        return samples

    def _send_status(self) -> None:
        status = self._link.encode(
            {
                "paused": self.paused,
                "speed": self.speed,
                "skips_quiet": self.skips_quiet,
                "phase": self.phase,
                "now": round((self._rehearsal.clock.now()) * 1000) if self.paused else 0,
                "faults": self._commands.planned(),
                "alarms": [each for each in self._alarms.values() if each["state"] == "ALARM"],
                "discarded": self._commands.discarded,
                "moments": self._commands.moments(),
            }
        )
        if status != self._status:
            self._status = status
            self._link.put(b"T", status)

    def _answer(self, command: dict[str, Any]) -> None:
        answer = self._commands.carry_out(command)
        if "id" in command:
            # What a command has changed is on the page before its answer.
            self._send_records()
            self._send_samples()
            self._send_status()
            self._link.answer(command["id"], answer)
