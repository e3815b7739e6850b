"""Reads CSV as spreadsheets write it, and validates each row."""

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, BinaryIO, Generic, TypeVar, get_type_hints

import msgspec
from msgspec import Struct

from lambdas.eventing import text

MAX_BYTES = 50 * 1024 * 1024
MAX_LINE = 64 * 1024
"""Maximum characters of a row. A spreadsheet's widest empty row has 16,383 separators."""

_MAX_LINES_OF_A_ROW = 50
_CHUNK = 64 * 1024
_ECHO = 40
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_SEPARATORS = ",;\t|"
_NAMED_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*', re.IGNORECASE)
"""Excel's line that names the separator, such as `sep=;`."""
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_SAVE_AS = "save it as CSV UTF-8"
_NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook (.xlsx), or another ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
}
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

R = TypeVar("R", bound=Struct)


class Refused(Exception):
    """The file is refused as a whole; the message says why."""


class GoodRow(Struct, Generic[R], frozen=True):
    """A valid row, and the line on which it begins."""

    line: int
    item: R


class WrongRow(Struct, frozen=True):
    """An invalid row: the line on which it begins, and the reason."""

    line: int
    reason: str

    def __str__(self) -> str:
        """The text for people, such as `line 3: quantity is empty`."""
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True)
class Format(Generic[R]):
    """The format of a file: a column for each field of `row`, in any order."""

    row: type[R]
    wanted: Mapping[str, str]
    """A description of the valid values, by column."""
    max_rows: int
    formerly: Mapping[str, str] = field(default_factory=dict)
    """Columns by a former name, which is still accepted."""

    @cached_property
    def header(self) -> str:
        """The header, with the columns in the order of the fields."""
        return ",".join(self.row.__struct_fields__)

    @cached_property
    def types(self) -> Mapping[str, Any]:
        """The type of each column."""
        return {field.name: field.type for field in msgspec.structs.fields(self.row)}

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The columns that hold whole numbers."""
        return frozenset(name for name, kind in get_type_hints(self.row).items() if kind is int)


class _Wrong(Exception):
    """A line is no valid row; the message says why."""


def rows(content: BinaryIO, form: Format[R]) -> Iterator[GoodRow[R] | WrongRow]:
    """Yields each row of a file, good or wrong, in constant memory.

    The file is UTF-8 or UTF-16. Its separators are commas, semicolons, tabs or vertical bars, and
    its line breaks LF, CRLF or CR. Empty rows and columns are ignored. Raises Refused before the
    first row if the file as a whole is invalid.
    """
    check_size(content.seek(0, io.SEEK_END))
    _check(content, form)
    table = _Table(content, form)
    for line, cells in table.records():
        try:
            if isinstance(cells, _Wrong):
                raise cells
            yield GoodRow(line, table.item(cells))
        except _Wrong as wrong:
            yield WrongRow(line, str(wrong))


def check_size(size: int) -> None:
    """Raises Refused if a file has more than MAX_BYTES bytes."""
    if size > MAX_BYTES:
        raise Refused(f"the file has more than {MAX_BYTES:,} bytes: split it")


def quoted(value: str) -> str:
    """Returns a value from a file in quotes, shortened, with invisible characters escaped."""
    cut = value if len(value) <= _ECHO else f"{value[:_ECHO]}..."
    return f'"{text.visible(cut)}"'


def _check(content: BinaryIO, form: Format[R]) -> None:
    """Checks the encoding and the number of rows. Raises Refused."""
    try:
        count = sum(1 for _ in islice(_Table(content, form).records(), form.max_rows + 1))
    except UnicodeDecodeError as error:
        raise Refused(f"the file is not UTF-16 throughout: {_SAVE_AS}") from error
    if count > form.max_rows:
        raise Refused(f"more than {form.max_rows:,} rows follow the header: split the file")
    if not count:
        raise Refused("there is no row below the header")


class _Table(Generic[R]):
    """Reads a file once, from its beginning. Raises Refused if its header is wrong."""

    def __init__(self, content: BinaryIO, form: Format[R]) -> None:
        self._form = form
        self._lines = enumerate(_lines(content), start=1)
        self._ahead: deque[tuple[int, str]] = deque()
        self._separator = ","
        self._names: list[str] = []
        self._names = self._header()

    def records(self) -> Iterator[tuple[int, list[str] | _Wrong]]:
        """Yields the first line's number and the cells of each row that is not empty."""
        nothing = f" {self._separator}"
        for number, line in iter(self._next, None):
            if not line.strip(nothing):
                continue
            try:
                cells = self._cells(line)
            except _Wrong as wrong:
                yield number, wrong
            else:
                if any(map(_says_something, cells)):
                    yield number, cells

    def item(self, cells: list[str]) -> R:
        """Returns the cells as a row. Raises _Wrong if they are invalid."""
        names = self._names
        found = _without_padding(cells)
        if len(cells) < len(names) or len(found) > len(names):
            count = len(cells) if len(cells) < len(names) else len(found)
            raise _Wrong(f"it has {count} columns instead of {len(names)}")
        if any(map(_SURROGATES.search, found)):
            raise _Wrong(f"it is neither UTF-8 nor UTF-16: {_SAVE_AS}")
        values: dict[str, Any] = {}
        wrong = []
        for name, value in zip(names, cells, strict=False):
            try:
                values[name] = self._value(name, value)
            except _Wrong as error:
                wrong.append(str(error))
        if wrong:
            raise _Wrong("; ".join(wrong))
        values.pop("", None)
        return self._form.row(**values)

    def _value(self, name: str, value: str) -> Any:
        if not name:
            if _says_something(value):
                raise _Wrong(f"{quoted(value)} is in a column without a name")
            return None
        if not _says_something(value):
            raise _Wrong(f"{name} is empty")
        if fault := text.fault(value):
            raise _Wrong(f"{name} {fault}")
        is_number = name in self._form.numbers and _INTEGER.fullmatch(value)
        try:
            return msgspec.convert(int(value) if is_number else value, self._form.types[name])
        except msgspec.ValidationError:
            raise _Wrong(f"{name} must be {self._form.wanted[name]}, not {quoted(value)}") from None

    def _header(self) -> list[str]:
        """Returns the columns' names in lower case, "" if a column has none. Raises Refused."""
        separators = _SEPARATORS
        for number, line in iter(self._next, None):
            if not _says_something(line.strip(f' "{_SEPARATORS}')):
                continue
            if named := _NAMED_SEPARATOR.fullmatch(line.strip(" ")):
                separators = named[1]
                continue
            return self._names_in(number, line, separators)
        raise Refused(f"the file is empty: its first line must be {self._form.header}")

    def _names_in(self, number: int, line: str, separators: str) -> list[str]:
        wanted = set(self._form.row.__struct_fields__)
        known = {*wanted, *self._form.formerly}
        self._separator = max(separators, key=lambda each: len(known & set(_names(line, each))))
        if _SURROGATES.search(line):
            raise Refused(f"line {number} is neither UTF-8 nor UTF-16: {_SAVE_AS}")
        try:
            cells = _without_padding([cell.strip().lower() for cell in self._cells(line)])
        except _Wrong as wrong:
            raise Refused(f"line {number} must be {self._form.header}, but {wrong}") from None
        names = [self._form.formerly.get(cell, cell) for cell in cells]
        faults = {
            "missing": sorted(wanted.difference(names)),
            "unknown": sorted({quoted(name) for name in names if name and name not in wanted}),
            "repeated": sorted({name for name in wanted if names.count(name) > 1}),
        }
        if said := "; ".join(f"{fault}: {', '.join(of)}" for fault, of in faults.items() if of):
            raise Refused(f"line {number} must be {self._form.header} ({said[:500]})")
        return names

    def _cells(self, line: str) -> list[str]:
        """Returns the cells of the row that begins with `line`. Raises _Wrong.

        A quoted cell may contain line breaks. If a quotation mark is never closed, or the resulting
        row has too many columns, only this line is wrong, not the rest of the file.
        """
        if len(line) > MAX_LINE:
            raise _Wrong(f"it is longer than {MAX_LINE:,} characters")
        try:
            return _parsed([line], self._separator)[0]
        except csv.Error as error:
            try:
                cells, lines = _parsed([line, *self._peeked(line)], self._separator)
            except csv.Error:
                cells, lines = [], 0
            if not lines or 0 < len(self._names) < len(_without_padding(cells)):
                raise _Wrong(f"it is not CSV: {error}") from None
            for _ in range(lines - 1):
                self._ahead.popleft()
            return cells

    def _peeked(self, line: str) -> Iterator[str]:
        """Yields the following lines, as far as they may belong to the row that begins with `line`.

        The lines stay in the look-ahead buffer.
        """
        room = MAX_LINE - len(line)
        for place in range(_MAX_LINES_OF_A_ROW - 1):
            if place == len(self._ahead):
                following = next(self._lines, None)
                if following is None:
                    return
                self._ahead.append(following)
            _, more = self._ahead[place]
            room -= len(more)
            if room < 0:
                return
            yield more

    def _next(self) -> tuple[int, str] | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)


def _lines(content: BinaryIO) -> Iterator[str]:
    """Yields the lines without their breaks; one over MAX_LINE may be cut to MAX_LINE + 1."""
    content.seek(0)
    encoding = _encoding(content.read(8))
    content.seek(0)
    # Undecodable bytes become surrogates. So only their row is wrong, not the whole file.
    errors = "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"
    decoder = io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder(encoding)(errors), translate=True
    )
    rest = ""
    for chunk in iter(lambda: content.read(_CHUNK), b""):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from lines
        rest = rest[: MAX_LINE + 1]
    *lines, rest = (rest + decoder.decode(b"", final=True)).split("\n")
    yield from lines
    if rest:
        yield rest


def _encoding(head: bytes) -> str:
    """Detects the encoding from the first bytes. Raises Refused for a known binary format."""
    for magic, kind in _NO_TEXT.items():
        if head.startswith(magic):
            raise Refused(f"the file is {kind}, not CSV: {_SAVE_AS}")
    for bom, encoding in _ENCODINGS:
        if head.startswith(bom):
            return encoding
    zeros = [byte == 0 for byte in head[:4]]
    if zeros == [False, True] * 2:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False] * 2 else "utf-8"


def _parsed(lines: list[str], separator: str) -> tuple[list[str], int]:
    """Returns the cells of a row, and the number of lines that it spans. Raises csv.Error."""
    reader = csv.reader(
        (f"{line}\n" for line in lines), delimiter=separator, strict=True, skipinitialspace=True
    )
    return [cell.strip(" ") for cell in next(reader)], reader.line_num


def _names(line: str, separator: str) -> Iterator[str]:
    return (cell.strip().strip('"').strip().lower() for cell in line.split(separator))


def _without_padding(cells: list[str]) -> list[str]:
    end = len(cells)
    while end and not _says_something(cells[end - 1]):
        end -= 1
    return cells[:end]


def _says_something(cell: str) -> bool:
    return bool(cell) and not cell.isspace()
