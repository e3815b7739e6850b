"""The schedules of an upgrade: which orders of stacks are rehearsed, and what they cover."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import (
    all_orders,
    count_orders,
    covering_orders,
    drawn_order,
    free_pairs,
    pairs_of,
)
from tools.upgrade.run import Schedule

_SHARES = (0.5, 0.1, 0.9)
"""The new release's shares of the invocations, one after the other."""
_FEW = 8
"""So many orders are all rehearsed."""


@dataclass(frozen=True)
class Plan:
    """The schedules to run, and what they cover."""

    schedules: Sequence[Schedule]
    permitted: int
    """The number of permitted orders."""
    pairs: int
    """The number of pairs of stacks that can come in either order."""
    covered: int

    def __str__(self) -> str:
        """One line: how many orders, and what they cover."""
        if len({each.order for each in self.schedules}) == self.permitted:
            return f"all {self.permitted:,} permitted orders"
        return (
            f"{len(self.schedules)} of {self.permitted:,} permitted orders, in which "
            f"{self.covered} of {self.pairs} pairs of stacks come in this order"
        )


def plan(head: Assembly, *, seed: int, drawn: int) -> Plan:
    """Plans all permitted orders if they are few, else orders for each pair, and `drawn` ones."""
    needed = head.dependencies
    permitted = count_orders(needed)
    if permitted <= _FEW:
        orders = [*all_orders(needed)]
    else:
        random = Random(seed)
        orders = [*covering_orders(needed), *(drawn_order(needed, random) for _ in range(drawn))]
    schedules = [
        Schedule(order=order, seed=seed + position, share=_SHARES[position % len(_SHARES)])
        for position, order in enumerate(orders)
    ]
    pairs = free_pairs(needed)
    covered = pairs & set().union(*map(pairs_of, orders))
    return Plan(schedules, permitted, len(pairs), len(covered))
