"""The way in while it runs, and the end: the books, what is counted, the dead letters."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.books import Check
from demo.evidence import ORDERS, Evidence
from demo.run import Run
from demo.trace import most_interesting, table_of, trace
from rehearsal import Rehearsal

_FAULTS_SHOWN = 10
_LETTERS_SHOWN = 5


def show_way_in(console: Console, shop: Rehearsal) -> None:
    """How to look into the tables and queues while they change."""
    url = shop.serve()
    lines = (
        f"{len(shop.resources)} resources and {len(shop.functions)} functions of the templates "
        "are at work.",
        "Any AWS client can look in while they are:",
        f"  export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={shop.region}",
        "  export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo",
        "  aws sqs list-queues",
        f"  aws dynamodb scan --table-name {shop.physical_id(ORDERS)}",
        '  python -c \'import boto3; print(boto3.client("dynamodb").list_tables()["TableNames"])\'',
        "",
    )
    for line in lines:
        console.print(Text(line, "dim" if line.startswith(" ") else ""), soft_wrap=True)


def show_end(console: Console, run: Run) -> None:
    """All that came of a run, the verdict last."""
    _show_trace(console, run)
    counts = {
        "Refused by the API": run.refusals,
        "Rejected by checkout": run.evidence.rejections(),
        "Events on the bus": run.evidence.published_types(),
        "Sent again": run.journal.repeated,
    }
    tables = [_counts(title, each) for title, each in counts.items() if each]
    console.print()
    console.print(Columns(tables, padding=(0, 4)))
    console.print()
    _show_books(console, run.checks)
    console.print()
    _show_dead_letters(console, run.evidence)
    console.print()
    if run.balanced:
        console.print(Text(f"The books balance, after {run.seconds:.1f} s.", "bold green"))
    else:
        wrong = sum(not check.holds for check in run.checks)
        said = f"The books do not balance: {wrong} of {len(run.checks)} checks fail."
        console.print(Text(said, "bold red"))


def _show_trace(console: Console, run: Run) -> None:
    story = most_interesting(list(run.stories.by_order.values()))
    if story:
        lines = trace(run.records, run.journal.answers, story.order_id)
        console.print()
        console.print(table_of(story, lines))


def _show_books(console: Console, checks: Sequence[Check]) -> None:
    """Each check with its two figures; below, what does not balance and where to look."""
    table = _table("Books", "", "what", "here", "must be equal to")
    for check in checks:
        mark = Text("✓", "green") if check.holds else Text("✗", "bold red")
        table.add_row(mark, Text(check.what, "bold"), check.left, check.right)
    console.print(table)
    for check in checks:
        for fault in check.faults[:_FAULTS_SHOWN]:
            console.print(Text(f"✗ {check.what}: {fault}", "red"), soft_wrap=True)
        if len(check.faults) > _FAULTS_SHOWN:
            console.print(Text(f"  … and {len(check.faults) - _FAULTS_SHOWN:,} more", "red"))


def _show_dead_letters(console: Console, evidence: Evidence) -> None:
    """What each dead-letter queue holds, or that all are empty."""
    letters = {queue: each for queue, each in evidence.dead_letters.items() if each}
    if not letters:
        console.print(f"All {len(evidence.dead_letters)} dead-letter queues are empty.")
    for queue, messages in letters.items():
        console.print(Text(f"{queue} holds {len(messages):,}:", "bold red"))
        for message in messages[:_LETTERS_SHOWN]:
            console.print(Text(f"  {_shown(message)}"), no_wrap=True, overflow="ellipsis")
        if len(messages) > _LETTERS_SHOWN:
            console.print(f"  … and {len(messages) - _LETTERS_SHOWN:,} more")


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = _table(title, "", "")
    table.show_header = False
    table.columns[1].justify = "right"
    for what, times in sorted(counts.items()):
        table.add_row(what, f"{times:,}")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, header_style="dim")
    return table


def _shown(message: Mapping[str, Any]) -> str:
    """A parked message: why it is there, if it says so, and what it is."""
    attributes = message["attributes"]
    reason = attributes.get("Reason") or attributes.get("ERROR_MESSAGE") or "received too often"
    return f"{reason}: {message['body']}"
