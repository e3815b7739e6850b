"""The matrix: every kind of trouble at every place, each in a shop of its own."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cdk_rehearsal import Assembly, Latency, Rehearsal
from cdk_rehearsal.forks import forked
from cdk_rehearsal.topology import Edge, edges
from tools.faults.catalogue import CATALOGUE, Trouble
from tools.faults.cell import Outcome, Result, Verdict, run, violations
from tools.faults.places import Place, of_edges, passed
from tools.faults.shop import Shop
from tools.faults.stories import STORIES, Story, open_shop

_WARM = ("supplied", "cancelled", "bought", "given_back")
"""Stories that are told before any trouble: afterwards all functions are loaded."""


_LATENCY = Latency(stream_retry_s=(1.0, 3_600.0), topic_patience_s=21_600.0)
"""A record that never succeeds is tried some 35 times in a day instead of a thousand times, and a
topic tries for 6 hours instead of 23 days: each gives up in the same way, by age or number."""


class Unsound(Exception):
    """Something is lost or doubled without any trouble: the matrix has no more to say."""


@dataclass(frozen=True)
class Usual:
    """A story without any trouble: the places that it passes, and its end."""

    story: Story
    places: frozenset[Place]
    outcome: Outcome


@dataclass(frozen=True)
class Cell:
    """One kind of trouble at one place, and the story in which it happens."""

    trouble: Trouble
    place: Place
    usual: Usual


@dataclass(frozen=True)
class Plan:
    """The cells that are to be run, and the places at which trouble cannot happen, with reasons."""

    cells: list[Cell]
    impossible: list[Result]
    unreached: list[Place]
    """Edges that no story passes: the matrix has a hole there."""


@contextmanager
def opened(assembly: Path, *, warm: Sequence[str] = _WARM) -> Iterator[Shop]:
    """A shop that is open, to which the stories of `warm` have happened; of it runs are forked."""
    with Rehearsal(assembly, seed=1, latency=_LATENCY) as rehearsal:
        shop = Shop(rehearsal, patient=True)
        open_shop(shop)
        for name in warm:
            STORIES[name].tell(shop)
        if wrong := violations(shop.evidence()):
            raise Unsound("the books do not balance before any trouble:\n" + "\n".join(wrong))
        shop.round = "again"
        gc.collect()
        gc.freeze()
        try:
            yield shop
        finally:
            gc.unfreeze()


def usual(shop: Shop, *, at_once: int, names: Sequence[str] = tuple(STORIES)) -> list[Usual]:
    """Every story, or those of `names`, without any trouble."""
    edges = of_edges(_edges(shop))
    runs = [partial(_tell, shop, name, edges) for name in names]
    found: dict[int, Usual] = {}
    for fork in forked(runs, at_once=at_once):
        if fork.value is None:
            raise Unsound(str(fork.error))
        places, outcome, wrong = fork.value
        story = STORIES[names[fork.index]]
        if wrong:
            told = "\n".join(wrong)
            raise Unsound(f"the story {story.name} goes wrong without any trouble:\n{told}")
        found[fork.index] = Usual(story, frozenset(places), outcome)
    return [found[index] for index in sorted(found)]


def _tell(shop: Shop, name: str, edges: Sequence[Place]) -> tuple[set[Place], Outcome, list[str]]:
    begun = len(shop.rehearsal.meter.records)
    STORIES[name].tell(shop)
    shop.settle()
    places = passed(shop.rehearsal.meter.records[begun:], edges)
    wrong = violations(shop.evidence())
    return places, Outcome.of(shop), wrong


def _edges(shop: Shop) -> list[Edge]:
    return edges(Assembly(shop.rehearsal.assembly.directory))


def plan(shop: Shop, tales: Sequence[Usual], wanted: Callable[[Trouble, Place], bool]) -> Plan:
    """What is to be run: for each place the story that needs it, or else the first that passes."""
    by_place: dict[Place, Usual] = {}
    for tale in reversed(tales):
        by_place.update(dict.fromkeys(tale.places, tale))
    for tale in tales:
        meant = [
            p for p in tale.places if tale.story.about and p.source.startswith(tale.story.about)
        ]
        by_place.update(dict.fromkeys(meant, tale))
    edges = of_edges(_edges(shop))
    cells, impossible = [], []
    for place in sorted({*by_place, *edges}, key=_order):
        for trouble in CATALOGUE.values():
            if not wanted(trouble, place) or place not in by_place:
                continue
            if reason := trouble.reason_against(place):
                impossible.append(
                    Result(trouble.name, place, "", 0, Verdict.IMPOSSIBLE, problems=[reason])
                )
            else:
                cells.append(Cell(trouble, place, by_place[place]))
    return Plan(cells, impossible, [edge for edge in edges if edge not in by_place])


def _order(place: Place) -> tuple[bool, Place]:
    return (place.kind in ("route", "task", "call"), place)


def run_cells(shop: Shop, cells: Sequence[Cell], *, seed: int, at_once: int) -> Iterator[Result]:
    """Runs the cells, each in a fork, and yields what came of each, in the order of their ends."""
    runs = [
        partial(run, shop, cell.trouble, cell.place, cell.usual.story, cell.usual.outcome, seed)
        for cell in cells
    ]
    for fork in forked(runs, at_once=at_once):
        if fork.value is not None:
            yield fork.value
            continue
        cell = cells[fork.index]
        problems = [fork.error or ""]
        story = cell.usual.story.name
        yield Result(
            cell.trouble.name, cell.place, story, seed, Verdict.VIOLATED, problems=problems
        )


def processors() -> int:
    """How many runs go side by side."""
    return max(1, os.cpu_count() or 1)
