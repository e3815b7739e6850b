"""A check of the books: two sides that have to add up to the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tools.demo.money import Purse, show_all

Side = Mapping[str, int | Purse]
"""What is added up, by what it is: counts, or money by currency."""


@dataclass(frozen=True)
class Check:
    """Two sides that have to add up to the same, and what is wrong: which item, where to look."""

    what: str
    left: Side
    right: Side
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether there is nothing to say against it."""
        return not self.faults


def check(what: str, left: Side, right: Side, faults: Iterable[str]) -> Check:
    """A check out of its sides and of whatever finds faults.

    Sides that do not add up to the same are a fault, even if nothing else found one.
    """
    found = tuple(faults)
    if not found and added(left) != added(right):
        found = (f"{shown(left)} against {shown(right)}, and no item explains the difference",)
    return Check(what, left, right, found)


def added(side: Side) -> Purse:
    """The sum of a side: money by currency, and counts, which have none."""
    purse: Purse = Purse()
    for amount in side.values():
        purse.update({"": amount} if isinstance(amount, int) else amount)
    return purse


def shown(side: Side) -> str:
    """A side as it is printed, such as `288 delivered + 3 overdue - 1,887.00 EUR refunded`."""
    figures = {
        what: f"{amount:,}" if isinstance(amount, int) else show_all(amount)
        for what, amount in side.items()
    }
    terms = [f"{figure} {what}".rstrip() for what, figure in figures.items()]
    return " + ".join(terms).replace("+ -", "- ")
