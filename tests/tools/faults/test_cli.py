"""The command line rejects unknown names instead of printing an empty matrix."""

import pytest

from cdk_rehearsal import FaultSite
from tools.faults.case import CaseResult, Verdict
from tools.faults.cli import UnknownName, check_plan
from tools.faults.kinds import KINDS
from tools.faults.matrix import Plan


def test_an_unknown_edge_is_an_error() -> None:
    with pytest.raises(UnknownName, match='no site contains "Chekout"'):
        check_plan(Plan([], [], []), "Chekout")


def test_a_site_where_the_fault_cannot_occur_is_no_error() -> None:
    site = FaultSite("queue", "Checkout/RunCheckout/Queue", "Checkout/RunCheckout/Function")
    reason = KINDS["gone"].reason_against(site)
    assert reason is not None

    check_plan(
        Plan([], [CaseResult("gone", site, "", 0, Verdict.IMPOSSIBLE, problems=[reason])], []),
        site.source,
    )
