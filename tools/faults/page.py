"""The matrix as an HTML page for a browser of any width."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from cdk_rehearsal import FaultSite
from tools.faults.case import CaseResult, Verdict
from tools.faults.kinds import KINDS
from tools.faults.report import BAD, GROUPS, MARKS, in_order

_TEMPLATE = Path(__file__).with_name("matrix.html")
_SECTIONS = ("functions", "queues", "workflows")
_NUMBERS = {name: number for number, name in enumerate(KINDS, 1)}

MEANINGS = {
    Verdict.HELD: "held: nothing needed a repair",
    Verdict.RECOVERED: "recovered: parked, and completed by a redrive",
    Verdict.VIOLATED: "violated: something was lost or done twice",
    Verdict.INACTIVE: "inactive: the fault never acted, so the case proves nothing",
    Verdict.DETECTED: "lost on purpose, without a safeguard: the audit noticed each",
    Verdict.IMPOSSIBLE: "cannot happen at their sites",
}
"""What each verdict means."""


@dataclass(frozen=True)
class _Section:
    """The sites of one kind, with the numbers of the faults that can occur there."""

    title: str
    numbers: list[int]
    sites: dict[FaultSite, list[CaseResult]]
    impossible: dict[FaultSite, dict[str, list[str]]]
    """The faults that cannot occur at a site, by reason."""


def catalogue_addresses(page: Path, catalogue: Path) -> Callable[[str], str | None]:
    """Returns a function from a construct path to the address of its page in the catalogue.

    The address is relative to `page`. The empty path stands for the catalogue's first page. A path
    without a page has no address.
    """

    def address(path: str) -> str | None:
        name = path.removesuffix("/Function").replace("/", ".")
        found = [f"{section}/{name}.html" for section in _SECTIONS] if path else ["index.html"]
        for file in (catalogue / each for each in found):
            if file.is_file():
                return Path(os.path.relpath(file, page.parent)).as_posix()
        return None

    return address


def page(results: Sequence[CaseResult], address_of: Callable[[str], str | None]) -> str:
    """Returns the matrix as one self-contained HTML page."""
    counts = Counter(result.verdict for result in results)
    templates = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["said"] = _said
    return templates.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        address_of=address_of,
        bad=sum(counts[verdict] for verdict in BAD),
        bad_verdicts=BAD,
        counts=counts,
        impossible=Verdict.IMPOSSIBLE,
        kinds=KINDS,
        marks=MARKS,
        meanings=MEANINGS,
        numbers=_NUMBERS,
        run=counts.total() - counts[Verdict.IMPOSSIBLE] - counts[Verdict.DETECTED],
        sections=[*_sections(sorted(results, key=in_order))],
    )


def _sections(results: Sequence[CaseResult]) -> Iterable[_Section]:
    for title, belongs in GROUPS:
        sites: dict[FaultSite, list[CaseResult]] = {}
        impossible: dict[FaultSite, dict[str, list[str]]] = {}
        for result in (each for each in results if belongs(each.site)):
            cases = sites.setdefault(result.site, [])
            reasons = impossible.setdefault(result.site, {})
            if result.verdict is Verdict.IMPOSSIBLE:
                reasons.setdefault(result.problems[0], []).append(result.fault)
            else:
                cases.append(result)
        ran = {_NUMBERS[case.fault] for cases in sites.values() for case in cases}
        if sites:
            yield _Section(title, sorted(ran), sites, impossible)


def _said(cases: Sequence[CaseResult]) -> str:
    """Returns in words what the marks of a row show."""
    counted = Counter(case.verdict for case in cases)
    return ", ".join(f"{counted[v]} {v.value}" for v in MARKS if counted[v]) or "no fault"
