"""Which checks notice which mutants: the durability rules, and the tests of the templates.

The tests are pytest's own, collected once. Then each mutant takes the place of the templates, and
they run until one fails: those first that noticed the like of it before.
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
from tools.mutation.mutants import Mutant

STAGE = "prod"
"""The stage that is weakened: the strictest."""

TESTS = (
    "tests/stacks",
    "tests/analytics/test_stack.py",
    "tests/notifications/test_fan_out.py",
    "tests/returns/test_workflow.py",
    "tests/shipping/test_stack.py",
)
"""Where tests of templates are."""

DURABILITY = "Durability"

_OPTIONS = (
    # Fixtures are those of this module: the templates are not synthesized, but handed in.
    "--noconftest",
    "--import-mode=importlib",
    # The proof of routing takes seconds for each mutant, and has seeded weaknesses of its own.
    "--ignore=tests/stacks/test_routing.py",
    # Nobody reads how a test failed, so nothing is spent on telling.
    *("--assert=plain", "--tb=no", "-q"),
    *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:logging"),
    # In the end it would go through all garbage, many times.
    *("-p", "no:unraisableexception"),
)
_WEAKENED = {"shop", "prod"}
"""Fixtures that are the weakened stage. What compares stages would notice that they differ."""
_NEEDS_MORE = {"assembly", "cloud", "commits", "shared_directory"}


@dataclass
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    killers: list[str]
    """The rules that found it, and the first test that failed; none if it survived."""

    @property
    def by_durability(self) -> bool:
        """Whether a rule found it."""
        return any(killer.startswith(DURABILITY) for killer in self.killers)

    @property
    def by_tests(self) -> str | None:
        """The test that noticed it, if one did."""
        return next((k for k in self.killers if not k.startswith(DURABILITY)), None)


class CampaignError(Exception):
    """The tests fail, or there are none, before anything is weakened."""


@dataclass
class _Campaign:
    """A plug-in of pytest that runs the tests it collects again and again."""

    templates: Mapping[str, Assembly]
    mutants: Sequence[Mutant]
    progress: Callable[[Verdict], object]
    verdicts: list[Verdict] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    weakened: Assembly | None = None
    _killed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keeps what looks at the templates of the stage, and at nothing else."""
        items[:] = [item for item in items if _looks_at_templates(item)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In the place of one run: one as it is, and one for each mutant."""
        items = session.items
        self.broken = [item.nodeid for item in items if _fails(item)]
        if items and not self.broken:
            for mutant in self.mutants:
                self._judge(mutant, items)
        return True

    def _judge(self, mutant: Mutant, items: Sequence[pytest.Item]) -> None:
        self.weakened = mutant.of(self.templates[STAGE])
        killers = _found(self.weakened)
        # Both are run: that the tests notice too what the rules find is worth knowing.
        first = self._first_failing(mutant, items)
        verdict = Verdict(mutant, [*killers, *([first] if first else [])])
        self.verdicts.append(verdict)
        self.progress(verdict)

    def _first_failing(self, mutant: Mutant, items: Sequence[pytest.Item]) -> str | None:
        seen, alike = self._killed[mutant.operator.name], self._killed[mutant.operator.type]

        def promise(item: pytest.Item) -> tuple[int, int]:
            return -seen[item.nodeid], -alike[item.nodeid]

        for item in sorted(items, key=promise):
            if _fails(item):
                seen[item.nodeid] += 1
                alike[item.nodeid] += 1
                return item.nodeid
        return None


def _fixtures(campaign: _Campaign) -> ModuleType:
    """What the tests get in the place of the fixtures of their own conftest."""

    # Of the widest scope for whoever builds on it; it is made anew for each test all the same.
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

    module = ModuleType("weakened_templates")  # which is where pytest looks for functions
    vars(module).update(templates=templates, stage=stage, shop=shop)
    return module


def run(
    templates: Mapping[str, Assembly],
    mutants: Sequence[Mutant],
    progress: Callable[[Verdict], object] = lambda _: None,
    tests: Sequence[str] = TESTS,
) -> list[Verdict]:
    """The verdict on each mutant of the stage that is weakened.

    Raises CampaignError if a test fails before anything is weakened, or there is none.
    """
    campaign = _Campaign(templates, mutants, progress)
    said = io.StringIO()
    inner = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("PYTEST_")}
    try:
        with contextlib.redirect_stdout(said):
            status = pytest.main([*_OPTIONS, *tests], plugins=[campaign, _fixtures(campaign)])
    finally:
        os.environ.update(inner)
    if campaign.broken:
        raise CampaignError(
            f"{len(campaign.broken)} tests fail with nothing weakened, one of them is "
            f"{campaign.broken[0]}: run them by themselves"
        )
    if len(campaign.verdicts) < len(mutants):
        raise CampaignError(f"pytest ended with {status}:\n{said.getvalue()}")
    return campaign.verdicts


def _found(weakened: Assembly) -> list[str]:
    """The durability rules that a mutant breaks."""
    try:
        return sorted({f"{DURABILITY}::{finding.rule.name}" for finding in losses(weakened)})
    except (LookupError, TypeError, ValueError) as error:
        return [f"{DURABILITY}::{type(error).__name__}"]


def _looks_at_templates(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    another_stage = "dev" in parameters.values()
    return bool(fixtures & _WEAKENED) and not fixtures & _NEEDS_MORE and not another_stage


def _fails(item: pytest.Item) -> bool:
    """Whether a test fails. All fixtures go with it."""
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))
