"""Runs that all begin in the state of this process, and leave it as it is."""

from collections.abc import Callable
from typing import TypeVar

from cdk_rehearsal.forks import forked

T = TypeVar("T")


def in_a_fork(run: Callable[[], T]) -> T:
    """What `run` returns, done in a fork of this process; an error there is a failure here."""
    (fork,) = forked([run], at_once=1)
    assert fork.error is None, fork.error
    assert fork.value is not None, "a run has to return something"
    return fork.value
