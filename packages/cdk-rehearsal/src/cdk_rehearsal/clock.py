"""Discrete-event simulation: a virtual clock, and cooperative processes that run on it in turn."""

from __future__ import annotations

import heapq
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import greenlet  # type: ignore[import-untyped]
import time_machine

from cdk_rehearsal.errors import ProcessKilled, RehearsalError

Pace = Literal["virtual", "real"]

# The functions of the real world, kept before anything is patched.
_real_sleep = time.sleep
_monotonic = time.monotonic
# Cancelled timers that are not worth looking for.
_MANY = 1_000


class Environment(Protocol):
    """What has to be installed in the interpreter while a process runs."""

    def enter(self) -> None:
        """Install; called whenever the scheduler switches into the process."""

    def exit(self) -> None:
        """Remove; called whenever the process yields or ends."""


class Clock:
    """The virtual clock that ``time.time()`` and ``datetime.now()`` read while it is started."""

    def __init__(self, start: datetime) -> None:
        """Begin at ``start``, which must be timezone-aware."""
        if start.tzinfo is None:
            raise RehearsalError(
                f"the start of the clock, {start!r}, has no time zone: give an aware datetime"
            )
        self._now = start.timestamp()
        self._ahead_s = 0.0
        self._travel: time_machine.travel | None = None
        self._traveller: time_machine.Traveller | None = None
        self._time_zone: str | None = None

    def now(self) -> float:
        """Return the virtual time in seconds since the epoch."""
        return self._now

    def start(self) -> None:
        """Make the whole interpreter see virtual time, in UTC as Lambda does."""
        self._time_zone = os.environ.get("TZ")
        os.environ["TZ"] = "UTC"
        time.tzset()
        self._travel = time_machine.travel(self._now, tick=False)
        self._traveller = self._travel.start()

    def stop(self) -> None:
        """Give the interpreter its real time back."""
        if self._travel is None:
            return
        self._travel.stop()
        self._travel = self._traveller = None
        if self._time_zone is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = self._time_zone
        time.tzset()

    def move_to(self, moment: float) -> None:
        """Set the virtual time, in seconds since the epoch."""
        self._now = moment
        self.show(self._ahead_s)

    def show(self, ahead_s: float = 0.0) -> None:
        """Let the interpreter see the virtual time, or one that is ``ahead_s`` seconds ahead."""
        self._ahead_s = ahead_s
        if self._traveller is not None:
            self._traveller.move_to(self._now + ahead_s)


class Timer:
    """A call that is due at a virtual time; ``cancel`` takes it back."""

    __slots__ = ("_scheduler", "args", "daemon", "fn", "live", "time")

    def __init__(
        self,
        scheduler: Scheduler,
        moment: float,
        fn: Callable[..., object],
        args: tuple[Any, ...],
        daemon: bool,
    ) -> None:
        self._scheduler = scheduler
        self.time = moment
        self.fn = fn
        self.args = args
        self.daemon = daemon
        self.live = True

    def cancel(self) -> None:
        """Take the call back; without effect once it has run."""
        if self.live:
            self.live = False
            # Nobody has to keep what it would have needed until its time.
            self.fn, self.args = _nothing, ()
            self._scheduler._forget(self)

    def __str__(self) -> str:
        owner = next((arg for arg in self.args if isinstance(arg, Process)), None)
        what = f"process {owner.name}" if owner else getattr(self.fn, "__qualname__", str(self.fn))
        return (
            f"{what} at {datetime.fromtimestamp(self.time, UTC).isoformat(timespec='milliseconds')}"
        )


def _nothing() -> None:
    """What a cancelled timer calls."""


class Process:
    """A cooperative thread of control; it gives way only where it sleeps or waits."""

    def __init__(
        self,
        scheduler: Scheduler,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        name: str,
        environment: Environment | None,
        daemon: bool,
        critical: bool,
    ) -> None:
        self.name = name
        self.environment = environment
        self.daemon = daemon
        self.done = False
        self.error: BaseException | None = None
        self._scheduler = scheduler
        self._fn = fn
        self._args = args
        self._critical = critical
        self._value: Any = None
        self._finished = Event(scheduler)
        self._greenlet = greenlet.greenlet(self._run)
        self._waiting = False
        self._woken = False
        self._timer: Timer | None = None
        self._killed: BaseException | None = None

    @property
    def value(self) -> Any:
        """What ``fn`` returned; None while it runs, or if it failed."""
        return self._value

    def result(self) -> Any:
        """Wait for the end of the process; return its value or raise its error."""
        self.join()
        if self.error is not None:
            raise self.error
        return self._value

    def join(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` virtual seconds for the end; return whether it was reached."""
        return self._finished.wait(timeout)

    def kill(self, error: BaseException | None = None) -> None:
        """Raise ``error`` (by default ProcessKilled) in the process, where it sleeps or waits."""
        if self.done or self._killed is not None:
            return
        self._killed = error or ProcessKilled(self.name)
        if self._scheduler.current is self:
            raise self._killed
        self._scheduler._ready(self, woken=False)

    def _run(self) -> None:
        try:
            if self._killed is not None:
                raise self._killed
            self._value = self._fn(*self._args)
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            self.error = error
        finally:
            self.done = True
            self._scheduler._ended(self)
            self._finished.set()


class Event:
    """A flag to wait for: the interface of ``threading.Event``, in virtual time."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._set = False
        self._waiters: deque[Process] = deque()

    def is_set(self) -> bool:
        """Return whether the flag is up."""
        return self._set

    def set(self) -> None:
        """Raise the flag and wake all who wait, in the order in which they came."""
        self._set = True
        while self._waiters:
            self._scheduler._ready(self._waiters.popleft(), woken=True)

    def clear(self) -> None:
        """Lower the flag."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` virtual seconds for the flag; return whether it was raised.

        Outside of a process this runs what is due meanwhile.
        """
        if self._set:
            return True
        process = self._scheduler.current
        if process is None:
            return self._scheduler.run_until(self.is_set, timeout)
        self._waiters.append(process)
        try:
            return self._scheduler._suspend(timeout, daemon=process.daemon)
        finally:
            if process in self._waiters:
                self._waiters.remove(process)


class Scheduler:
    """Runs one thing at a time, in the order of (virtual time, sequence number).

    Everything random in a rehearsal draws from ``random``, so that one seed gives one run.
    """

    def __init__(self, clock: Clock, *, seed: int = 0, pace: Pace = "virtual") -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.current: Process | None = None
        # What belongs to whoever runs the scheduler, and is put aside meanwhile.
        self.outside: Environment | None = None
        self._pace = pace
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._work = 0
        self._cancelled = 0
        self._processes: dict[Process, None] = {}
        self._failure: BaseException | None = None
        self._running = False
        # Up to when time may pass with nobody asking between two steps.
        self._horizon = float("-inf")
        self._thread = threading.get_ident()
        self._hub: greenlet.greenlet = greenlet.getcurrent()
        self._pin: tuple[float, float] | None = None
        # Guests are other threads, which may touch the state only between two steps.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._door = threading.Lock()

    # -- time and processes ---------------------------------------------------------------

    def now(self) -> float:
        """Return the virtual time in seconds since the epoch."""
        return self.clock.now()

    def call_at(
        self, moment: float, fn: Callable[..., object], *args: Any, daemon: bool = False
    ) -> Timer:
        """Call ``fn`` at a virtual time; it must neither sleep nor wait.

        A ``daemon`` call does not count as work for ``run_until_idle``.
        """
        # Whole microseconds: what Python's datetime can tell apart.
        moment = max(round(moment, 6), self.clock.now())
        timer = Timer(self, moment, fn, args, daemon)
        self._sequence += 1
        heapq.heappush(self._heap, (moment, self._sequence, timer))
        if not daemon:
            self._work += 1
        return timer

    def call_later(
        self, delay: float, fn: Callable[..., object], *args: Any, daemon: bool = False
    ) -> Timer:
        """Call ``fn`` after ``delay`` virtual seconds; see ``call_at``."""
        return self.call_at(self.clock.now() + delay, fn, *args, daemon=daemon)

    def spawn(
        self,
        fn: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        at: float | None = None,
        environment: Environment | None = None,
        daemon: bool = False,
        critical: bool = False,
    ) -> Process:
        """Run ``fn`` as a process, now or at the virtual time ``at`` (epoch seconds).

        An error of a ``critical`` process ends the run; that of another is raised by ``result``.
        For ``run_until_idle`` a ``daemon`` is at work while it runs or sleeps, but not while it
        waits, be it with a timeout or without.
        """
        label = name or str(getattr(fn, "__qualname__", fn))
        process = Process(self, fn, args, label, environment, daemon, critical)
        self._processes[process] = None
        process._waiting = True
        process._timer = self.call_at(
            self.now() if at is None else at, self._resume, process, False
        )
        return process

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass; outside of a process, run what is due meanwhile."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self.is_foreign_thread():
            _real_sleep(seconds)
        elif self.current is None:
            self.run_for(seconds)
        else:
            self._suspend(seconds, daemon=False)

    # -- running --------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no work is due; what only repeats or waits for work does not count."""
        return not self._work

    def run_until_idle(self, limit_s: float = 86_400.0) -> None:
        """Run until no work is due; RehearsalError if some is left after ``limit_s`` seconds."""
        limit = self.now() + limit_s
        with self._run(limit):
            while self._work:
                if not self._step(limit):
                    raise RehearsalError(
                        f"not idle after {limit_s:g} s of virtual time; still due:"
                        + "".join(f"\n  {timer}" for timer in self._due()[:20])
                        + "\nGive a higher limit_s, or look for what never ends."
                    )
            stuck = [p.name for p in self._processes if not p.daemon]
            if stuck:
                raise RehearsalError(
                    "nothing is due any more, but these processes wait for something that "
                    f"can no longer happen: {', '.join(stuck)}"
                )

    def run_for(self, seconds: float) -> None:
        """Run what is due within ``seconds`` of virtual time, and let all of them pass."""
        self.run_to(self.now() + seconds)

    def run_to(self, moment: float) -> None:
        """Run what is due up to a virtual time (epoch seconds), and move the clock there."""
        moment = round(moment, 6)
        with self._run(moment):
            while self._advance(moment):
                pass

    def run_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Run until ``predicate`` holds or ``timeout`` virtual seconds have passed.

        Raises RehearsalError if there is no timeout and no work is due.
        """
        limit = float("inf") if timeout is None else round(self.now() + timeout, 6)
        with self._run():
            while not predicate():
                if timeout is None and not (self._work and self._step(limit)):
                    raise RehearsalError("waiting for something that can no longer happen")
                if timeout is not None and not self._advance(limit):
                    return predicate()
            return True

    def close(self) -> None:
        """Kill the processes that are left, and forget all that is due."""
        for process in list(self._processes):
            process.kill()
            process._timer = None
            self._switch(process)
        self._heap.clear()
        self._processes.clear()
        self._work = self._cancelled = 0
        self._failure = None

    def is_foreign_thread(self) -> bool:
        """Say whether the present thread is another than the one that runs the rehearsal."""
        return threading.get_ident() != self._thread

    @contextmanager
    def guest(self) -> Iterator[None]:
        """Let another thread touch the state: never in the middle of a step."""
        with self._turn():
            yield
            self._changed.notify_all()

    def wait_as_guest(self, process: Process, timeout: float = 60.0) -> bool:
        """Within ``guest``, wait up to ``timeout`` real seconds for a process to end."""
        self._changed.notify_all()
        end = _monotonic() + timeout
        while not process.done and _monotonic() < end:
            self._changed.wait(0.02)
        return process.done

    # -- inner workings -------------------------------------------------------------------

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock, taken in turn: a thread that gives it back cannot take it right again.

        Whoever is next stands in the door, and everybody else behind it.
        """
        with self._door:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _run(self, horizon: float = float("-inf")) -> Iterator[None]:
        if self.is_foreign_thread():
            raise RehearsalError("a rehearsal can be run only by the thread that made it")
        if self._running:
            raise RehearsalError(
                "the rehearsal runs already: use sleep, join or wait inside of a process"
            )
        self._running = True
        self._horizon = horizon if self._pace == "virtual" else float("-inf")
        self._hub = greenlet.getcurrent()
        if self._pin is None:
            self._pin = (_monotonic(), self.now())
        if self.outside is not None:
            self.outside.exit()
        try:
            yield
        finally:
            if self.outside is not None:
                self.outside.enter()
            self._running = False
            self._horizon = float("-inf")

    def _step(self, limit: float) -> bool:
        """Run the next thing that is due up to ``limit``; return whether there was one."""
        # As in _turn, without what a context manager costs, a million times.
        with self._door:
            self._lock.acquire()
        try:
            heap = self._heap
            while True:
                self._drop_cancelled()
                if not heap or heap[0][0] > limit:
                    return False
                if heap[0][0] <= self.clock.now() or self._reach(heap[0][0]):
                    break
            timer = heapq.heappop(heap)[2]
            timer.live = False
            if not timer.daemon:
                self._work -= 1
            timer.fn(*timer.args)
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            return True
        finally:
            self._lock.release()

    def _advance(self, limit: float) -> bool:
        """Run the next thing, or let time pass to ``limit``; return False once that is reached."""
        if self._step(limit):
            return True
        return limit > self.now() and not self._reach(limit)

    def _reach(self, moment: float) -> bool:
        """Move the clock to ``moment``; at real pace wait first, and say False if interrupted."""
        if self._pace == "real" and self._pin is not None:
            wall, virtual = self._pin
            ahead = (moment - virtual) - (_monotonic() - wall)
            if ahead > 0:
                with self._lock:
                    if self._changed.wait(ahead):
                        return False
        self.clock.move_to(moment)
        return True

    def _suspend(self, timeout: float | None, *, daemon: bool) -> bool:
        """Yield the current process; return True if woken, False if the time was up.

        Whoever waits as a ``daemon`` is not at work meanwhile.
        """
        process = self.current
        if process is None:
            raise RehearsalError("only a process can be suspended")
        if process._killed is not None:
            raise process._killed
        if timeout is not None and not daemon and self._sleeps_alone(timeout):
            return False
        process._waiting = True
        if timeout is not None:
            process._timer = self.call_later(timeout, self._resume, process, False, daemon=daemon)
        self._hub.switch()
        if process._killed is not None:
            raise process._killed
        return process._woken

    def _sleeps_alone(self, seconds: float) -> bool:
        """Move the clock on if nothing is due meanwhile, which saves two switches of processes."""
        now, heap = self.clock.now(), self._heap
        moment = max(round(now + seconds, 6), now)
        self._drop_cancelled()
        if moment > self._horizon or (heap and heap[0][0] <= moment):
            return False
        self.clock.move_to(moment)
        return True

    def _ready(self, process: Process, *, woken: bool) -> None:
        """Let a waiting process run on, at the present virtual time."""
        if not process._waiting:
            return
        if process._timer is not None:
            process._timer.cancel()
        process._timer = self.call_at(self.now(), self._resume, process, woken)

    def _resume(self, process: Process, woken: bool) -> None:
        process._waiting = False
        process._timer = None
        process._woken = woken
        self._switch(process)

    def _switch(self, process: Process) -> None:
        previous, self.current = self.current, process
        process._greenlet.parent = greenlet.getcurrent()
        environment = process.environment
        if environment is not None:
            environment.enter()
        try:
            process._greenlet.switch()
        finally:
            if environment is not None:
                environment.exit()
            self.current = previous

    def _ended(self, process: Process) -> None:
        self._processes.pop(process, None)
        if process._critical and process.error is not None and process._killed is None:
            self._failure = process.error
        if isinstance(process.error, KeyboardInterrupt):
            self._failure = process.error

    def _forget(self, timer: Timer) -> None:
        if not timer.daemon:
            self._work -= 1
        self._cancelled += 1
        # Most timers are cancelled long before their time: deadlines of what does not hang.
        if self._cancelled > _MANY and self._cancelled > len(self._heap) // 2:
            self._heap[:] = [entry for entry in self._heap if entry[2].live]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _drop_cancelled(self) -> None:
        """Let the next thing that is due be one that is to happen."""
        heap = self._heap
        while heap and not heap[0][2].live:
            heapq.heappop(heap)
            self._cancelled -= 1

    def _due(self) -> list[Timer]:
        return [entry[2] for entry in sorted(self._heap) if entry[2].live and not entry[2].daemon]
