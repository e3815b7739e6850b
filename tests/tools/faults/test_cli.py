"""What the command line makes of what it is asked for."""

import pytest

from tools.faults.catalogue import CATALOGUE
from tools.faults.cell import Result, Verdict
from tools.faults.cli import Unknown, check_plan
from tools.faults.matrix import Plan
from tools.faults.places import Place


def test_an_edge_that_is_none_is_an_error_and_not_a_matrix_in_which_all_is_well() -> None:
    with pytest.raises(Unknown, match="no place has a line that holds 'Chekout'"):
        check_plan(Plan([], [], []), "Chekout")


def test_a_place_where_nothing_of_it_can_happen_is_told_with_its_reason() -> None:
    place = Place("queue", "Checkout/RunCheckout/Queue", "Checkout/RunCheckout/Function")
    reason = CATALOGUE["gone"].reason_against(place)
    assert reason is not None

    check_plan(
        Plan([], [Result("gone", place, "", 0, Verdict.IMPOSSIBLE, problems=[reason])], []),
        place.source,
    )
