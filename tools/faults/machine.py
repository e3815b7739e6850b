"""The state machine: hypothesis thinks out what happens, and shrinks what turns out wrong.

Its rules only write down what is to happen. In the end all of it happens to a fork of one open
shop, so each attempt begins in the very same state, however many there were before.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.internal.entropy import deterministic_PRNG
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from cdk_rehearsal.forks import forked
from tools.faults.happenings import TOKENS, Happening, Possible, Tally, run
from tools.faults.shop import Shop

Execute = Callable[[Sequence[Happening]], Tally]

# Hypothesis registers its random number generators here, before a rehearsal freezes the garbage
# collector's objects: see tests/conftest.py.
with deterministic_PRNG():
    pass


def in_fork(shop: Shop, troubles: Sequence[Possible]) -> Execute:
    """What lets things happen to a fork of a shop, each time to the same one."""

    def execute(happenings: Sequence[Happening]) -> Tally:
        (fork,) = forked([partial(run, shop, troubles, happenings)], at_once=1)
        if fork.value is None:
            raise AssertionError(fork.error)
        return fork.value

    return execute


class Wrong(AssertionError):
    """Something was lost or doubled; the message tells what happened, as short as it can be."""


class Shopping(RuleBasedStateMachine):
    """What may happen; `execute` says what comes of it."""

    execute: ClassVar[Execute]

    def __init__(self) -> None:
        super().__init__()
        self.happenings: list[Happening] = []
        self.orders = 0

    def _happens(self, what: str, number: int = 0, option: int = 0) -> None:
        self.happenings.append(Happening(what, number, option))

    @rule(token=st.integers(0, len(TOKENS) - 1), lines=st.integers(0, 5))
    def order(self, token: int, lines: int) -> None:
        """Somebody orders."""
        self.orders += 1
        self._happens("order", token, lines)

    @precondition(lambda self: self.orders)
    @rule(
        what=st.sampled_from(("cancel", "deliver", "regret", "give_back")), number=st.integers(0, 9)
    )
    def follow_up(self, what: str, number: int) -> None:
        """Somebody does something about an order."""
        self._happens(what, number)

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 9), approved=st.integers(0, 1))
    def decide(self, number: int, approved: int) -> None:
        """The staff decides about a return."""
        self._happens("decide", number, approved)

    @rule(number=st.integers(0, 1 << 16), option=st.integers(0, 63))
    def fail(self, number: int, option: int) -> None:
        """Something goes wrong somewhere."""
        self._happens("fail", number, option)

    @rule(what=st.sampled_from(("redrive", "recover", "settle", "supply", "browse")))
    def others(self, what: str) -> None:
        """Something else happens."""
        self._happens(what)

    @rule(option=st.integers(0, 3))
    def wait(self, option: int) -> None:
        """Time passes."""
        self._happens("wait", 0, option)

    def teardown(self) -> None:
        """Lets it all happen. Raises Wrong if anything is wrong afterwards."""
        tally = type(self).execute(self.happenings)
        if tally.problems:
            told = [*tally.problems, *map(str, self.happenings), *tally.told, *tally.trace]
            raise Wrong("\n".join(told))


def machine(execute: Execute) -> type[Shopping]:
    """A state machine whose happenings are executed by `execute`."""
    return type("Shopping", (Shopping,), {"execute": staticmethod(execute)})


def explore(execute: Execute, *, steps: int, length: int = 60, seed: int = 1) -> int:
    """Runs the state machine for at least so many steps, and returns how many it were.

    Raises Wrong with the shortest way to what is wrong.
    """
    taken = 0

    def counted(happenings: Sequence[Happening]) -> Tally:
        nonlocal taken
        taken += len(happenings)
        return execute(happenings)

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
        run_state_machine_as_test(seeded(seed)(machine(counted)), settings=options)
        seed += 1
    return taken


def attempt(execute: Execute, *, steps: int, seed: int) -> tuple[int, str]:
    """As `explore`, but returns what is wrong: the steps, and an empty text if nothing is."""
    try:
        return explore(execute, steps=steps, seed=seed), ""
    except Wrong as wrong:
        return 0, str(wrong)
