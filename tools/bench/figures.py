"""The figures of `make bench`: named numbers with units, beside those of an earlier run."""

import json
import platform
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, ValidationError, convert, to_builtins
from rich.box import SIMPLE_HEAD
from rich.table import Table


class Figure(Struct, frozen=True):
    """A number with its unit. What `counts` does not depend on the machine."""

    value: float
    unit: str
    source: Literal["measured", "counted"] = "measured"


class Figures(Struct, frozen=True):
    """The figures of one run, by name, and what they were measured with."""

    interpreter: str
    machine: str
    figures: Mapping[str, Figure]
    shares: Mapping[str, float] = {}
    """The share of the CPU time of a rehearsal, by package."""


class UnusableFigures(Exception):
    """A file has no figures of `make bench`."""


def interpreter() -> str:
    """Returns the interpreter and how it was built, since that makes a fifth of the CPU time.

    Debian's packages are optimized by other means, which they do not state.
    """
    built = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    option = "with" if "--enable-optimizations" in built else "without"
    name, version = platform.python_implementation(), platform.python_version()
    compiler = platform.python_compiler()
    return f"{name} {version} ({compiler}, {option} --enable-optimizations)"


def machine() -> str:
    """Returns the operating system and the kind of processor."""
    return f"{platform.system()} {platform.machine()}"


def read(file: Path) -> Figures:
    """Returns the figures that an earlier run wrote with `--json`. Raises UnusableFigures."""
    try:
        return convert(json.loads(file.read_text()), Figures)
    except (OSError, ValueError, ValidationError) as error:
        raise UnusableFigures(
            f"{file} has no figures of an earlier run: {error}; write them with --json {file}"
        ) from None


def table(now: Figures, before: Figures | None = None) -> Table:
    """Returns the figures as a table; with earlier ones, both and the change."""
    shown = Table(box=SIMPLE_HEAD, title=_title(now, before), title_justify="left", pad_edge=False)
    shown.add_column("", no_wrap=True)
    for heading in ("now", *(("before", "change") if before else ())):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for row in _rows(now, before):
        shown.add_row(*row)
    return shown


def markdown(now: Figures, before: Figures | None = None) -> str:
    """Returns the same table as Markdown, with the interpreters above it."""
    headings = ["", "now", *(["before", "change"] if before else []), "unit"]
    rows = [headings, ["---", *["---:"] * (len(headings) - 2), "---"], *_rows(now, before)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([_title(now, before), "", *lines, ""])


def _title(now: Figures, before: Figures | None) -> str:
    title = f"{now.interpreter}, {now.machine}"
    return f"{title}; before: {before.interpreter}, {before.machine}" if before else title


def _rows(now: Figures, before: Figures | None) -> list[list[str]]:
    names = dict.fromkeys((*now.figures, *(before.figures if before else ())))
    return [[name, *_cells(name, now, before)] for name in names]


def _cells(name: str, now: Figures, before: Figures | None) -> list[str]:
    found, earlier = now.figures.get(name), before.figures.get(name) if before else None
    unit = (found or earlier or Figure(0, "")).unit
    if before is None:
        return [_text(found), unit]
    change = ""
    if found and earlier and earlier.value:
        change = f"{found.value / earlier.value - 1:+.1%}"
    return [_text(found), _text(earlier), change, unit]


def _text(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.value:,.0f}" if figure.value == round(figure.value) else f"{figure.value:,.1f}"


def to_json(figures: Figures, more: Mapping[str, Any]) -> str:
    """Returns figures as JSON, as `read` reads them, with further members."""
    return json.dumps({**to_builtins(figures), **more}, indent=2) + "\n"
