"""CSV files: the user's files are read like suppliers' files, and wrong rows are skipped."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Generic, TextIO, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from lambdas.inventory.csv_table import GoodRow, Refused, WrongRow, check_size

R = TypeVar("R", bound=Struct)


class UnusableFile(Exception):
    """A file without a usable row."""


@dataclass
class Rows(Generic[R]):
    """The good rows of a file, and the skipped ones with their reasons."""

    good: list[GoodRow[R]] = field(default_factory=list)
    skipped: list[WrongRow] = field(default_factory=list)

    @property
    def read(self) -> int:
        """The number of rows below the header, skipped ones included."""
        return len(self.good) + len(self.skipped)


def read_rows(
    path: Path, rows_of: Callable[[BinaryIO], Iterator[GoodRow[R] | WrongRow]]
) -> Rows[R]:
    """Returns the rows that `rows_of` finds in a file. Raises UnusableFile if none is good."""
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
