"""Processes, which sleep and wait in virtual time, and the signals that they wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import greenlet  # type: ignore[import-untyped]

from cdk_rehearsal.errors import ProcessKilled
from cdk_rehearsal.virtual_time.agenda import Timer


class ProcessContext(Protocol):
    """State of the interpreter that is installed while a process runs."""

    def enter(self) -> None:
        """Installs the state; called whenever the scheduler switches into the process."""

    def exit(self) -> None:
        """Removes the state; called whenever the process yields or ends."""


class Switch(Protocol):
    """What processes and signals need of the scheduler."""

    current: Process | None
    """The process that runs; None outside of processes."""

    def suspend(self, timeout: float | None, *, daemon: bool) -> bool:
        """Yields the current process; returns True if it was woken, False after the timeout."""

    def make_ready(self, process: Process, *, woken: bool) -> None:
        """Lets a waiting process continue, at the present virtual time."""

    def ended(self, process: Process) -> None:
        """Removes a process that has ended."""

    def run_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Runs until ``predicate`` holds; returns False after the timeout."""


class Process:
    """A cooperative thread of control; it yields only where it sleeps or waits.

    The scheduler sets ``waiting``, ``woken`` and ``timer``.
    """

    def __init__(
        self,
        switch: Switch,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        name: str,
        environment: ProcessContext | None,
        daemon: bool,
        critical: bool,
    ) -> None:
        self.name = name
        self.environment = environment
        self.daemon = daemon
        self.critical = critical
        self.done = False
        self.error: BaseException | None = None
        self.killed: BaseException | None = None
        self.waiting = False
        self.woken = False
        self.timer: Timer | None = None
        self.greenlet = greenlet.greenlet(self._run)
        self._switch = switch
        self._fn = fn
        self._args = args
        self._value: Any = None
        self._finished = Signal(switch)

    def __str__(self) -> str:
        return f"process {self.name}"

    @property
    def value(self) -> Any:
        """What ``fn`` returned; None while it runs, or if it failed."""
        return self._value

    def result(self) -> Any:
        """Waits for the end of the process; returns its value or raises its error."""
        self.join()
        if self.error is not None:
            raise self.error
        return self._value

    def join(self, timeout: float | None = None) -> bool:
        """Waits up to ``timeout`` virtual seconds for the end; returns whether it was reached."""
        return self._finished.wait(timeout)

    def kill(self, error: BaseException | None = None) -> None:
        """Raises ``error`` (by default ProcessKilled) in the process, where it sleeps or waits."""
        if self.done or self.killed is not None:
            return
        self.killed = error or ProcessKilled(self.name)
        if self._switch.current is self:
            raise self.killed
        self._switch.make_ready(self, woken=False)

    def _run(self) -> None:
        try:
            if self.killed is not None:
                raise self.killed
            self._value = self._fn(*self._args)
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self.error = error
        finally:
            self.done = True
            self._switch.ended(self)
            self._finished.set()


class Signal:
    """A flag to wait for: the interface of ``threading.Event``, in virtual time."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._set = False
        self._waiters: deque[Process] = deque()

    def is_set(self) -> bool:
        """Returns whether the flag is set."""
        return self._set

    def set(self) -> None:
        """Sets the flag and wakes all processes that wait, in the order in which they came."""
        self._set = True
        while self._waiters:
            self._switch.make_ready(self._waiters.popleft(), woken=True)

    def clear(self) -> None:
        """Resets the flag."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Waits up to ``timeout`` virtual seconds for the flag; returns whether it was set.

        Outside of a process this runs what is due meanwhile.
        """
        if self._set:
            return True
        process = self._switch.current
        if process is None:
            return self._switch.run_until(self.is_set, timeout)
        self._waiters.append(process)
        try:
            return self._switch.suspend(timeout, daemon=process.daemon)
        finally:
            if process in self._waiters:
                self._waiters.remove(process)
