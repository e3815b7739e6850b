"""The orders in which the stacks of an application can be deployed: each after those it needs."""

from collections.abc import Callable, Iterator, Mapping, Set
from functools import cache
from itertools import permutations
from random import Random
from typing import Any

Dependencies = Mapping[str, Set[str]]
"""For each stack, all stacks that are deployed before it, as `Assembly.dependencies` has them."""
Order = tuple[str, ...]
Pair = tuple[str, str]


def count_orders(needed: Dependencies) -> int:
    """Returns the number of permitted orders."""

    @cache
    def count(done: frozenset[str]) -> int:
        ready = _ready(needed, done)
        return sum(count(done | {stack}) for stack in ready) if ready else 1

    return count(frozenset())


def all_orders(needed: Dependencies) -> Iterator[Order]:
    """Yields the permitted orders; there may be very many."""

    def orders(done: Order) -> Iterator[Order]:
        ready = _ready(needed, frozenset(done))
        if not ready:
            yield done
        for stack in ready:
            yield from orders((*done, stack))

    return orders(())


def free_pairs(needed: Dependencies) -> set[Pair]:
    """Returns the pairs of stacks that can be deployed in this order, and in the other one, too."""
    return {(a, b) for a, b in permutations(needed, 2) if a not in needed[b] and b not in needed[a]}


def covering_orders(needed: Dependencies) -> list[Order]:
    """Returns a few orders, so that each pair that can come in both orders does.

    Each pair of stacks meets with the first one updated alone, and with the second one.
    """
    missing, found = free_pairs(needed), []
    while missing:
        first, second = min(missing)

        def rank(stack: str, rest: Set[str]) -> tuple[bool, bool, int]:
            # The first one as early as possible, so that this pair is among those of the order.
            early = stack == first or stack in needed[first]  # noqa: B023, used at once
            late = stack == second or second in needed[stack]  # noqa: B023
            gain = sum((stack, other) in missing for other in rest)  # noqa: B023
            return early, not late, gain

        order = _greedy(needed, rank)
        found.append(order)
        missing -= pairs_of(order)
    return found or [next(all_orders(needed))]


def pairs_of(order: Order) -> set[Pair]:
    """Returns the pairs of stacks of which the first one comes before the second one."""
    return {(a, b) for position, a in enumerate(order) for b in order[position + 1 :]}


def drawn_order(needed: Dependencies, random: Random) -> Order:
    """Returns one of the permitted orders."""
    return _greedy(needed, lambda *_: random.random())


def _ready(needed: Dependencies, done: Set[str]) -> list[str]:
    return sorted(
        stack for stack, before in needed.items() if stack not in done and before - {stack} <= done
    )


def _greedy(needed: Dependencies, rank: Callable[[str, Set[str]], Any]) -> Order:
    order: list[str] = []
    while ready := _ready(needed, set(order)):
        rest = needed.keys() - set(order)
        order.append(max(ready, key=lambda stack: rank(stack, rest)))
    return tuple(order)
