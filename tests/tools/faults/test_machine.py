"""The state machine: at small size here, and what it makes of something wrong."""

from collections.abc import Sequence

import pytest

from tools.faults.happenings import Happening, Tally, at_random, possible
from tools.faults.machine import Wrong, explore, in_fork
from tools.faults.matrix import Usual
from tools.faults.shop import Shop

SETTLED, GIVEN_BACK = Happening("settle"), Happening("give_back")


def test_nothing_that_happens_in_any_order_loses_or_doubles(open_shop: Shop, tale: Usual) -> None:
    execute = in_fork(open_shop, possible([tale]))
    assert explore(execute, steps=20, length=10) >= 20


def test_all_faults_at_random_leave_the_books_balanced(open_shop: Shop, tale: Usual) -> None:
    tally = in_fork(open_shop, possible([tale]))(list(at_random(6, seed=1)))
    assert tally.problems == []
    assert tally.statuses.total() == 6
    assert tally.faults


WAYS: dict[str, tuple[list[Happening], str]] = {
    "kept": ([], "cancelled"),
    "taken back": ([GIVEN_BACK, SETTLED, Happening("decide", 0, 1)], "returned"),
    "not taken back": ([GIVEN_BACK, SETTLED, Happening("decide", 0, 0)], "cancelled"),
    "cancelled again": ([GIVEN_BACK, Happening("cancel"), SETTLED], "returned"),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_order_can_be_cancelled_when_it_has_been_delivered_already(
    open_shop: Shop, tale: Usual, way: str
) -> None:
    """Of one that nobody has decided about, the end says that it is taken back."""
    more, end = WAYS[way]
    happenings = [Happening("order"), SETTLED, Happening("regret"), SETTLED, *more]
    tally = in_fork(open_shop, possible([tale]))(happenings)
    assert tally.problems == []
    assert (tally.late, tally.statuses) == (1, {end: 1})


def test_what_is_wrong_is_told_as_short_as_it_can_be() -> None:
    def execute(happenings: Sequence[Happening]) -> Tally:
        whats = [happening.what for happening in happenings]
        wrong = "cancel" in whats and "fail" in whats
        return Tally(problems=["money is lost"] if wrong else [])

    with pytest.raises(Wrong) as raised:
        explore(execute, steps=500, length=8)
    told = str(raised.value).splitlines()
    assert told[0] == "money is lost"
    assert sorted(line.partition(" ")[0] for line in told[1:]) == ["cancel", "fail", "order"]
