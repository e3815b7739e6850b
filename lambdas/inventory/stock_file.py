"""Stock files: CSV that suppliers write, each row checked before it is believed."""

import csv
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from lambdas.inventory.domain import MAX_UNITS, ReceivedItem
from lambdas.inventory.events import MAX_MINOR

COLUMNS = ReceivedItem.__struct_fields__
MAX_ROWS = 100_000
MAX_LINE_BYTES = 1024
MAX_REASONS = 100
"""Wrong rows that a report lists; the rest are counted."""

_BOM = b"\xef\xbb\xbf"
_ECHO = 40
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBERS = {"quantity", "unit_price_minor"}
_TYPES = {field.name: field.type for field in msgspec.structs.fields(ReceivedItem)}
_WANTED = {
    "sku": "1 to 64 letters, digits and . _ / + : -",
    "quantity": f"a whole number from 0 to {MAX_UNITS}",
    "unit_price_minor": f"the price in cents, a whole number from 0 to {MAX_MINOR}",
    "currency": "three capital letters, such as EUR",
}


class Refused(Exception):
    """Nothing is taken from the file; the message tells its supplier why."""


class GoodRow(Struct, frozen=True):
    """An item to take, and the line it stands in."""

    line: int
    item: ReceivedItem


class WrongRow(Struct, frozen=True):
    """A line that is not taken, and why."""

    line: int
    reason: str


class Report(Struct, kw_only=True):
    """What became of a file, for its supplier. The same file always has the same report."""

    file: str
    version: str
    refused: str | None = None
    """Why nothing was taken, if the file as a whole was wrong."""
    rows_taken: int = 0
    rows_wrong: int = 0
    wrong: list[WrongRow] = msgspec.field(default_factory=list)
    wrong_not_listed: int = 0

    def good(self, content: BinaryIO) -> Iterator[GoodRow]:
        """The rows to take; notes them and the wrong ones in passing. Raises Refused."""
        for row in rows(content):
            if isinstance(row, GoodRow):
                self.rows_taken += 1
                yield row
            else:
                self.rows_wrong += 1
                if len(self.wrong) < MAX_REASONS:
                    self.wrong.append(row)
                else:
                    self.wrong_not_listed += 1

    def to_json(self) -> bytes:
        """The report in ASCII: what a file smuggled in can neither steer a terminal nor be run."""
        result = "refused" if not self.rows_taken else "accepted"
        if self.rows_taken and self.rows_wrong:
            result = "accepted in part"
        return json.dumps({"result": result, **msgspec.to_builtins(self)}, indent=2).encode()


class _Wrong(Exception):
    """A line is no row."""


def rows(content: BinaryIO) -> Iterator[GoodRow | WrongRow]:
    """Each row of a file, good or wrong, in memory that the number of rows bounds.

    A SKU counts where it first stands in a good row. Raises Refused before the first row if the
    file as a whole is none.
    """
    content.seek(0)
    _check(content)
    content.seek(0)
    first_lines: dict[str, int] = {}
    empty = True
    for number, line in islice(enumerate(_lines(content), start=1), 1, None):
        if not line.strip():
            continue
        empty = False
        try:
            item = _item(line)
            first = first_lines.setdefault(item.sku, number)
            if first != number:
                raise _Wrong(f"sku {_quoted(item.sku)} stands in line {first} already: that counts")
            yield GoodRow(number, item)
        except _Wrong as wrong:
            yield WrongRow(number, str(wrong))
    if empty:
        raise Refused("no row stands under the header")


def _check(content: BinaryIO) -> None:
    """Looks at the file as a whole. Raises Refused."""
    header = content.readline(MAX_LINE_BYTES).removeprefix(_BOM)
    if not header:
        raise Refused("the file is empty")
    wanted = ",".join(COLUMNS)
    try:
        found = tuple(_columns(header))
    except _Wrong as wrong:
        raise Refused(f"the first line is to be {wanted}, but {wrong}") from wrong
    if found != COLUMNS:
        raise Refused(f"the first line is to be {wanted}, not {_quoted(','.join(found))}")
    if next(islice(_lines(content), MAX_ROWS, None), None) is not None:
        raise Refused(f"more than {MAX_ROWS} lines follow the header: split the file")


def _lines(content: BinaryIO) -> Iterator[bytes]:
    """The lines; of one that is too long, as much as shows that it is."""
    while line := content.readline(MAX_LINE_BYTES + 1):
        yield line
        while line and not line.endswith(b"\n"):
            line = content.readline(MAX_LINE_BYTES)


def _columns(line: bytes) -> list[str]:
    """The columns of one line: none of ours may hold a line break, so a lone quote spoils one."""
    if len(line) > MAX_LINE_BYTES:
        raise _Wrong(f"it is longer than {MAX_LINE_BYTES} bytes")
    try:
        return next(csv.reader([line.decode().rstrip("\r\n")], strict=True))
    except UnicodeDecodeError:
        raise _Wrong("it is not UTF-8") from None
    except csv.Error as error:
        raise _Wrong(f"it is not CSV: {error}") from None


def _item(line: bytes) -> ReceivedItem:
    columns = _columns(line)
    if len(columns) != len(COLUMNS):
        raise _Wrong(f"it has {len(columns)} columns instead of {len(COLUMNS)}")
    values: dict[str, Any] = {}
    wrong = []
    for name, text in zip(COLUMNS, columns, strict=True):
        is_integer = name in _NUMBERS and _INTEGER.fullmatch(text)
        try:
            values[name] = msgspec.convert(int(text) if is_integer else text, _TYPES[name])
        except msgspec.ValidationError:
            wrong.append(f"{name} is to be {_WANTED[name]}, not {_quoted(text)}")
    if wrong:
        raise _Wrong("; ".join(wrong))
    return ReceivedItem(**values)


def _quoted(text: str) -> str:
    """What a file says, cut short and without a character that means more than itself."""
    return json.dumps(text if len(text) <= _ECHO else f"{text[:_ECHO]}...")
