"""Runs the durability rules and the tests of the templates on each mutant.

pytest collects the tests once. Then the tests run on each mutant until one fails. Those that killed
similar mutants before run first.
"""

import contextlib
import io
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

import pytest
from _pytest.runner import runtestprotocol

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import losses
from cdk_rehearsal.weakening import Mutant

STAGE = "prod"
"""The weakened stage, which is the strictest."""

TESTS = (
    "tests/stacks",
    "tests/analytics/test_stack.py",
    "tests/notifications/test_fan_out.py",
    "tests/returns/test_workflow.py",
    "tests/shipping/test_stack.py",
)
"""The tests of the templates."""

DURABILITY = "Durability"

_OPTIONS = (
    # This module provides the fixtures.
    "--noconftest",
    "--import-mode=importlib",
    # The proof of routing takes seconds for each mutant, and is tested with mutants of its own.
    "--ignore=tests/stacks/test_routing.py",
    *("--assert=plain", "--tb=no", "-q"),
    *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:logging"),
    # It would collect all garbage several times at the end.
    *("-p", "no:unraisableexception"),
)
_WEAKENED = {"shop", "prod"}
"""Fixtures that return the weakened stage, as that of its kind of bus does.

A test that compares stages would kill any mutant.
"""
_NEEDS_MORE = {"assembly", "cloud", "commits", "shared_directory"}
OTHER_BUS = {"classic": "custom", "custom": "classic"}
"""The other kind of each kind of bus. Both are names of fixtures."""


@dataclass
class MutantResult:
    """The checks that killed a mutant."""

    mutant: Mutant
    killers: list[str]
    """The rules that the mutant breaks, and the first test that failed; empty if it survived."""

    @property
    def by_durability(self) -> bool:
        """Whether the mutant breaks a durability rule."""
        return any(killer.startswith(DURABILITY) for killer in self.killers)

    @property
    def by_tests(self) -> str | None:
        """The test that failed, if one did."""
        return next((k for k in self.killers if not k.startswith(DURABILITY)), None)


class CampaignError(Exception):
    """The unchanged templates fail a test, or there are no tests."""


@dataclass
class _Campaign:
    """A pytest plug-in that runs the collected tests once for each mutant."""

    templates: Mapping[str, Assembly]
    mutants: Sequence[Mutant]
    progress: Callable[[MutantResult], object]
    bus: str
    other_bus: Assembly | None
    results: list[MutantResult] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    weakened: Assembly | None = None
    _killed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keeps the tests that read only the templates of the stage."""
        unknown = _NEEDS_MORE if self.other_bus else {*_NEEDS_MORE, OTHER_BUS[self.bus]}
        items[:] = [
            item for item in items if _looks_at_templates(item, {*_WEAKENED, self.bus}, unknown)
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Runs the tests on the unchanged templates, then on each mutant."""
        items = session.items
        self.broken = [item.nodeid for item in items if _fails(item)]
        if items and not self.broken:
            for mutant in self.mutants:
                self._try(mutant, items)
        return True

    def _try(self, mutant: Mutant, items: Sequence[pytest.Item]) -> None:
        self.weakened = mutant.of(self.templates[STAGE])
        killers = _broken_rules(self.weakened)
        if first := self._first_failing(mutant, items):
            killers.append(first)
        result = MutantResult(mutant, killers)
        self.results.append(result)
        self.progress(result)

    def _first_failing(self, mutant: Mutant, items: Sequence[pytest.Item]) -> str | None:
        same, alike = self._killed[mutant.operator.name], self._killed[mutant.operator.type]
        for item in sorted(items, key=lambda item: (-same[item.nodeid], -alike[item.nodeid])):
            if _fails(item):
                same[item.nodeid] += 1
                alike[item.nodeid] += 1
                return item.nodeid
        return None


def _fixtures(campaign: _Campaign) -> ModuleType:
    """Returns a module with the fixtures that replace those of the tests' conftest."""

    # Session-wide fixtures depend on it. It is still set up anew for each test.
    @pytest.fixture(scope="session")
    def templates() -> Mapping[str, Assembly]:
        weakened = {STAGE: campaign.weakened} if campaign.weakened else {}
        return {**campaign.templates, **weakened}

    @pytest.fixture
    def stage() -> str:
        return STAGE

    @pytest.fixture
    def shop(templates: Mapping[str, Assembly]) -> Assembly:
        return templates[STAGE]

    @pytest.fixture(name=campaign.bus)
    def weakened(templates: Mapping[str, Assembly]) -> Assembly:
        return templates[STAGE]

    @pytest.fixture(name=OTHER_BUS[campaign.bus])
    def unchanged() -> Assembly | None:
        return campaign.other_bus

    module = ModuleType("weakened_templates")
    vars(module).update(
        templates=templates, stage=stage, shop=shop, weakened=weakened, unchanged=unchanged
    )
    return module


def run(
    templates: Mapping[str, Assembly],
    mutants: Sequence[Mutant],
    progress: Callable[[MutantResult], object] = lambda _: None,
    tests: Sequence[str] = TESTS,
    *,
    bus: str = "custom",
    other_bus: Assembly | None = None,
) -> list[MutantResult]:
    """Runs the checks on each mutant of the weakened stage, which is on this kind of `bus`.

    Without the stage on the `other_bus`, tests that need it do not run.

    Raises CampaignError if a test fails on the unchanged templates, or if there are no tests.
    """
    campaign = _Campaign(templates, mutants, progress, bus, other_bus)
    output = io.StringIO()
    inner = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("PYTEST_")}
    try:
        with contextlib.redirect_stdout(output):
            status = pytest.main([*_OPTIONS, *tests], plugins=[campaign, _fixtures(campaign)])
    finally:
        os.environ.update(inner)
    if campaign.broken:
        raise CampaignError(
            f"{len(campaign.broken)} tests fail on the unchanged templates, such as "
            f"{campaign.broken[0]}: run pytest and fix them first"
        )
    if len(campaign.results) < len(mutants):
        raise CampaignError(f"pytest ended with {status}:\n{output.getvalue()}")
    return campaign.results


def _broken_rules(weakened: Assembly) -> list[str]:
    try:
        return sorted({f"{DURABILITY}::{finding.rule.name}" for finding in losses(weakened)})
    except (LookupError, TypeError, ValueError) as error:
        return [f"{DURABILITY}::{type(error).__name__}"]


def _looks_at_templates(item: pytest.Item, weakened: set[str], unknown: set[str]) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    another_stage = "dev" in parameters.values()
    return bool(fixtures & weakened) and not fixtures & unknown and not another_stage


def _fails(item: pytest.Item) -> bool:
    """Whether a test fails. Tears down all fixtures."""
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))
