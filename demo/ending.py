"""The end: the books, the events and the dead letters, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.books import Check
from demo.evidence import Evidence

_FAULTS_SHOWN = 10
_LETTERS_SHOWN = 5


def show_books(console: Console, checks: Sequence[Check]) -> None:
    """Each check with its two figures; below, what does not balance and where to look."""
    table = _table("Books", "", "what", "here", "must be equal to")
    for check in checks:
        mark = Text("✓", "green") if check.holds else Text("✗", "bold red")
        table.add_row(mark, Text(check.what, "bold"), check.left, check.right)
    console.print(table)
    for check in checks:
        for fault in check.faults[:_FAULTS_SHOWN]:
            console.print(Text(f"✗ {fault}", "red"), soft_wrap=True)
        if len(check.faults) > _FAULTS_SHOWN:
            console.print(Text(f"  … and {len(check.faults) - _FAULTS_SHOWN:,} more", "red"))


def show_counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    """How often each of some things happened, in columns of one line each."""
    if not counts:
        return
    table = _table(title, "what", "times")
    table.columns[1].justify = "right"
    for what, times in sorted(counts.items()):
        table.add_row(what, f"{times:,}")
    console.print(table)


def show_dead_letters(console: Console, evidence: Evidence) -> None:
    """What each dead-letter queue holds, or that all are empty."""
    letters = {queue: each for queue, each in evidence.dead_letters.items() if each}
    if not letters:
        console.print(f"Dead-letter queues: {len(evidence.dead_letters)}, all of them empty")
        return
    for queue, messages in letters.items():
        console.print(Text(f"{queue} holds {len(messages):,}:", "bold red"))
        for message in messages[:_LETTERS_SHOWN]:
            console.print(Text(f"  {_shown(message)}"), no_wrap=True, overflow="ellipsis")
        if len(messages) > _LETTERS_SHOWN:
            console.print(f"  … and {len(messages) - _LETTERS_SHOWN:,} more")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, header_style="dim")
    return table


def _shown(message: Mapping[str, Any]) -> str:
    return f"{message['body']} {message['attributes'] or ''}"
