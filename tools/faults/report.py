"""The matrix in the terminal."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cdk_rehearsal import FaultSite
from tools.demo.console import fits
from tools.faults.actions import SequenceResult
from tools.faults.case import CaseResult, Verdict
from tools.faults.kinds import KINDS

BAD = frozenset({Verdict.VIOLATED, Verdict.INACTIVE})

MARKS = {
    Verdict.HELD: ("●", "green"),
    Verdict.RECOVERED: ("◐", "cyan"),
    Verdict.VIOLATED: ("✗", "bold red"),
    Verdict.INACTIVE: ("?", "bold yellow"),
    Verdict.DETECTED: ("!", "blue"),
    Verdict.IMPOSSIBLE: ("·", "dim"),
}
GROUPS: tuple[tuple[str, Callable[[FaultSite], bool]], ...] = (
    ("Edges", lambda site: not site.synchronous),
    ("Requests and steps", lambda site: site.synchronous and site.kind != "call"),
    ("Calls of AWS APIs", lambda site: site.kind == "call"),
)
"""Titles of groups, and the sites that belong to each."""


def show(console: Console, results: Sequence[CaseResult], unreached: Sequence[FaultSite]) -> None:
    """Prints the matrix, the meaning of its numbers and marks, and the totals."""
    run = {result.site for result in results if result.verdict is not Verdict.IMPOSSIBLE}
    for title, belongs in GROUPS:
        if part := [each for each in results if each.site in run and belongs(each.site)]:
            console.print(Text(title, "italic"))
            table = _table(part)
            for each in [table] if fits(console, table) else _paragraphs(part):
                console.print(each)
    names = {result.fault for result in results}
    for number, kind in enumerate(KINDS.values(), 1):
        if kind.name in names:
            console.print(Text(f"  {number:2} {kind.name}: {kind.says}"))
    for reason in sorted({r.problems[0] for r in results if r.verdict is Verdict.IMPOSSIBLE}):
        console.print(Text(f"   · {reason}"))
    for site in unreached:
        line = f"no scenario passes {site}: add one to tools/faults/scenarios.py"
        console.print(Text(line, "bold red"))
    counts = Counter(result.verdict for result in results)
    totals = ", ".join(
        f"{mark} {counts[verdict]:,} {verdict.value}" for verdict, (mark, _) in MARKS.items()
    )
    cpu = sum(result.cpu_s for result in results)
    console.print(Text(f"{totals}; {cpu:.0f} s of CPU"))


def _table(results: Sequence[CaseResult]) -> Table:
    rows = _rows(results)
    table = Table(box=None, padding=(0, 0, 0, 1))
    table.add_column("", no_wrap=True)
    numbers = sorted({number for row in rows.values() for number in row})
    for number in numbers:
        table.add_column(str(number), justify="right", min_width=2)
    for site, row in rows.items():
        table.add_row(Text(_short(site)), *(row.get(number, "") for number in numbers))
    return table


def _paragraphs(results: Sequence[CaseResult]) -> Iterator[Text | Padding]:
    """Yields each site's name, then its marks, each after the number of its fault."""
    for site, row in _rows(results).items():
        marks = (Text.assemble(str(number), mark) for number, mark in row.items())
        yield Text(_short(site))
        yield Padding(Text(" ").join(marks), (0, 0, 0, 4), expand=False)


def _rows(results: Sequence[CaseResult]) -> Mapping[FaultSite, Mapping[int, Text]]:
    """Returns each site's marks by fault number, without faults that are impossible everywhere."""
    possible = {r.fault for r in results if r.verdict is not Verdict.IMPOSSIBLE}
    numbers = {name: number for number, name in enumerate(KINDS, 1) if name in possible}
    rows: dict[FaultSite, dict[int, Text]] = {}
    for result in sorted(results, key=in_order):
        row = rows.setdefault(result.site, {})
        if result.fault in numbers:
            row[numbers[result.fault]] = Text(*MARKS[result.verdict])
    return {site: dict(sorted(row.items())) for site, row in rows.items()}


def in_order(result: CaseResult) -> tuple[bool, FaultSite]:
    """Sorts results: what is pushed before what is polled, then by site."""
    return result.site.polled, result.site


def _short(site: FaultSite) -> str:
    if site.kind == "call":
        return f"{site.source.removesuffix('/Function')}: {site.operation} {site.target}"
    if site.kind in ("queue", "stream"):
        return f"{site.kind} {site.source}"
    if site.kind in ("rule", "subscriber"):
        return f"{site.kind} {site.target}"
    return f"{site.kind} {site.source} → {site.target}"


def show_violation(console: Console, result: CaseResult) -> None:
    """Prints the problems of a case, its trace, and the command that repeats it."""
    console.print(Text(f"✗ {result.fault} at {result.site}", "bold red"), soft_wrap=True)
    arguments = f"--fault {result.fault} --edge '{result.site}' --seed {result.seed}"
    _show_details(console, result, "  ", arguments)


def show_problems(console: Console, result: SequenceResult, orders: int, seed: int) -> None:
    """Prints the problems of a random run, if any, and the command that repeats it."""
    if result.problems:
        _show_details(console, result, "✗ ", f"--mixed {orders} --seed {seed}")


def _show_details(
    console: Console, result: CaseResult | SequenceResult, mark: str, arguments: str
) -> None:
    for problem in result.problems:
        console.print(Text(f"{mark}{problem}", "red"), soft_wrap=True)
    for line in result.trace:
        console.print(Text(f"    {line}", "dim"), soft_wrap=True)
    console.print(Text(f'  again: make faults ARGS="{arguments}"'), soft_wrap=True)


def show_figures(console: Console, result: SequenceResult) -> None:
    """Prints the figures of random runs."""
    orders, faults = result.statuses.total(), result.faults
    parked = result.redriven + result.discarded
    for line in (
        f"{orders:,} orders, {result.actions:,} actions: {_counts(result.statuses)}",
        f"{result.late:,} of them were cancelled after their delivery",
        f"{faults.total():,} faults acted: {_counts(faults)}",
        f"{parked:,} messages were parked: {result.redriven:,} redriven, "
        f"{result.discarded:,} poison messages discarded",
        f"{result.trees:,} of {result.traced:,} orders are one tree: {result.spans:,} spans, "
        f"{result.links:,} links",
        f"{result.cpu_s:.0f} s of CPU, {1000 * result.cpu_s / max(1, orders):.0f} ms per order",
        f"{len(result.problems):,} violations"
        if result.problems
        else "0 lost, 0 doubled, the audit finds no difference",
    ):
        console.print(line, highlight=False)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counter.most_common()) or "none"
