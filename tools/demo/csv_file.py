"""CSV files: the user's files are read like suppliers' files, and wrong rows are skipped."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Generic, TextIO, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from lambdas.inventory.csv_table import GoodRow, Refused, WrongRow, check_size

R = TypeVar("R", bound=Struct)
T = TypeVar("T")


class UnusableFile(Exception):
    """A file without a usable row."""


@dataclass(frozen=True)
class FileContent(Generic[T]):
    """The items of a file: rows, or what the rows make together."""

    items: list[T]
    rows_read: int
    """The number of rows below the header, skipped ones included."""
    skipped: list[WrongRow]


def read_rows(
    path: Path, rows_of: Callable[[BinaryIO], Iterator[GoodRow[R] | WrongRow]]
) -> FileContent[GoodRow[R]]:
    """Returns the rows that `rows_of` finds in a file. Raises UnusableFile if none is good."""
    try:
        rows = [*rows_of(_content(path))]
    except OSError as error:
        raise UnusableFile(f"{path} cannot be read: {error.strerror}") from error
    except Refused as refused:
        raise UnusableFile(f"{path}: {refused}") from refused
    skipped = [row for row in rows if isinstance(row, WrongRow)]
    good = [row for row in rows if isinstance(row, GoodRow)]
    if not good:
        raise nothing_usable(path, skipped)
    return FileContent(good, len(rows), skipped)


def nothing_usable(path: Path, skipped: Sequence[WrongRow]) -> UnusableFile:
    """Returns the error for a file without a good row."""
    return UnusableFile(f"{path} has no usable row; the first is wrong: {skipped[0]}")


def write_rows(file: TextIO, row_type: type[Struct], rows: Iterable[Struct]) -> None:
    """Writes a header and rows."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(row_type.__struct_fields__)
    writer.writerows(map(astuple, rows))


def _content(path: Path) -> BinaryIO:
    """Reads a file or a pipe. Raises OSError, or Refused if it is too large."""
    with path.open("rb") as file:
        check_size(path.stat().st_size)
        return BytesIO(file.read())
