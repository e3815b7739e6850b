"""The commands of the page. They are carried out between two steps of the rehearsal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from cdk_rehearsal.console.actions import Action
from cdk_rehearsal.console.bill import Bill
from cdk_rehearsal.console.branches import Branch, Moment, branches, compared, run_branch
from cdk_rehearsal.console.recording import has_row
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.faults import FAULTS, Planned
from cdk_rehearsal.forks import Fork, forked
from cdk_rehearsal.rehearsal import Rehearsal
from cdk_rehearsal.sites import FaultSite, inject, misfit, sites_passed
from cdk_rehearsal.topology import edges

if TYPE_CHECKING:
    from cdk_rehearsal.console.console import Console

_SLOWEST, _FASTEST = 0.05, 1_000_000.0
_LETTERS = 500
_LOG_CHARACTERS = 20_000
_STEPS = 10_000
"""The most calls until a step of the page ends."""
_KEPT = 3
"""The most moments that are kept: each may come to need as much memory as the rehearsal."""
_LONGEST_BRANCH_S = 86_400.0
_REDRIVE_S = 6 * 3600.0
"""The virtual seconds that the rehearsal of a redrive looks ahead."""


class BadCommand(Exception):
    """A command of the page that cannot be carried out; the message says why."""


class Commands:
    """All commands, by name."""

    def __init__(
        self,
        console: Console,
        rehearsal: Rehearsal,
        actions: Sequence[Action],
        runbook: Callable[[str], str] | None = None,
    ) -> None:
        self._console = console
        self._rehearsal = rehearsal
        self._actions = {action.name: action for action in actions}
        self._runbook = runbook
        self.has_runbook = runbook is not None
        self._bill: Bill | None = None
        """The bill since the page was first looked at: without a viewer, nothing is metered."""
        self._numbers = count(1)
        self._moments: dict[int, Moment] = {}
        self._injected: dict[int, tuple[Planned, FaultSite]] = {}
        found = edges(rehearsal.assembly)
        self._edges = [FaultSite(each.kind, each.source, each.target) for each in found]
        self._fed_by = {
            edge.parking: {each.target for each in found if each.parking == edge.parking}
            for edge in found
        }
        """The targets of the edges that park in a dead-letter queue, by its path."""
        self.discarded: list[dict[str, Any]] = []
        """The messages that the viewer has discarded, with the reason."""
        self._by_name: Mapping[str, Callable[..., Any]] = {
            "viewers": self._viewers,
            "pause": self._pause,
            "continue": self._continue,
            "step": self._step,
            "pace": self._pace,
            "sites": self._sites,
            "inject": self._inject,
            "heal": self._heal,
            "what_if": self._what_if,
            "keep": self._keep,
            "letters": self._letters,
            "redrive": self._redrive,
            "rehearse": self._rehearse,
            "discard": self._discard,
            "alarms": self.alarms,
            "runbook": self._runbook_page,
            "logs": self._logs,
            "bill": self._bill_so_far,
            "forms": self._forms,
            "act": self._act,
        }

    def carry_out(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Carries out a command. Returns its `value`, or an `error` that says what is wrong."""
        arguments = {name: value for name, value in command.items() if name not in {"do", "id"}}
        try:
            run = self._by_name.get(str(command.get("do")))
            if run is None:
                raise BadCommand(f"there is no command {command.get('do')!r}")
            return {"value": run(**arguments)}
        except (BadCommand, RehearsalError) as error:
            return {"error": str(error)}
        except (TypeError, ValueError, KeyError) as error:
            return {"error": f"the command {command.get('do')!r} has wrong arguments: {error}"}

    # -- time -----------------------------------------------------------------------------

    def _viewers(self, number: int) -> None:
        self._console.viewers = number
        if number and self._bill is None:
            self._bill = Bill(self._rehearsal)
        if not number and self._console.paused:
            # Nobody is there to continue.
            self._continue()

    def _pause(self) -> None:
        self._console.paused = True

    def _continue(self) -> None:
        self._console.paused = False
        self._console.changes += 1

    def _step(self) -> int:
        """Runs until there is something new on the page. Returns the number of new records."""
        scheduler, records = self._rehearsal.scheduler, self._rehearsal.meter.records
        before = seen = len(records)
        for _ in range(_STEPS):
            moment = scheduler.next_time()
            if moment is None or any(
                has_row(each.kind, each.detail.get("what")) for each in records[seen:]
            ):
                break
            seen = len(records)
            scheduler.run_to(max(moment, scheduler.now()))
        return len(records) - before

    def _pace(self, speed: float | None = None, skips_quiet: bool | None = None) -> None:
        if speed is not None:
            if not _SLOWEST <= float(speed) <= _FASTEST:
                raise BadCommand(f"the speed {speed} is not between {_SLOWEST} and {_FASTEST}")
            self._console.speed = float(speed)
        if skips_quiet is not None:
            self._console.skips_quiet = bool(skips_quiet)
        self._console.changes += 1

    # -- faults ---------------------------------------------------------------------------

    def faults(self) -> list[dict[str, str]]:
        """Returns all faults."""
        return [{"name": each.name, "says": each.says} for each in FAULTS.values()]

    def planned(self) -> list[dict[str, Any]]:
        """Returns the faults that are to come, of those that were injected here."""
        left = self._rehearsal.faults.left()
        return [
            {"number": number, "name": each.fault.name, "says": each.fault.says, **asdict(site)}
            for number, (each, site) in self._injected.items()
            if each in left
        ]

    def _sites(self, path: str) -> list[dict[str, Any]]:
        """Returns the sites at a node or edge, each with the faults that can act there."""
        passed = sites_passed(self._rehearsal.meter.records, self._edges)
        return [
            {
                **asdict(site),
                "faults": [name for name, each in FAULTS.items() if misfit(each, site) is None],
            }
            for site in sorted({*self._edges, *passed}, key=lambda each: (each.synchronous, each))
            if path in (site.source, site.target)
        ]

    def _inject(
        self,
        fault: str,
        kind: str,
        source: str,
        target: str,
        operation: str = "",
        forever: bool = False,
    ) -> int:
        site = _site(fault, kind, source, target, operation)
        if self._console.viewers:
            self._keep(f"before {fault} at {target or source}")
        times = 10**9 if forever else None
        planned = inject(self._rehearsal.faults, FAULTS[fault], site, times=times)
        number = next(self._numbers)
        self._injected[number] = (planned, site)
        return number

    def _heal(self, number: int | None = None) -> None:
        for each, (planned, _) in list(self._injected.items()):
            if number in (None, each):
                self._rehearsal.faults.cancel(planned)
                del self._injected[each]

    # -- what if ----------------------------------------------------------------------------

    def _what_if(
        self,
        seconds: float,
        moment: int = 0,
        seed: int | None = None,
        heal: bool = False,
        fault: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Runs two branches from a moment that is kept, or from now: one of them is changed."""
        if not 1 <= float(seconds) <= _LONGEST_BRANCH_S:
            raise BadCommand(f"{seconds} s are not between 1 and {_LONGEST_BRANCH_S:.0f}")
        if seed is None and not heal and not fault:
            raise BadCommand("both branches would be the same: choose what is changed")
        if fault:
            fault = dict(fault)
            _site(**{name: each for name, each in fault.items() if name != "forever"})
        change = {"seed": None if seed is None else int(seed), "heal": bool(heal), "fault": fault}
        request = (float(seconds), change)
        if moment and moment not in self._moments:
            raise BadCommand("this moment is no longer kept: choose another one")
        with self._rehearsal.scheduler.guest():
            done = self._moments[moment].ask(request) if moment else self._branches(request)
        if errors := [(each.error or "").strip().splitlines()[-1] for each in done if each.error]:
            raise BadCommand(f"the fork failed: {errors[0]}")
        return compared(*[each.value for each in done if each.value is not None])

    def _branches(self, request: tuple[float, Mapping[str, Any]]) -> list[Fork[Branch]]:
        seconds, change = request
        return branches([partial(self._branch, seconds, each) for each in ({}, change)])

    def _branch(self, seconds: float, change: Mapping[str, Any]) -> Branch:
        """Runs in a fork."""
        self.leave_to_parent()
        if change.get("heal"):
            self._heal()
        if change.get("seed") is not None:
            self._rehearsal.reseed(change["seed"])
        if fault := change.get("fault"):
            self._inject(**fault)
        judges = {name: each.run for name, each in self._actions.items() if each.judges}
        return run_branch(self._rehearsal, seconds, self.alarms, judges)

    def _keep(self, says: str = "") -> int:
        """Keeps this moment, as one from which branches can start later."""
        while len(self._moments) >= _KEPT:
            self._moments.pop(min(self._moments)).close()
        number, now = next(self._numbers), self._rehearsal.clock.now()
        with self._rehearsal.scheduler.guest():
            self._moments[number] = Moment(
                says.strip() or "kept", now, self._branches, self.leave_to_parent
            )
        return number

    def leave_to_parent(self) -> None:
        """Lets go of what belongs to the process of which this one is a fork."""
        self._console.leave_to_parent()
        for moment in self._moments.values():
            moment.let_go()
        self._moments.clear()

    def moments(self) -> list[dict[str, Any]]:
        """Returns the moments that are kept."""
        return [
            {"number": number, "time": each.time, "says": each.says}
            for number, each in self._moments.items()
        ]

    def close(self) -> None:
        """Ends the forks of moments that are kept."""
        for moment in self._moments.values():
            moment.close()
        self._moments.clear()

    # -- dead letters ---------------------------------------------------------------------

    def _letters(self, path: str) -> dict[str, Any]:
        messages = self._rehearsal.messages(path)
        return {"number": len(messages), "messages": messages[:_LETTERS]}

    def _redrive(self, path: str, only: Sequence[str] | None = None) -> dict[str, int]:
        """Moves messages back to their sources. Those that a service sent have none."""
        self._require_dead_letters(path)
        moved = self._rehearsal.redrive(path, self._destination(path), only)
        return {"moved": moved}

    def _destination(self, path: str) -> str | None:
        """Returns the queue for messages that a service has sent to a dead-letter queue.

        Without one, each message goes back to the queue that it came from.
        """
        messages = self._rehearsal.messages(path)
        if all(each["source"] for each in messages):
            return None
        queues = {each.path for each in self._rehearsal.queues}
        targets = self._fed_by.get(path, set()) & queues
        return targets.pop() if len(targets) == 1 else None

    def _rehearse(self, path: str, only: Sequence[str] | None = None) -> dict[str, Any]:
        """Redrives in a fork of this process, and returns what would happen."""
        self._require_dead_letters(path)
        with self._rehearsal.scheduler.guest():
            (result,) = forked([lambda: self._redriven(path, only)], at_once=1)
        if result.value is None:
            raise BadCommand(f"the fork failed: {(result.error or '').strip().splitlines()[-1]}")
        return result.value

    def _redriven(self, path: str, only: Sequence[str] | None) -> dict[str, Any]:
        """Runs in the fork, until the messages have left the queues to which they were moved."""
        rehearsal = self._rehearsal
        self.leave_to_parent()
        rehearsal.scheduler.hurry()
        records, start = len(rehearsal.meter.records), rehearsal.clock.now()
        before = {*self._waiting()}
        moved = self._redrive(path, only)["moved"]
        followed = {id_: queue for id_, queue in self._waiting().items() if id_ not in before}
        dead = {*rehearsal.dead_letter_queues()}
        now = followed
        while rehearsal.clock.now() < start + _REDRIVE_S:
            rehearsal.run_for(1.0)
            now = self._waiting()
            if all(now.get(id_, path) in dead for id_ in followed):
                break
        errors = Counter(
            str(each.detail["error"].get("errorType"))
            for each in rehearsal.meter.records[records:]
            if each.kind == "invocation"
            and each.detail["error"]
            and each.source in followed.values()
        )
        back = sum(id_ in now for id_ in followed)
        seconds = round(rehearsal.clock.now() - start, 1)
        return {"moved": moved, "back": back, "errors": dict(errors), "seconds": seconds}

    def _waiting(self) -> dict[str, str]:
        """Returns the queue of each message, by its id."""
        return {
            message["message_id"]: queue.path
            for queue in self._rehearsal.queues
            for message in queue.peek()
        }

    def _discard(self, path: str, message_id: str, reason: str) -> dict[str, Any]:
        self._require_dead_letters(path)
        if not reason.strip():
            raise BadCommand("a message is discarded only with a reason: write one")
        message = self._rehearsal.queues.by_path(path).discard(message_id)
        time = self._rehearsal.clock.now()
        entry = {"time": time, "queue": path, "reason": reason.strip(), "message_id": message_id}
        self.discarded.append(entry)
        self._rehearsal.meter.add(
            "discarded", path, "nowhere", condition="operator", reason=reason, message=message
        )
        return entry

    def _require_dead_letters(self, path: str) -> None:
        if path not in self._rehearsal.dead_letter_queues():
            raise BadCommand(f"{path} is no dead-letter queue")

    # -- looking --------------------------------------------------------------------------

    def alarms(self) -> list[dict[str, Any]]:
        """Evaluates the alarms of the templates, and returns all of them."""
        pages = self._rehearsal.client("cloudwatch").get_paginator("describe_alarms")
        pages = pages.paginate(AlarmTypes=["CompositeAlarm", "MetricAlarm"])
        return [
            {
                "path": self._rehearsal.path_of(alarm["AlarmArn"]),
                "name": alarm["AlarmName"],
                "state": alarm["StateValue"],
                "reason": alarm.get("StateReason", ""),
                "says": alarm.get("AlarmDescription", ""),
            }
            for page in pages
            for alarm in (*page["CompositeAlarms"], *page["MetricAlarms"])
        ]

    def _runbook_page(self, path: str) -> str:
        """Returns what the application's runbook says about an alarm; empty if it says nothing."""
        says = next((each["says"] for each in self.alarms() if each["path"] == path), "")
        return self._runbook(says) if self._runbook else ""

    def _bill_so_far(self) -> dict[str, Any]:
        if self._bill is None:
            raise BadCommand("nothing is metered before the page is looked at: open it")
        return self._bill.so_far()

    def _logs(self, path: str) -> str:
        return self._rehearsal.logs(path)[-_LOG_CHARACTERS:]

    # -- the application's own ----------------------------------------------------------

    def _forms(self) -> list[dict[str, Any]]:
        """Returns the actions with which the viewer takes part, and what fits their fields now."""
        return [each.form() for each in self._actions.values() if each.role]

    def _act(self, name: str, values: Mapping[str, object] | None = None) -> Any:
        if name not in self._actions:
            raise BadCommand(f"there is no action {name!r}")
        try:
            taken = self._actions[name].taken(values or {})
        except ValueError as error:
            raise BadCommand(str(error)) from error
        try:
            return self._actions[name].run(**taken)
        except Exception as error:
            # An injected fault may be the reason. The rehearsal goes on.
            raise BadCommand(f"{name} has failed: {type(error).__name__}: {error}") from error


def _site(fault: str, kind: str, source: str, target: str, operation: str = "") -> FaultSite:
    """Returns where a fault is to act. Raises BadCommand if it cannot."""
    site = FaultSite(kind, source, target, operation)
    if fault not in FAULTS:
        raise BadCommand(f"there is no fault {fault!r}: choose one of {', '.join(FAULTS)}")
    if reason := misfit(FAULTS[fault], site):
        raise BadCommand(f"{fault} cannot act at {site}: {reason}")
    return site
