"""Forks: runs that all start in the state of this process, and leave it as it is."""

import os
import pickle
import selectors
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass
class Fork(Generic[T]):
    """The result of one fork: a value, or an error as text."""

    index: int
    """The number of the run, in the order in which the runs were given."""
    value: T | None
    error: str | None


def forked(runs: Iterable[Callable[[], T]], *, at_once: int) -> Iterator[Fork[T]]:
    """Runs each function in a fork of this process, `at_once` of them in parallel.

    Yields the results as the forks end. pickle must support them. Needs a POSIX system.
    """
    waiting = enumerate(runs)
    open_pipes: dict[int, tuple[int, int, bytearray]] = {}
    with selectors.DefaultSelector() as selector:
        more = True
        while more or open_pipes:
            while more and len(open_pipes) < at_once:
                entry = next(waiting, None)
                if entry is None:
                    more = False
                    break
                pid, pipe = _start(entry[1])
                open_pipes[pipe] = (entry[0], pid, bytearray())
                selector.register(pipe, selectors.EVENT_READ)
            for key, _ in selector.select() if open_pipes else ():
                pipe = key.fd
                index, pid, received = open_pipes[pipe]
                if part := os.read(pipe, 1 << 16):
                    received.extend(part)
                    continue
                selector.unregister(pipe)
                os.close(pipe)
                os.waitpid(pid, 0)
                del open_pipes[pipe]
                yield _fork(index, bytes(received))


def _start(run: Callable[[], Any]) -> tuple[int, int]:
    """Starts a fork, and returns its process id and the pipe with its result."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    result: tuple[Any, str | None]
    try:
        result = (run(), None)
    except BaseException:  # noqa: BLE001 - the parent reports it
        result = (None, traceback.format_exc())
    try:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(result, pipe)
    finally:
        os._exit(0)


def _fork(index: int, received: bytes) -> Fork[Any]:
    if not received:
        return Fork(index, None, "the fork ended without a result")
    value, error = pickle.loads(received)  # noqa: S301, from a fork of this process
    return Fork(index, value, error)
