"""The scheduler: runs one thing at a time, in the order of virtual time."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import greenlet  # type: ignore[import-untyped]

from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.virtual_time.agenda import Agenda, Timer
from cdk_rehearsal.virtual_time.clock import Clock
from cdk_rehearsal.virtual_time.pace import Pace, Pacer
from cdk_rehearsal.virtual_time.processes import Process, ProcessContext
from cdk_rehearsal.virtual_time.turns import Turns

# The functions of the real world, kept before anything is patched.
_real_sleep = time.sleep
_monotonic = time.monotonic


class Scheduler:
    """Runs one thing at a time, in the order of (virtual time, sequence number).

    Everything random in a rehearsal draws from ``random``, so that one seed gives one run.
    """

    def __init__(self, clock: Clock, *, seed: int = 0, pace: Pace = "virtual") -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.current: Process | None = None
        self.outside: ProcessContext | None = None
        """The state of the program that runs the scheduler; removed while it runs."""
        self._agenda = Agenda()
        self._turns = Turns()
        self._pacer = Pacer(pace, clock, self._turns)
        self._processes: dict[Process, None] = {}
        self._failure: BaseException | None = None
        self._running = False
        # Up to this time the clock may move without a check between two steps.
        self._horizon = float("-inf")
        self._thread = threading.get_ident()
        self._hub: greenlet.greenlet = greenlet.getcurrent()

    # -- time and processes ---------------------------------------------------------------

    def now(self) -> float:
        """Returns the virtual time in seconds since the epoch."""
        return self.clock.now()

    def call_at(
        self, moment: float, fn: Callable[..., object], *args: Any, daemon: bool = False
    ) -> Timer:
        """Calls ``fn`` at a virtual time; it must neither sleep nor wait.

        A ``daemon`` call does not count as work for ``run_until_idle``.
        """
        # Whole microseconds: the resolution of Python's datetime.
        moment = max(round(moment, 6), self.clock.now())
        return self._agenda.add(moment, fn, args, daemon)

    def call_later(
        self, delay: float, fn: Callable[..., object], *args: Any, daemon: bool = False
    ) -> Timer:
        """Calls ``fn`` after ``delay`` virtual seconds; see ``call_at``."""
        return self.call_at(self.clock.now() + delay, fn, *args, daemon=daemon)

    def spawn(
        self,
        fn: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        at: float | None = None,
        environment: ProcessContext | None = None,
        daemon: bool = False,
        critical: bool = False,
    ) -> Process:
        """Runs ``fn`` as a process, now or at the virtual time ``at`` (epoch seconds).

        An error of a ``critical`` process ends the run; that of another is raised by ``result``.
        For ``run_until_idle`` a ``daemon`` counts as work while it runs or sleeps, but not while
        it waits, with or without a timeout.
        """
        label = name or str(getattr(fn, "__qualname__", fn))
        process = Process(self, fn, args, label, environment, daemon, critical)
        self._processes[process] = None
        process.waiting = True
        process.timer = self.call_at(self.now() if at is None else at, self._resume, process, False)
        return process

    def call(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs ``fn`` in a process and waits for its result, in a process or outside of one."""
        process = self.spawn(lambda: fn(*args, **kwargs), name=fn.__qualname__)
        if self.is_foreign_thread() and not self.wait_as_guest(process):
            raise RehearsalError("the rehearsal is not running, so nothing answers")
        return process.result()

    def sleep(self, seconds: float) -> None:
        """Lets ``seconds`` pass in virtual time; outside of a process, runs calls due by then."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self.is_foreign_thread():
            _real_sleep(seconds)
        elif self.current is None:
            self.run_for(seconds)
        else:
            self.suspend(seconds, daemon=False)

    # -- running --------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no work is due; what only repeats or waits for work does not count."""
        return not self._agenda.work

    def next_time(self) -> float | None:
        """Returns the virtual time at which something is due next, or None if nothing is."""
        return self._agenda.next_time()

    def hurry(self) -> None:
        """Lets virtual time pass at once from now on, even if it kept the pace of real time."""
        self._pacer.is_real = False

    def run_until_idle(self, limit_s: float = 86_400.0) -> None:
        """Runs until no work is due; RehearsalError if some is left after ``limit_s`` seconds."""
        limit = self.now() + limit_s
        with self._run(limit):
            while self._agenda.work:
                if not self._step(limit):
                    raise RehearsalError(
                        f"not idle after {limit_s:g} s of virtual time; still due:"
                        + "".join(f"\n  {_described(timer)}" for timer in self._agenda.due()[:20])
                        + "\nGive a higher limit_s, or look for what never ends."
                    )
            stuck = [p.name for p in self._processes if not p.daemon]
            if stuck:
                raise RehearsalError(
                    "nothing is due any more, but these processes wait for something that "
                    f"can no longer happen: {', '.join(stuck)}"
                )

    def run_for(self, seconds: float) -> None:
        """Runs what is due within ``seconds`` of virtual time, and lets all of them pass."""
        self.run_to(self.now() + seconds)

    def run_to(self, moment: float) -> None:
        """Runs what is due up to a virtual time (epoch seconds), and moves the clock there."""
        moment = round(moment, 6)
        with self._run(moment):
            while self._advance(moment):
                pass

    def run_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Runs until ``predicate`` holds or ``timeout`` virtual seconds have passed.

        Raises RehearsalError if there is no timeout and no work is due.
        """
        limit = float("inf") if timeout is None else round(self.now() + timeout, 6)
        with self._run():
            while not predicate():
                if timeout is None and not (self._agenda.work and self._step(limit)):
                    raise RehearsalError("waiting for something that can no longer happen")
                if timeout is not None and not self._advance(limit):
                    return predicate()
            return True

    def close(self) -> None:
        """Kills the remaining processes, and forgets all that is due."""
        with self._aside():
            for process in list(self._processes):
                process.kill()
                process.timer = None
                self._switch(process)
        self._agenda.clear()
        self._processes.clear()
        self._failure = None

    # -- other threads --------------------------------------------------------------------

    def is_foreign_thread(self) -> bool:
        """Whether the present thread is another than the one that runs the rehearsal."""
        return threading.get_ident() != self._thread

    @contextmanager
    def guest(self) -> Iterator[None]:
        """Lets another thread touch the state: never in the middle of a step."""
        with self._turns:
            yield
            self._turns.announce()

    def wait_as_guest(self, process: Process, timeout: float = 60.0) -> bool:
        """Within ``guest``, wait up to ``timeout`` real seconds for a process to end."""
        self._turns.announce()
        end = _monotonic() + timeout
        while not process.done and _monotonic() < end:
            self._turns.await_change(0.02)
        return process.done

    # -- for processes and signals --------------------------------------------------------

    def suspend(self, timeout: float | None, *, daemon: bool) -> bool:
        """Yields the current process; returns True if it was woken, False after the timeout.

        A ``daemon`` does not count as work meanwhile.
        """
        process = self.current
        if process is None:
            raise RehearsalError("only a process can be suspended")
        if process.killed is not None:
            raise process.killed
        if timeout is not None and not daemon and self._sleeps_alone(timeout):
            return False
        process.waiting = True
        if timeout is not None:
            process.timer = self.call_later(timeout, self._resume, process, False, daemon=daemon)
        self._hub.switch()
        if process.killed is not None:
            raise process.killed
        return process.woken

    def make_ready(self, process: Process, *, woken: bool) -> None:
        """Lets a waiting process continue, at the present virtual time."""
        if not process.waiting:
            return
        if process.timer is not None:
            process.timer.cancel()
        process.timer = self.call_at(self.now(), self._resume, process, woken)

    def ended(self, process: Process) -> None:
        """Removes a process that has ended."""
        self._processes.pop(process, None)
        if process.critical and process.error is not None and process.killed is None:
            self._failure = process.error
        if isinstance(process.error, KeyboardInterrupt):
            self._failure = process.error

    # -- inner workings -------------------------------------------------------------------

    @contextmanager
    def _run(self, horizon: float = float("-inf")) -> Iterator[None]:
        if self.is_foreign_thread():
            raise RehearsalError("a rehearsal can be run only by the thread that made it")
        if self._running:
            raise RehearsalError(
                "the rehearsal runs already: use sleep, join or wait inside of a process"
            )
        self._running = True
        self._horizon = float("-inf") if self._pacer.is_real else horizon
        self._hub = greenlet.getcurrent()
        self._pacer.start()
        try:
            with self._aside():
                yield
        finally:
            self._running = False
            self._horizon = float("-inf")

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Puts the program's own modules aside, because processes have theirs."""
        if self.outside is None:
            yield
            return
        self.outside.exit()
        try:
            yield
        finally:
            self.outside.enter()

    def _step(self, limit: float) -> bool:
        """Runs the next call that is due up to ``limit``; returns whether there was one."""
        agenda = self._agenda
        with self._turns:
            while True:
                moment = agenda.next_time()
                if moment is None or moment > limit:
                    return False
                if moment <= self.clock.now() or self._pacer.reach(moment):
                    break
            timer = agenda.pop()
            timer.fn(*timer.args)
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            return True

    def _advance(self, limit: float) -> bool:
        """Runs the next call, or moves time to ``limit``; returns False when that is reached."""
        if self._step(limit):
            return True
        return limit > self.now() and not self._pacer.reach(limit)

    def _sleeps_alone(self, seconds: float) -> bool:
        """Moves the clock if nothing is due meanwhile, which saves two switches of processes."""
        now = self.clock.now()
        moment = max(round(now + seconds, 6), now)
        if moment > self._horizon:
            return False
        following = self._agenda.next_time()
        if following is not None and following <= moment:
            return False
        self.clock.move_to(moment)
        return True

    def _resume(self, process: Process, woken: bool) -> None:
        process.waiting = False
        process.timer = None
        process.woken = woken
        self._switch(process)

    def _switch(self, process: Process) -> None:
        previous, self.current = self.current, process
        process.greenlet.parent = greenlet.getcurrent()
        environment = process.environment
        if environment is not None:
            environment.enter()
        try:
            process.greenlet.switch()
        finally:
            if environment is not None:
                environment.exit()
            self.current = previous


def _described(timer: Timer) -> str:
    fn: Any = timer.fn
    process = next((arg for arg in timer.args if isinstance(arg, Process)), None)
    what = process or getattr(fn, "__qualname__", fn)
    moment = datetime.fromtimestamp(timer.time, UTC).isoformat(timespec="milliseconds")
    return f"{what} at {moment}"
