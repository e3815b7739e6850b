"""CSV from spreadsheets is read correctly in every layout, encoding and size."""

import codecs
import csv
import io
import time
import tracemalloc
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct
from msgspec.structs import astuple

from lambdas.eventing import text
from lambdas.inventory import csv_table
from lambdas.inventory.csv_table import MAX_LINE, Format, GoodRow, Refused, WrongRow, rows
from lambdas.inventory.stock_file import STOCK
from tools.demo.orders_file import ORDERS


class Pair(Struct, frozen=True):
    """A name and a quantity."""

    name: Annotated[str, Meta(max_length=20)]
    count: int


PAIRS = Format(
    row=Pair, wanted={"name": "1 to 20 characters", "count": "a whole number"}, max_rows=100
)

CHARACTERS = st.characters(codec="utf-8").filter(lambda letter: text.fault(letter) is None)
WORDS = st.text(CHARACTERS, min_size=1, max_size=20).filter(
    lambda word: bool(word.strip()) and word == word.strip(" ")
)
TABLES = st.lists(st.builds(Pair, WORDS, st.integers(0, 10**18 - 1)), min_size=1, max_size=8)
PADDING = st.sampled_from(["", "  ", ",", ",,,,", ' , "",', '"",""', ",\u00a0,"])
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


def read(content: bytes) -> list[GoodRow[Pair] | WrongRow]:
    return list(rows(io.BytesIO(content), PAIRS))


def good(content: bytes) -> list[Pair]:
    found = read(content)
    assert all(isinstance(row, GoodRow) for row in found), found
    return [row.item for row in found if isinstance(row, GoodRow)]


def written(pairs: list[Pair], separator: str = ",", end: str = "\n", columns: int = 0) -> str:
    """A file with this many empty columns."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, lineterminator=end)
    writer.writerow(["name", "count", *columns * [""]])
    writer.writerows([*astuple(pair), *columns * [""]] for pair in pairs)
    return file.getvalue()


@given(TABLES, st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(0, 3))
def test_text_in_any_script_is_read_unchanged(
    pairs: list[Pair], separator: str, end: str, columns: int
) -> None:
    assert good(written(pairs, separator, end, columns).encode()) == pairs


@given(TABLES, st.sampled_from(ENCODINGS), st.integers(1, 50))
def test_text_survives_every_encoding_and_chunk_boundary(
    pairs: list[Pair], encoding: str, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_table, "_CHUNK", chunk)
        assert good(written(pairs).encode(encoding)) == pairs


@given(TABLES, st.data())
def test_padding_changes_no_row_and_no_line_number(pairs: list[Pair], data: st.DataObject) -> None:
    lines = written(pairs).split("\n")[:-1]
    padded: list[str] = []
    numbers = []
    for line in lines:
        padded += data.draw(st.lists(PADDING, max_size=3), label="padding")
        numbers.append(len(padded) + 1)
        padded.append(line + data.draw(st.sampled_from(["", ",", ",,", ', "",  ']), label="empty"))
    padded += data.draw(st.lists(PADDING, max_size=3), label="padding")
    # A row has at least as many cells as the header.
    found = read("\n".join(padded).encode())
    assert [(row.line, getattr(row, "item", row)) for row in found] == [
        *zip(numbers[1:], pairs, strict=True)
    ]


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\nname;count\nMUG;1\n",
        '"sep=\t"\nname\tcount\nMUG\t1\n',
        "count,name\n1,MUG\n",
        "NAME , Count\n MUG , 1 \n",
        "name,,count\nMUG,,1\n",
        ",name,count\n,MUG,1\n",
        '"name","count"\n"MUG","1"',
        '"name\n",count\nMUG,1\n',
        "\n\n,,\nname,count\n\nMUG,1\n,,,,,,,\n",
        f"name,count{16_382 * ','}\nMUG,1{16_382 * ','}\n{16_383 * ','}\n",
        "name,count\nMUG,1\n" + 5_000 * ",,,\n",
    ],
)
def test_every_layout_of_a_spreadsheet_is_read(content: str) -> None:
    assert good(content.encode()) == [Pair("MUG", 1)]


def test_padding_never_counts_as_rows() -> None:
    content = "name,count\n" + 5_000 * ",\n" + 100 * "MUG,1\n"
    assert len(read(content.encode())) == 100
    with pytest.raises(Refused, match="more than 100 rows follow the header"):
        read(f"{content}MUG,1\n".encode())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",1", "name is empty"),
        ("MUG,", "count is empty"),
        ("\u00a0,1", "name is empty"),
        ("MUG", "it has 1 columns instead of 2"),
        ("MUG,1,,new", "it has 4 columns instead of 2"),
        ("MUG\u0085,1", "name contains U+0085 (next line)"),
        ("MUG\u2028,1", "name contains U+2028 (line separator)"),
        ("\u202eMUG,1", "name contains U+202E (right-to-left override)"),
        ("M\tUG,1", "name contains U+0009 (tab)"),
        ("\x9bMUG,1", "name contains U+009B (control character)"),
        ('"MUG\nBLUE",1', "name contains U+000A (line feed)"),
        ('"MUG\r\nBLUE",1', "name contains U+000A (line feed)"),
        (f"{21 * '件'},1", f'name must be 1 to 20 characters, not "{21 * "件"}"'),
        (f"MUG,{19 * '1'}", f'count must be a whole number, not "{19 * "1"}"'),
    ],
)
def test_an_invalid_row_is_reported_with_its_reason(row: str, reason: str) -> None:
    before, found, after = read(f"name,count\nA,1\n{row}\nB,1\n".encode())
    assert (before.line, found.line) == (2, 3)
    assert isinstance(after, GoodRow)
    assert isinstance(found, WrongRow)
    assert found.reason == reason


def test_a_value_in_a_column_without_a_name_is_reported() -> None:
    (wrong,) = read(b"name,,count\nMUG,blue,1\n")
    assert wrong == WrongRow(2, '"blue" is in a column without a name')


@pytest.mark.parametrize("opened", ['"MUG,1', 'MUG,"1', '"', 'x","y', 'MUG,1,"note'])
def test_an_unclosed_quotation_mark_invalidates_only_its_own_row(opened: str) -> None:
    found = read(f"name,count\nA,1\n{opened}\nB,1\nC,1\n".encode())
    assert [row.line for row in found if isinstance(row, WrongRow)] == [3]
    assert [row.item.name for row in found if isinstance(row, GoodRow)] == ["A", "B", "C"]


def test_two_lone_quotation_marks_do_not_merge_the_rows_between_them() -> None:
    found = read(b'name,count\n"A,1\nB,1\nC",1,2,3\nD,1\n')
    assert [row.line for row in found if isinstance(row, WrongRow)] == [2, 4]
    assert [row.item.name for row in found if isinstance(row, GoodRow)] == ["B", "D"]


def test_a_lone_surrogate_invalidates_only_its_own_row() -> None:
    content = "name,count\nA,1\nB?,1\nC,1\n".encode("utf-16-le").replace(b"?\0", b"\x00\xd8")
    first, wrong, last = read(content)
    assert isinstance(first, GoodRow)
    assert wrong == WrongRow(3, "it is neither UTF-8 nor UTF-16: save it as CSV UTF-8")
    assert isinstance(last, GoodRow)


@given(st.binary(max_size=2000) | st.text(max_size=500).map(str.encode))
def test_any_content_is_read_or_rejected_deterministically(content: bytes) -> None:
    def outcome(content: bytes) -> object:
        try:
            return read(content)
        except Refused as refused:
            return str(refused)

    header = b"name,count\n"
    little = codecs.BOM_UTF16_LE + header.decode().encode("utf-16-le")
    for whole in (content, header + content, little + content, codecs.BOM_UTF16_BE + content):
        assert outcome(whole) == outcome(whole)


def test_the_largest_file_of_padding_is_read_in_little_memory() -> None:
    content = io.BytesIO(b"name,count\nMUG,1\n" + 200_000 * b",,,\n" + 10 * MAX_LINE * b",")
    tracemalloc.start()
    try:
        assert len(list(rows(content, PAIRS))) == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.parametrize("line", ['x","y', '"', '"a', '""', ',"', '"""'])
def test_reading_time_grows_linearly_with_the_size(line: str) -> None:
    """Each line opens a quotation mark, so it could span all following lines."""
    form = Format(row=Pair, wanted=PAIRS.wanted, max_rows=10**9)

    def seconds(lines: int) -> float:
        content = io.BytesIO(b"name,count\nMUG,1\n" + lines * f"{line}\n".encode())
        begun = time.process_time()
        for _ in rows(content, form):
            pass
        return time.process_time() - begun

    few, many = (min(seconds(lines) for _ in range(3)) for lines in (300, 3_000))
    assert many < 40 * max(few, 0.001)


def test_a_file_that_is_too_large_is_rejected_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"name,count\nMUG,1\n"
    monkeypatch.setattr(csv_table, "MAX_BYTES", len(content))
    assert good(content) == [Pair("MUG", 1)]
    with pytest.raises(Refused, match="more than 17 bytes: split it"):
        read(content + b" ")


def test_every_column_describes_its_valid_values() -> None:
    assert STOCK.wanted.keys() == set(STOCK.row.__struct_fields__)
    assert ORDERS.wanted.keys() == set(ORDERS.row.__struct_fields__)
