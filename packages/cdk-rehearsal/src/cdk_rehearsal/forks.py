"""Forks of this process: many runs that start in the same state, without loading it again."""

import os
import pickle
import random
import selectors
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass
class Fork(Generic[T]):
    """The result of one fork: a value or an error."""

    index: int
    value: T | None
    error: str | None


def forked(runs: Iterable[Callable[[], T]], *, at_once: int) -> Iterator[Fork[T]]:
    """Runs each function in a fork of this process, and yields results in the order of their ends.

    At most `at_once` forks run at the same time. Results have to be picklable. If the caller stops
    early, the forks that still run are killed.
    """
    waiting = enumerate(runs)
    running: dict[int, tuple[int, int, bytearray]] = {}
    """The index, the process id and the received part of a result, by pipe."""
    try:
        with selectors.DefaultSelector() as selector:
            more = True
            while more or running:
                while more and len(running) < at_once:
                    entry = next(waiting, None)
                    if entry is None:
                        more = False
                        break
                    pid, pipe = _start(entry[1])
                    running[pipe] = (entry[0], pid, bytearray())
                    selector.register(pipe, selectors.EVENT_READ)
                for key, _ in selector.select() if running else ():
                    pipe = key.fd
                    index, pid, received = running[pipe]
                    if part := os.read(pipe, 1 << 16):
                        received.extend(part)
                        continue
                    selector.unregister(pipe)
                    os.close(pipe)
                    _, status = os.waitpid(pid, 0)
                    del running[pipe]
                    yield _fork(index, bytes(received), status)
    finally:
        for pipe, (_, pid, _) in running.items():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(pipe)


def fork() -> int:
    """Forks this process, and returns what `os.fork` does. Chance stays the same in the fork."""
    sys.stdout.flush()
    sys.stderr.flush()
    state = random.getstate()
    with warnings.catch_warnings():
        # From version 3.12 on, Python warns of forks in a process with threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        # Python gives each fork another seed.
        random.setstate(state)
    return pid


def _start(run: Callable[[], Any]) -> tuple[int, int]:
    """Starts a fork; returns its process id and the pipe with its result."""
    reading, writing = os.pipe()
    pid = fork()
    if pid:
        os.close(writing)
        return pid, reading
    answer: tuple[Any, str | None]
    try:
        answer = (run(), None)
    except BaseException:  # noqa: BLE001 - the parent reports it
        answer = (None, traceback.format_exc())
    try:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _fork(index: int, received: bytes, status: int) -> Fork[Any]:
    if not received:
        code = os.waitstatus_to_exitcode(status)
        return Fork(index, None, f"the fork ended without a result (exit code {code})")
    value, error = pickle.loads(received)  # noqa: S301, from a fork of this process
    return Fork(index, value, error)
