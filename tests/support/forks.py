"""Code that runs in a fork, from the state of this process and without changing it."""

from collections.abc import Callable
from typing import TypeVar

from cdk_rehearsal import forked

T = TypeVar("T")


def in_a_fork(run: Callable[[], T]) -> T:
    """Returns the result of `run` in a fork of this process; fails if it raised an error."""
    (fork,) = forked([run], at_once=1)
    assert fork.error is None, fork.error
    assert fork.value is not None, "the function must return a value"
    return fork.value
