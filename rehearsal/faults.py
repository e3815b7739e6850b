"""Faults that a rehearsal injects, by name, where something is invoked or delivered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rehearsal.errors import RehearsalError

When = Literal["before", "after", "delivery"]


class InjectedFault(Exception):
    """What is raised if a fault names no error of its own."""


@dataclass
class _Fault:
    target: str
    when: When
    error: BaseException
    left: int | None


class Faults:
    """The faults that are to come; each is used up after ``times`` occasions."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        """``is_known`` says whether there is a resource at a path."""
        self._is_known = is_known
        self._faults: list[_Fault] = []

    def fail(
        self,
        target: str,
        *,
        times: int | None = 1,
        error: BaseException | None = None,
        when: When = "before",
    ) -> None:
        """Let what happens at ``target``, a path, fail the next ``times`` times (None: always).

        ``before`` raises instead of running a function's handler; ``after`` runs the handler and
        loses its answer, as a crash between effect and acknowledgement does; ``delivery`` fails
        the attempts of rules, topics, buckets and schedules to deliver to the target, in a way that
        is worth a retry.
        """
        if not self._is_known(target):
            raise RehearsalError(f"a fault is meant for {target}, but no resource has this path")
        self._faults.append(_Fault(target, when, error or InjectedFault(target), times))

    def clear(self) -> None:
        """Take back all faults that are left."""
        self._faults.clear()

    def check(self, target: str, when: When) -> None:
        """Raise the error of the first fault that is meant for this moment, if there is one."""
        for fault in self._faults:
            if fault.target == target and fault.when == when:
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        self._faults.remove(fault)
                raise fault.error
