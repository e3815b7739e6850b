"""A check of the audit: two sides that must have equal sums."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tools.demo.money import Amounts, show_all

Side = Mapping[str, int | Amounts]
"""Counts, or amounts of money, by label."""


@dataclass(frozen=True)
class Check:
    """Two sides that must have equal sums, and findings that name each wrong item."""

    what: str
    left: Side
    right: Side
    findings: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the check has no finding."""
        return not self.findings


def check(what: str, left: Side, right: Side, findings: Iterable[str]) -> Check:
    """Returns a check with these sides and findings.

    If the sums differ although no item is wrong, the difference itself is a finding.
    """
    found = tuple(findings)
    if not found and _sum(left) != _sum(right):
        difference = f"{side_text(left)} against {side_text(right)}"
        found = (f"{difference}, and no item explains the difference",)
    return Check(what, left, right, found)


def _sum(side: Side) -> Amounts:
    """Adds a side by currency. Counts have the currency ""."""
    added: Amounts = Amounts()
    for amount in side.values():
        added.update({"": amount} if isinstance(amount, int) else amount)
    return added


def side_text(side: Side) -> str:
    """Returns a side as text, such as `288 delivered + 3 overdue - 1,887.00 EUR refunded`."""
    figures = {
        what: f"{amount:,}" if isinstance(amount, int) else show_all(amount)
        for what, amount in side.items()
    }
    terms = [f"{figure} {what}".rstrip() for what, figure in figures.items()]
    return " + ".join(terms).replace("+ -", "- ")
