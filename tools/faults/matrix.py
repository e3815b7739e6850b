"""The matrix: every fault kind at every site, each case in a fork of one open shop."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cdk_rehearsal import Assembly, FaultSite, Latency, Rehearsal, edge_sites, forked, sites_passed
from tools.demo import schedules
from tools.faults.case import Case, CaseResult, EndState, Verdict, violations
from tools.faults.kinds import KINDS, FaultKind
from tools.faults.scenarios import SCENARIOS, FaultScenario, open_for_business
from tools.faults.shop import RehearsedShop

_WARM_UP = ("supplied", "cancelled", "bought", "given_back", "erased")
"""Scenarios that run before all forks, so that all functions are loaded."""

_LATENCY = Latency(stream_retry_s=(1.0, 3_600.0), topic_patience_s=21_600.0)
"""A stream retries a record 35 times a day instead of a thousand times, and a topic for 6 hours
instead of 23 days. Both still give up by age or number."""


class BaselineError(Exception):
    """The shop loses or doubles something without any fault, so the matrix proves nothing."""


@dataclass(frozen=True)
class Baseline:
    """A scenario without a fault: the sites that it passes, and its end state."""

    scenario: FaultScenario
    sites: frozenset[FaultSite]
    end: EndState


@dataclass(frozen=True)
class Plan:
    """The cases to run, and the impossible ones with their reasons."""

    cases: list[Case]
    impossible: list[CaseResult]
    unreached: list[FaultSite]
    """Edges that no scenario passes."""


@contextmanager
def open_shop(
    assembly: Path,
    *,
    warm_up: Sequence[str] = _WARM_UP,
    paused: Sequence[str] = (schedules.CANARY,),
) -> Iterator[RehearsedShop]:
    """Opens a shop, runs the scenarios of `warm_up`, and prepares it for forks.

    Disables the schedules of `paused`. A case may last for weeks, in which the canary would place a
    thousand orders.
    """
    with Rehearsal(assembly, seed=1, latency=_LATENCY) as rehearsal:
        shop = RehearsedShop(rehearsal, patient=True)
        open_for_business(shop)
        for schedule in paused:
            schedules.disable(rehearsal, schedule)
        for name in warm_up:
            SCENARIOS[name].run(shop)
        if problems := violations(shop.evidence()):
            raise BaselineError("the audit fails without any fault:\n" + "\n".join(problems))
        shop.round = "again"
        gc.collect()
        gc.freeze()
        try:
            yield shop
        finally:
            gc.unfreeze()


def baselines(
    shop: RehearsedShop, *, at_once: int, names: Sequence[str] = tuple(SCENARIOS)
) -> list[Baseline]:
    """Runs each scenario without a fault. Raises BaselineError if one has problems."""
    edges = _edges(shop)
    runs = [partial(_run_alone, shop, name, edges) for name in names]
    found: dict[int, Baseline] = {}
    for fork in forked(runs, at_once=at_once):
        if fork.value is None:
            raise BaselineError(str(fork.error))
        sites, end, problems = fork.value
        scenario = SCENARIOS[names[fork.index]]
        if problems:
            listed = "\n".join(problems)
            raise BaselineError(f"scenario {scenario.name} fails without any fault:\n{listed}")
        found[fork.index] = Baseline(scenario, frozenset(sites), end)
    return [found[index] for index in sorted(found)]


def _run_alone(
    shop: RehearsedShop, name: str, edges: Sequence[FaultSite]
) -> tuple[set[FaultSite], EndState, list[str]]:
    begun = len(shop.rehearsal.meter.records)
    SCENARIOS[name].run(shop)
    shop.settle()
    sites = sites_passed(shop.rehearsal.meter.records[begun:], edges)
    problems = violations(shop.evidence())
    problems += [f"{count} messages are parked in {path}" for path, count in shop.parked().items()]
    return sites, EndState.of(shop), problems


def _edges(shop: RehearsedShop) -> list[FaultSite]:
    return edge_sites(Assembly(shop.rehearsal.assembly.directory))


def plan(
    shop: RehearsedShop,
    known: Sequence[Baseline],
    wanted: Callable[[FaultKind, FaultSite], bool],
) -> Plan:
    """Plans the cases. At each site runs the scenario that is about it, or else the first there."""
    by_site: dict[FaultSite, Baseline] = {}
    for baseline in reversed(known):
        by_site.update(dict.fromkeys(baseline.sites, baseline))
    for baseline in known:
        about = [site for site in baseline.sites if _part(site).startswith(baseline.scenario.about)]
        by_site.update(dict.fromkeys(about, baseline))
    edges = _edges(shop)
    cases, impossible = [], []
    for site in sorted(by_site, key=lambda site: (site.synchronous, site)):
        scenario, end = by_site[site].scenario, by_site[site].end
        for kind in KINDS.values():
            if wanted(kind, site):
                case = Case(kind, site, scenario, end)
                if reason := kind.reason_against(site):
                    impossible.append(case.result(Verdict.IMPOSSIBLE, 0, reason))
                else:
                    cases.append(case)
    return Plan(cases, impossible, [edge for edge in edges if edge not in by_site])


def _part(site: FaultSite) -> str:
    """Returns the part of the shop that a scenario may be about. All routes have one source."""
    return site.target if site.kind == "route" else site.source


def run_cases(
    shop: RehearsedShop, cases: Sequence[Case], *, seed: int, at_once: int
) -> Iterator[CaseResult]:
    """Runs each case in a fork, and yields the results as they come."""
    runs = [partial(case.run, shop, seed) for case in cases]
    for fork in forked(runs, at_once=at_once):
        if fork.value is not None:
            yield fork.value
        else:
            yield cases[fork.index].result(Verdict.VIOLATED, seed, fork.error or "")
