"""A check of the books: two sides that must have equal sums."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tools.demo.money import Purse, show_all

Side = Mapping[str, int | Purse]
"""Labelled amounts: counts, or money by currency."""


@dataclass(frozen=True)
class Check:
    """Two sides that must have equal sums, and the faults: which item is wrong, where to look."""

    what: str
    left: Side
    right: Side
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether there is nothing to say against it."""
        return not self.faults


def check(what: str, left: Side, right: Side, faults: Iterable[str]) -> Check:
    """Return a check with these sides and faults.

    If the sums differ although no item is at fault, the difference itself is a fault.
    """
    found = tuple(faults)
    if not found and added(left) != added(right):
        found = (f"{shown(left)} against {shown(right)}, and no item explains the difference",)
    return Check(what, left, right, found)


def added(side: Side) -> Purse:
    """Return the sum of a side by currency; counts have the currency ""."""
    purse: Purse = Purse()
    for amount in side.values():
        purse.update({"": amount} if isinstance(amount, int) else amount)
    return purse


def shown(side: Side) -> str:
    """Return a side as text, such as `288 delivered + 3 overdue - 1,887.00 EUR refunded`."""
    figures = {
        what: f"{amount:,}" if isinstance(amount, int) else show_all(amount)
        for what, amount in side.items()
    }
    terms = [f"{figure} {what}".rstrip() for what, figure in figures.items()]
    return " + ".join(terms).replace("+ -", "- ")
