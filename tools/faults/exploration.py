"""Exploration: hypothesis chooses sequences of actions, and shrinks those with problems.

The rules of its state machine only record actions. At the end, all of them run in a fork of one
open shop. So each attempt starts in the same state.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.internal.entropy import deterministic_PRNG
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from cdk_rehearsal import forked
from tools.faults.actions import TOKENS, Action, PossibleFault, SequenceResult, run
from tools.faults.shop import RehearsedShop

Execute = Callable[[Sequence[Action]], SequenceResult]

# Hypothesis registers its random number generators here, before a rehearsal freezes the garbage
# collector's objects: see tests/conftest.py.
with deterministic_PRNG():
    pass


def in_fork(shop: RehearsedShop, faults: Sequence[PossibleFault]) -> Execute:
    """Returns a function that performs actions in a fork of a shop."""

    def execute(actions: Sequence[Action]) -> SequenceResult:
        (fork,) = forked([partial(run, shop, faults, actions)], at_once=1)
        if fork.value is None:
            raise AssertionError(fork.error)
        return fork.value

    return execute


class ProblemFound(AssertionError):
    """A sequence lost or doubled something. The message lists problems and actions."""


class ActionMachine(RuleBasedStateMachine):
    """The actions that hypothesis can choose; `execute` runs them at the end."""

    execute: ClassVar[Execute]

    def __init__(self) -> None:
        super().__init__()
        self.actions: list[Action] = []
        self.orders = 0

    def _add(self, name: str, number: int = 0, option: int = 0) -> None:
        self.actions.append(Action(name, number, option))

    @rule(token=st.integers(0, len(TOKENS) - 1), lines=st.integers(0, 5))
    def order(self, token: int, lines: int) -> None:
        """Places an order."""
        self.orders += 1
        self._add("order", token, lines)

    @precondition(lambda self: self.orders)
    @rule(
        name=st.sampled_from(("cancel", "deliver", "cancel_late", "give_back")),
        number=st.integers(0, 9),
    )
    def follow_up(self, name: str, number: int) -> None:
        """Acts on an order."""
        self._add(name, number)

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 9), approved=st.integers(0, 1))
    def decide(self, number: int, approved: int) -> None:
        """Decides about a return."""
        self._add("decide", number, approved)

    @rule(number=st.integers(0, 1 << 16), option=st.integers(0, 63))
    def inject(self, number: int, option: int) -> None:
        """Injects a fault."""
        self._add("inject", number, option)

    @rule(name=st.sampled_from(("redrive", "clear", "settle", "supply", "browse")))
    def others(self, name: str) -> None:
        """Performs another action."""
        self._add(name)

    @rule(option=st.integers(0, 3))
    def wait(self, option: int) -> None:
        """Lets time pass."""
        self._add("wait", 0, option)

    def teardown(self) -> None:
        """Performs all actions. Raises ProblemFound if the shop has a problem afterwards."""
        result = type(self).execute(self.actions)
        if result.problems:
            lines = [*result.problems, *map(str, self.actions), *result.notes, *result.trace]
            raise ProblemFound("\n".join(lines))


def explore(execute: Execute, *, steps: int, length: int = 60, seed: int = 1) -> int:
    """Runs at least so many actions, and returns how many ran.

    Raises ProblemFound with the shortest sequence that has a problem.
    """
    taken = 0

    def counted(actions: Sequence[Action]) -> SequenceResult:
        nonlocal taken
        taken += len(actions)
        return execute(actions)

    machine = type("ActionMachine", (ActionMachine,), {"execute": staticmethod(counted)})
    while taken < steps:
        options = settings(
            max_examples=max(1, (steps - taken) // length),
            stateful_step_count=length,
            deadline=None,
            database=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        run_state_machine_as_test(seeded(seed)(machine), settings=options)
        seed += 1
    return taken


def attempt(execute: Execute, *, steps: int, seed: int) -> tuple[int, str]:
    """Calls `explore`. Returns the number of actions, and the problem or an empty text."""
    try:
        return explore(execute, steps=steps, seed=seed), ""
    except ProblemFound as problem:
        return 0, str(problem)
