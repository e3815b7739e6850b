"""Consoles that never cut text: in pipes, in narrow terminals and in any locale."""

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO

import typer
from rich.console import Console
from rich.measure import measure_renderables
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

UNUSABLE, INTERRUPTED = 2, 130
"""Exit codes of commands: nothing could run; Ctrl-C."""

_UNLIMITED = 1_000
"""The width of a pipe or file in columns: more than any table needs."""
_NARROWEST = 20
_DUMB = {"dumb", "unknown"}
_GAP = 2
_ASCII = {"→": ">", "✓": "+", "✗": "x", "●": "o", "◐": "%", "·": ".", "━": "=", "…": "..."}
_ESCAPED = "orderflow.escaped"


def open_console(stream: TextIO) -> Console:
    """Returns a console on a standard stream, without markup and emoji codes.

    It is as wide as the terminal. A pipe is as wide as its content needs, unless COLUMNS is set.
    Characters that are missing from the stream's encoding are replaced by similar ASCII characters
    or by escapes.
    """
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors=_ESCAPED)
    columns = os.environ.get("COLUMNS", "")
    width = max(int(columns), _NARROWEST) if columns.isdecimal() and int(columns) else None
    if not stream.isatty():
        return _console(stream, width or _UNLIMITED, 25)
    if os.environ.get("TERM", "").lower() in _DUMB:
        # rich would assume 80 columns for such a terminal and ignore COLUMNS.
        return _console(stream, width or 80, 25)
    return _console(stream, width or (80 if columns else None), None)


@contextmanager
def errors_as_exit_codes(
    errors: Console, *known: type[Exception], missing: str = "result"
) -> Iterator[None]:
    """Prints known errors, and Ctrl-C with what is `missing` then.

    Raises typer.Exit with `UNUSABLE` or `INTERRUPTED`.
    """
    try:
        yield
    except known as error:
        errors.print(Text(f"error: {error}", "bold red"), soft_wrap=True)
        raise typer.Exit(UNUSABLE) from None
    except KeyboardInterrupt:
        errors.print(f"Interrupted: no {missing}.")
        raise typer.Exit(INTERRUPTED) from None


def _console(stream: TextIO, width: int | None, height: int | None) -> Console:
    return Console(
        file=stream, width=width, height=height, markup=False, emoji=False, highlight=False
    )


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    escaped = (_ASCII.get(char) or ascii(char)[1:-1] for char in text)
    return "".join(escaped), error.end


codecs.register_error(_ESCAPED, _escape)


def grid(title: str, *columns: str) -> Table:
    """Returns a table without lines, for `show_table`."""
    table = Table(
        title=Text(title, "bold"),
        title_justify="left",
        box=None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
    )
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def fits(console: Console, table: Table) -> bool:
    """Whether a table fits into the console without wrapping."""
    options = console.options.update(width=_UNLIMITED)
    return measure_renderables(console, options, [table]).maximum <= console.width


def show_table(console: Console, table: Table) -> None:
    """Prints a table, or each row as a block of lines if the table is too wide."""
    options = console.options.update(width=_UNLIMITED)
    sizes = [
        measure_renderables(console, options, [column.header, *column.cells])
        for column in table.columns
    ]
    room = console.width - sum(size.minimum for size in sizes) - _GAP * (len(sizes) - 1)
    if room < 0:
        for line in _blocks(table):
            console.print(line)
        return
    for column, size in zip(table.columns, sizes, strict=True):
        more = min(room, size.maximum - size.minimum)
        column.width = size.minimum + more
        room -= more
    console.print(table)


def _blocks(table: Table) -> Iterator[Text | Padding]:
    """Yields each row as lines: its name, then each cell with its header."""
    if table.title:
        yield Text.assemble(table.title)
    heads = [str(column.header) for column in table.columns]
    named = [not head for head in heads] if "" in heads else [True, *[False] * (len(heads) - 1)]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        cells = [cell if isinstance(cell, Text) else Text(str(cell)) for cell in row]
        name = [cell for cell, first in zip(cells, named, strict=True) if first and cell]
        yield Text(" ").join(name)
        for head, cell, first in zip(heads, cells, named, strict=True):
            if cell and not first:
                yield Padding(Text.assemble(f"{head}: ", cell), (0, 0, 0, _GAP), expand=False)
