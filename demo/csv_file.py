"""CSV files of the user's own: good rows are taken, wrong ones reported, nothing else happens."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar, get_type_hints

import msgspec

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_SHOWN = 40
"""Characters of a wrong value that a message shows."""


class UnusableFile(Exception):
    """A file that is wrong altogether: nothing in it can be used."""


class Row(msgspec.Struct, frozen=True):
    """Base of what one line says: a field for each column, and for each column what it holds."""

    @classmethod
    def expected(cls) -> dict[str, str]:
        """What a right value of each column is, in words for its user."""
        raise NotImplementedError(f"{cls.__name__} does not say what it expects")


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Skipped:
    """A line that was left out: its number in the file, the column at fault (if one), and why."""

    line: int
    column: str | None
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}" + (f", {self.column}" if self.column else "")
        return f"{where}: {self.reason}"


@dataclass
class Rows(Generic[R]):
    """What a file holds: good rows with their line numbers, and those that were skipped."""

    good: list[tuple[int, R]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def read(self) -> int:
        """All rows below the header but blank ones, the skipped ones among them."""
        return len(self.good) + len(self.skipped)


def read_rows(path: Path, row_type: type[R]) -> Rows[R]:
    """The rows of a CSV file in UTF-8 whose header names the fields of `row_type` in any order.

    Raises UnusableFile if there is no such file, or it is no such CSV. A value cannot span lines:
    so a quotation mark that is never closed spoils one line and not the rest of the file.
    """
    lines = io.StringIO(_text(path), newline=None)
    header: list[str] | None = None
    rows: Rows[R] = Rows()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            cells = _cells(line)
        except csv.Error as error:
            if header is None:
                raise UnusableFile(f"{path}, line {number}: no CSV header: {error}") from error
            rows.skipped.append(Skipped(number, None, f"no CSV: {error}"))
            continue
        if header is None:
            header = _header(path, number, cells, row_type)
            continue
        row = _row(number, header, cells, row_type)
        if isinstance(row, Skipped):
            rows.skipped.append(row)
        else:
            rows.good.append((number, row))
    if header is None:
        raise UnusableFile(f"{path} is empty: its first line must be {_wanted(row_type)}")
    if not rows.read:
        raise UnusableFile(f"{path} has a header and no rows")
    return rows


def nothing_usable(path: Path, skipped: Sequence[Skipped]) -> UnusableFile:
    """The error for a file in which each row is wrong."""
    return UnusableFile(f"{path} has no usable row; the first is wrong: {skipped[0]}")


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnusableFile(f"{path} cannot be read: {error.strerror}") from error
    if b"\0" in content:
        raise UnusableFile(f"{path} is no text file in UTF-8: it has zero bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnusableFile(
            f"{path}, line {line}: this is not UTF-8 ({error.reason}): save the file as UTF-8"
        ) from error


def _cells(line: str) -> list[str]:
    (cells,) = csv.reader([line.rstrip("\n")], strict=True, skipinitialspace=True)
    return [cell.strip() for cell in cells]


def _header(path: Path, number: int, cells: list[str], row_type: type[R]) -> list[str]:
    names = [cell.lower() for cell in cells]
    wanted = set(row_type.__struct_fields__)
    faults = {
        "missing": sorted(wanted.difference(names)),
        "unknown": sorted({_shown(name) for name in names if name not in wanted}),
        "repeated": sorted({name for name in names if names.count(name) > 1}),
    }
    said = "; ".join(f"{fault}: {', '.join(found)}" for fault, found in faults.items() if found)
    if said:
        raise UnusableFile(
            f"{path}, line {number}: this is not the header ({said}). "
            f"Columns are separated by commas: {_wanted(row_type)}"
        )
    return names


def _row(number: int, header: list[str], cells: list[str], row_type: type[R]) -> R | Skipped:
    if len(cells) != len(header):
        return Skipped(number, None, f"has {len(cells)} columns, not {len(header)}")
    values: dict[str, str | int] = {}
    for column, cell in zip(header, cells, strict=True):
        if not cell:
            return Skipped(number, column, "is empty")
        if not cell.isprintable():
            return Skipped(number, column, f"{_shown(cell)} has characters that cannot be printed")
        is_number = column in _integers(row_type) and _INTEGER.fullmatch(cell)
        values[column] = int(cell) if is_number else cell
    try:
        return msgspec.convert(values, row_type)
    except msgspec.ValidationError as error:
        column = str(error).rpartition("`$.")[2].rstrip("`")
        reason = f"{_shown(str(values[column]))} is not {row_type.expected()[column]}"
        return Skipped(number, column, reason)


@cache
def _integers(row_type: type[Row]) -> frozenset[str]:
    return frozenset(column for column, kind in get_type_hints(row_type).items() if kind is int)


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")


def _wanted(row_type: type[R]) -> str:
    return ",".join(row_type.__struct_fields__)
