"""Exploration at small size, and its report of a problem."""

from collections.abc import Sequence

import pytest

from tools.faults.actions import Action, SequenceResult, possible_faults, random_actions
from tools.faults.exploration import ProblemFound, explore, in_fork
from tools.faults.matrix import Baseline
from tools.faults.shop import RehearsedShop

SETTLE, GIVE_BACK = Action("settle"), Action("give_back")


def test_actions_in_any_order_lose_and_double_nothing(
    open_shop: RehearsedShop, baseline: Baseline
) -> None:
    execute = in_fork(open_shop, possible_faults([baseline]))
    assert explore(execute, steps=20, length=10) >= 20


def test_random_faults_lose_and_double_nothing(
    open_shop: RehearsedShop, baseline: Baseline
) -> None:
    result = in_fork(open_shop, possible_faults([baseline]))(list(random_actions(6, seed=1)))
    assert result.problems == []
    assert result.statuses.total() == 6
    assert result.faults
    assert result.trees == result.traced == 6
    assert result.spans > 60
    assert result.links


CONTINUATIONS: dict[str, tuple[list[Action], str]] = {
    "kept": ([], "cancelled"),
    "returned": ([GIVE_BACK, SETTLE, Action("decide", 0, 1)], "returned"),
    "return refused": ([GIVE_BACK, SETTLE, Action("decide", 0, 0)], "cancelled"),
    "cancelled again": ([GIVE_BACK, Action("cancel"), SETTLE], "returned"),
}


@pytest.mark.parametrize("continuation", CONTINUATIONS)
def test_an_order_can_be_cancelled_after_its_delivery(
    open_shop: RehearsedShop, baseline: Baseline, continuation: str
) -> None:
    """At the end, the staff approves each return that has no decision yet."""
    more, status = CONTINUATIONS[continuation]
    actions = [Action("order"), SETTLE, Action("cancel_late"), SETTLE, *more]
    result = in_fork(open_shop, possible_faults([baseline]))(actions)
    assert result.problems == []
    assert (result.late, result.statuses) == (1, {status: 1})


def test_an_unknown_action_is_an_error(open_shop: RehearsedShop, baseline: Baseline) -> None:
    with pytest.raises(AssertionError, match="unknown action dance: use one of browse, cancel, "):
        in_fork(open_shop, possible_faults([baseline]))([Action("dance")])


def test_a_problem_is_reported_with_the_shortest_sequence() -> None:
    def execute(actions: Sequence[Action]) -> SequenceResult:
        names = [action.name for action in actions]
        wrong = "cancel" in names and "inject" in names
        return SequenceResult(problems=["money is lost"] if wrong else [])

    with pytest.raises(ProblemFound) as raised:
        explore(execute, steps=5_000, length=8)
    lines = str(raised.value).splitlines()
    assert lines[0] == "money is lost"
    assert sorted(line.partition(" ")[0] for line in lines[1:]) == ["cancel", "inject", "order"]
