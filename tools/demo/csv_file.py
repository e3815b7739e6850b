"""Reads the user's CSV files in the same way as suppliers' files: wrong rows are skipped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from msgspec import Struct

from lambdas.inventory.csv_table import GoodRow, Refused, WrongRow, check_size

R = TypeVar("R", bound=Struct)


class UnusableFile(Exception):
    """A file that is wrong altogether: nothing in it can be used."""


@dataclass
class Rows(Generic[R]):
    """The rows of a file: the good ones, and the skipped ones with their reasons."""

    good: list[GoodRow[R]] = field(default_factory=list)
    skipped: list[WrongRow] = field(default_factory=list)

    @property
    def read(self) -> int:
        """The number of rows below the header, including the skipped ones."""
        return len(self.good) + len(self.skipped)


def read_rows(
    path: Path, rows_of: Callable[[BinaryIO], Iterator[GoodRow[R] | WrongRow]]
) -> Rows[R]:
    """Return the rows that `rows_of` finds in a file. Raises UnusableFile if none is good."""
    rows: Rows[R] = Rows()
    try:
        for row in rows_of(_content(path)):
            if isinstance(row, GoodRow):
                rows.good.append(row)
            else:
                rows.skipped.append(row)
    except OSError as error:
        raise UnusableFile(f"{path} cannot be read: {error.strerror}") from error
    except Refused as refused:
        raise UnusableFile(f"{path}: {refused}") from refused
    if not rows.good:
        raise nothing_usable(path, rows.skipped)
    return rows


def nothing_usable(path: Path, skipped: Sequence[WrongRow]) -> UnusableFile:
    """Return the error for a file without a good row."""
    return UnusableFile(f"{path} has no usable row; the first is wrong: {skipped[0]}")


def _content(path: Path) -> BinaryIO:
    """Read a file or a pipe. Raises OSError, or Refused if it is too large."""
    with path.open("rb") as file:
        check_size(path.stat().st_size)
        return BytesIO(file.read())
