"""CSV files of the user's own, read as a supplier's are: wrong rows are reported, the rest used."""

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
    """What a file holds: good rows, and those that were skipped."""

    good: list[GoodRow[R]] = field(default_factory=list)
    skipped: list[WrongRow] = field(default_factory=list)

    @property
    def read(self) -> int:
        """All rows below the header, the skipped ones among them."""
        return len(self.good) + len(self.skipped)


def read_rows(
    path: Path, rows_of: Callable[[BinaryIO], Iterator[GoodRow[R] | WrongRow]]
) -> Rows[R]:
    """The rows that `rows_of` finds in a file. Raises UnusableFile if it has no good one."""
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
    """The error for a file in which each row is wrong."""
    return UnusableFile(f"{path} has no usable row; the first is wrong: {skipped[0]}")


def _content(path: Path) -> BinaryIO:
    """What is in a file, which may be a pipe. Raises OSError or Refused."""
    with path.open("rb") as file:
        check_size(path.stat().st_size)
        return BytesIO(file.read())
