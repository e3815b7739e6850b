"""The end: the books, the events and the dead letters, for people."""

from collections.abc import Sequence
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
    table = Table(title="Books", title_justify="left", title_style="bold", box=None, expand=False)
    table.add_column("")
    table.add_column("what", style="bold")
    table.add_column("here")
    table.add_column("must be equal to")
    for check in checks:
        mark = Text("✓", "green") if check.holds else Text("✗", "bold red")
        table.add_row(mark, check.what, check.left, check.right)
    console.print(table)
    for check in checks:
        for fault in check.faults[:_FAULTS_SHOWN]:
            console.print(Text(f"✗ {fault}", "red"), soft_wrap=True)
        if len(check.faults) > _FAULTS_SHOWN:
            console.print(Text(f"  … and {len(check.faults) - _FAULTS_SHOWN:,} more", "red"))
