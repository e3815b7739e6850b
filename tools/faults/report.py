"""The matrix as a person reads it: in the terminal, and as one page."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tools.demo.console import fits
from tools.faults.catalogue import CATALOGUE
from tools.faults.cell import Result, Verdict
from tools.faults.happenings import Tally
from tools.faults.places import EDGES, SYNC, Place

BAD = frozenset({Verdict.VIOLATED, Verdict.UNTOUCHED})

MARKS = {
    Verdict.HELD: ("●", "green"),
    Verdict.MENDED: ("◐", "cyan"),
    Verdict.VIOLATED: ("✗", "bold red"),
    Verdict.UNTOUCHED: ("?", "bold yellow"),
    Verdict.NOTICED: ("!", "blue"),
    Verdict.IMPOSSIBLE: ("·", "dim"),
}
_GROUPS = (("Edges", EDGES), ("Requests and steps", SYNC[:2]), ("Calls of AWS APIs", SYNC[2:]))


def show(console: Console, results: Sequence[Result], unreached: Sequence[Place]) -> None:
    """Prints the matrix, what its marks mean, and what it comes to."""
    run = {result.place for result in results if result.verdict is not Verdict.IMPOSSIBLE}
    for title, kinds in _GROUPS:
        places = {place for place in run if place.kind in kinds}
        if part := [result for result in results if result.place in places]:
            _show_part(console, title, part)
    names = {result.trouble for result in results}
    for number, trouble in enumerate(CATALOGUE.values(), 1):
        if trouble.name in names:
            console.print(Text(f"  {number:2} {trouble.name}: {trouble.says}"))
    for reason in sorted({r.problems[0] for r in results if r.verdict is Verdict.IMPOSSIBLE}):
        console.print(Text(f"   · {reason}"))
    for place in unreached:
        console.print(Text(f"no story passes {place}", "bold red"))
    counts = {verdict: sum(r.verdict is verdict for r in results) for verdict in Verdict}
    told = ", ".join(
        f"{mark} {counts[verdict]:,} {verdict.value}" for verdict, (mark, _) in MARKS.items()
    )
    cpu = sum(result.cpu_s for result in results)
    console.print(Text(f"{told}; {cpu:.0f} s of CPU"))


def _show_part(console: Console, title: str, results: Sequence[Result]) -> None:
    """Print a part of the matrix, or a paragraph for each place if the matrix is too wide."""
    table, paragraphs = _table(results), _paragraphs(results)
    console.print(Text(title, "italic"))
    for part in [table] if fits(console, table) else paragraphs:
        console.print(part)


def _table(results: Sequence[Result]) -> Table:
    rows = _rows(results)
    table = Table(box=None, padding=(0, 0, 0, 1))
    table.add_column("", no_wrap=True)
    numbers = sorted({number for row in rows.values() for number in row})
    for number in numbers:
        table.add_column(str(number), justify="right", min_width=2)
    for place, row in rows.items():
        table.add_row(Text(_short(place)), *(row.get(number, "") for number in numbers))
    return table


def _paragraphs(results: Sequence[Result]) -> Iterator[Text | Padding]:
    """Yield each place's name, then its marks, each after the number of its fault."""
    for place, row in _rows(results).items():
        marks = (Text.assemble(str(number), mark) for number, mark in row.items())
        yield Text(_short(place))
        yield Padding(Text(" ").join(marks), (0, 0, 0, 4), expand=False)


def _rows(results: Sequence[Result]) -> Mapping[Place, Mapping[int, Text]]:
    """Return each place's marks by fault number, without faults that are impossible everywhere."""
    possible = {r.trouble for r in results if r.verdict is not Verdict.IMPOSSIBLE}
    numbers = {name: number for number, name in enumerate(CATALOGUE, 1) if name in possible}
    rows: dict[Place, dict[int, Text]] = {}
    for result in sorted(results, key=_by_place):
        row = rows.setdefault(result.place, {})
        if result.trouble in numbers:
            row[numbers[result.trouble]] = Text(*MARKS[result.verdict])
    return {place: dict(sorted(row.items())) for place, row in rows.items()}


def _by_place(result: Result) -> tuple[int, Place]:
    return ((*EDGES, *SYNC).index(result.place.kind), result.place)


def _short(place: Place) -> str:
    if place.kind == "call":
        return f"{place.source.removesuffix('/Function')}: {place.operation} {place.target}"
    if place.kind in ("queue", "stream", "rule"):
        return f"{place.kind} {place.target if place.kind == 'rule' else place.source}"
    return f"{place.kind} {place.source} → {place.target}"


def show_violation(console: Console, result: Result) -> None:
    """Prints what is wrong in a cell, how it came to it, and how to see it again."""
    console.print(Text(f"✗ {result.trouble} at {result.place}", "bold red"), soft_wrap=True)
    for problem in result.problems:
        console.print(Text(f"  {problem}", "red"), soft_wrap=True)
    for line in result.trace:
        console.print(Text(f"    {line}", "dim"), soft_wrap=True)
    console.print(f"  again: {command(result)}", highlight=False, soft_wrap=True, markup=False)


def show_wrong(console: Console, tally: Tally, orders: int, seed: int) -> None:
    """Prints what is wrong after a run at random, if anything is, and how to see it again."""
    for problem in tally.problems:
        console.print(Text(f"✗ {problem}", "red"), soft_wrap=True)
    for line in tally.trace:
        console.print(Text(f"    {line}", "dim"), soft_wrap=True)
    if tally.problems:
        again = f'make faults ARGS="--mixed {orders} --seed {seed}"'
        console.print(f"  again: {again}", highlight=False, soft_wrap=True, markup=False)


def show_tally(console: Console, tally: Tally) -> None:
    """Prints the figures of runs at random."""
    orders, faults = tally.statuses.total(), tally.faults
    parked = tally.brought_back + tally.thrown_away
    for line in (
        f"{orders:,} orders, {tally.happenings:,} happenings: {_counts(tally.statuses)}",
        f"{tally.late:,} of them were cancelled when they had been delivered already",
        f"{faults.total():,} faults acted: {_counts(faults)}",
        f"{parked:,} messages were parked: {tally.brought_back:,} of them brought back, "
        f"{tally.thrown_away:,} poisoned ones thrown away",
        f"{tally.cpu_s:.0f} s of CPU, {1000 * tally.cpu_s / max(1, orders):.0f} ms an order",
        f"{len(tally.problems):,} violations"
        if tally.problems
        else "0 lost, 0 doubled, the books balance",
    ):
        console.print(line, highlight=False)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counter.most_common()) or "none"


def command(result: Result) -> str:
    """The command that runs a cell again."""
    return (
        f"make faults ARGS=\"--fault {result.trouble} --edge '{result.place}' "
        f'--seed {result.seed}"'
    )


def page(results: Sequence[Result]) -> str:
    """The matrix as one page that needs nothing else."""
    parts = [
        _section(title, [result for result in results if result.place.kind in kinds])
        for title, kinds in _GROUPS
    ]
    counts = Counter(result.verdict for result in results)
    told = ", ".join(f"{counts[verdict]:,} {escape(verdict)}" for verdict in Verdict)
    return _PAGE.replace("<!-- matrix -->", "\n".join([f"<p>{told}</p>", *parts]))


def _section(title: str, results: Sequence[Result]) -> str:
    if not results:
        return ""
    cells = {(result.place, result.trouble): result for result in results}
    used = [name for name in CATALOGUE if any(r.trouble == name for r in results)]
    head = "".join(
        f'<th title="{escape(CATALOGUE[name].says)}"><span>{escape(name)}</span></th>'
        for name in used
    )
    rows = []
    for place in dict.fromkeys(result.place for result in sorted(results, key=_by_place)):
        row = "".join(_cell(cells.get((place, name))) for name in used)
        rows.append(f"<tr><th>{escape(str(place))}</th>{row}</tr>")
    return f"<h2>{escape(title)}</h2><table><tr><td></td>{head}</tr>{''.join(rows)}</table>"


def _cell(result: Result | None) -> str:
    if result is None:
        return "<td></td>"
    told = [result.verdict.value, *result.problems]
    told += [f"{count} parked in {path}" for path, count in result.parked.items()]
    name = "na" if result.verdict is Verdict.IMPOSSIBLE else result.verdict.value
    title = escape("\n".join(told), quote=True)
    return f'<td class="{name}" title="{title}">{MARKS[result.verdict][0]}</td>'


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Nothing is lost</title>
<style>
body{font:14px system-ui,sans-serif;margin:2rem;color:#222}
table{border-collapse:collapse;font-size:12px}
tr>th:first-child{text-align:left;font-weight:normal;white-space:nowrap;padding-right:1em}
th span{writing-mode:vertical-rl;transform:rotate(180deg);font-weight:normal}
td{text-align:center;width:1.6em;border:1px solid #eee}
.held{color:#12803c}.mended{color:#0b7285}.na{color:#bbb}.noticed{color:#1c4fa0}
.violated,.untouched{color:#fff;background:#c92a2a}
tr:hover{background:#f4f4f4}
</style>
<h1>Nothing is lost: every fault on every edge</h1>
<p><span class="held">●</span> held &nbsp; <span class="mended">◐</span> parked, and mended by
bringing it back &nbsp; <span class="na">·</span> cannot happen here &nbsp;
<span class="noticed">!</span> lost on purpose, and noticed &nbsp;
<span class="violated">✗</span> violated. Point at a mark for what was parked, or why not.</p>
<!-- matrix -->
</html>
"""
