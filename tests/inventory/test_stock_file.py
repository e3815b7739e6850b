"""Stock files: valid rows, invalid rows, and files that are rejected as a whole."""

import io
import json
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.inventory.csv_table import MAX_LINE, GoodRow, Refused, WrongRow
from lambdas.inventory.domain import ReceivedItem
from lambdas.inventory.stock_file import STOCK, Report, rows
from tests.inventory.suppliers import HEADER, csv

MUG = ReceivedItem(sku="MUG", quantity=10, unit_cost_minor=1250, currency="EUR")


def read(content: bytes) -> list[GoodRow[ReceivedItem] | WrongRow]:
    return list(rows(io.BytesIO(content)))


def report(content: bytes) -> Report:
    report = Report(file="monday.csv", version="v1")
    for _ in report.good(io.BytesIO(content)):
        pass
    return report


@pytest.mark.parametrize(
    "content",
    [
        csv("MUG,10,1250,EUR"),
        csv("MUG,10,1250,EUR").rstrip(),
        b"\xef\xbb\xbf" + csv("MUG,10,1250,EUR"),
        csv("MUG,10,1250,EUR").replace(b"\n", b"\r\n"),
        csv('"MUG","10","1250","EUR"'),
        csv("MUG,10,1250,EUR").replace(b"sku", b'"sku"'),
        csv("", "MUG,10,1250,EUR", "  ", ""),
    ],
    ids=["plain", "no last line break", "BOM", "CRLF", "quoted", "quoted header", "blank lines"],
)
def test_a_row_is_read_in_every_notation(content: bytes) -> None:
    (row,) = read(content)
    assert isinstance(row, GoodRow)
    assert row.item == MUG


WRONG = {
    "no SKU": (",10,1250,EUR", "^sku is empty$"),
    "bad SKU": ("MUG BLUE,10,1250,EUR", 'sku must be 1 to 64 characters .*, not "MUG BLUE"'),
    "long SKU": (f"{65 * 'M'},10,1250,EUR", r'not "M{40}\.\.\."$'),
    "negative": ("MUG,-1,1250,EUR", 'quantity must be a whole number from 0 .*, not "-1"'),
    "no number": ("MUG,many,1250,EUR", 'quantity must be .*, not "many"'),
    "fraction": ("MUG,1.5,1250,EUR", 'quantity must be .*, not "1.5"'),
    "exponent": ("MUG,1e3,1250,EUR", 'quantity must be .*, not "1e3"'),
    "grouped": ('MUG,"1,000",1250,EUR', 'quantity must be .*, not "1,000"'),
    "apart": ("MUG,1 0,1250,EUR", 'quantity must be .*, not "1 0"'),
    "other digits": ("MUG,٣,1250,EUR", 'quantity must be .*, not "٣"'),
    "empty number": ("MUG,,1250,EUR", "^quantity is empty$"),
    "too many units": (
        "MUG,1000000001,1250,EUR",
        'quantity must be .* to 1,000,000,000, not "1000',
    ),
    "huge": (f"MUG,{500 * '9'},1250,EUR", 'quantity must be .*, not "999'),
    "price": (
        "MUG,10,12.50,EUR",
        'unit_cost_minor must be the cost of a unit in cents.*, not "12.50"',
    ),
    "dear": ("MUG,10,1000000000001,EUR", "unit_cost_minor must be .* to 1,000,000,000,000, not"),
    "currency": ("MUG,10,1250,eur", 'currency must be three capital letters.*, not "eur"'),
    "several": ("MUG,-1,1250,€", r'quantity must be .*; currency must be .*, not "€"'),
    "too few columns": ("MUG,10,1250", "it has 3 columns instead of 4"),
    "too many columns": ("MUG,10,1250,EUR,new", "it has 5 columns instead of 4"),
    "semicolons": ("MUG;10;1250;EUR", "it has 1 columns instead of 4"),
    "line break": ('"MUG\nBLUE",10,1250,EUR', r"^sku contains U\+000A \(line feed\)$"),
    "lone quote": ('"MUG,10,1250,EUR', "it is not CSV: unexpected end of data"),
    "quote inside": ('"M"UG,10,1250,EUR', "it is not CSV: "),
    "NUL": ("MUG\x00,10,1250,EUR", r"^sku contains U\+0000 \(null\)$"),
    "too long": (f"MUG,10,1250,{MAX_LINE * 'E'}", "it is longer than 65,536 characters"),
    "much too long": (f"MUG,10,1250,{300_000 * 'E'}", "it is longer than 65,536 characters"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_invalid_row_is_reported_with_line_and_reason_and_affects_no_other(kind: str) -> None:
    line, reason = WRONG[kind]
    before, wrong, after = read(csv("A,1,1,EUR", line, "B,1,1,EUR"))
    assert isinstance(before, GoodRow)
    assert isinstance(wrong, WrongRow)
    assert isinstance(after, GoodRow)
    assert (before.line, wrong.line, after.line) == (2, 3, 4 + line.count("\n"))
    assert re.search(reason, wrong.reason), wrong.reason


def test_a_line_that_is_not_utf_8_affects_no_other() -> None:
    content = csv("A,1,1,EUR", "CAF\u00c9,1,1,EUR", "B,1,1,EUR").replace(b"\xc3\x89", b"\xc9")
    _, wrong, after = read(content)
    assert wrong == WrongRow(3, "it is neither UTF-8 nor UTF-16: save it as CSV UTF-8")
    assert isinstance(after, GoodRow)


def test_the_first_row_of_a_repeated_sku_counts() -> None:
    first, again = read(csv("MUG,10,1250,EUR", "MUG,5,1,EUR"))
    assert isinstance(first, GoodRow)
    assert again == WrongRow(3, 'sku "MUG" is on line 2 already: that one counts')


def test_an_invalid_row_does_not_count_as_the_first_of_its_sku() -> None:
    wrong, good = read(csv("MUG,-10,1250,EUR", "MUG,5,1250,EUR"))
    assert isinstance(wrong, WrongRow)
    assert isinstance(good, GoodRow)


def test_a_price_without_units_is_a_valid_row() -> None:
    (row,) = read(csv("MUG,0,1250,EUR"))
    assert isinstance(row, GoodRow)
    assert row.item.quantity == 0


REFUSED = {
    "empty": (b"", "the file is empty"),
    "BOM alone": (b"\xef\xbb\xbf", "the file is empty"),
    "header alone": (csv(), "there is no row below the header"),
    "blank lines": (csv("", "  "), "there is no row below the header"),
    "no header": (b"MUG,10,1250,EUR\n", 'line 1 must be sku,.*missing: currency.*; unknown: "10"'),
    "other columns": (
        b"sku,units\nMUG,1\n",
        r"line 1 must be .* \(missing: currency, quantity, unit_cost_minor; unknown",
    ),
    "twice": (f"{HEADER},SKU\nMUG,1,1,EUR,MUG\n".encode(), "repeated: sku"),
    "title": (f"Stock\n{HEADER}\nMUG,1,1,EUR\n".encode(), 'line 1 must be .*unknown: "stock"'),
    "UTF-16, cut off": (csv("MUG,1,1,EUR").decode().encode("utf-16")[:-1], "not UTF-16 throughout"),
    "workbook": (
        b"PK\x03\x04\x14\x00\xff\xfe\x00\n\x00",
        r"an Excel workbook \(\.xlsx\).*CSV UTF-8",
    ),
    "old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"an old Excel workbook \(\.xls\)"),
    "PDF": (b"%PDF-1.7\n", "a PDF document"),
    "gzip": (b"\x1f\x8b\x08\x00", "a gzip archive"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "line 1 is neither UTF-8 nor UTF-16"),
    "zeros": (bytes(100_000), "line 1 must be .*, but it is longer than 65,536 characters"),
    "one long line": (100_000 * b"x", "but it is longer than 65,536 characters"),
    "open quote": (b'"' + HEADER.encode(), "line 1 must be .*, but it is not CSV"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_no_stock_file_is_rejected_as_a_whole(kind: str) -> None:
    content, reason = REFUSED[kind]
    with pytest.raises(Refused, match=reason):
        read(content)


def lines(count: int) -> bytes:
    return csv(*(f"SKU-{number},1,1250,EUR" for number in range(count)))


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_a_file_with_too_many_rows_is_rejected_before_any_is_imported(ending: bytes) -> None:
    content = lines(STOCK.max_rows + 1).rstrip() + ending
    with pytest.raises(Refused, match="more than 100,000 rows follow the header: split the file"):
        next(rows(io.BytesIO(content)))


def test_a_file_with_the_maximum_number_of_rows_is_read() -> None:
    assert isinstance(next(rows(io.BytesIO(lines(STOCK.max_rows)))), GoodRow)


def test_a_tenth_of_the_largest_file_needs_a_tenth_of_the_memory_limit() -> None:
    """Only the SKUs are kept, to find duplicates; here, they have the maximum length."""
    count = STOCK.max_rows // 10
    content = io.BytesIO(csv(*(f"{number:064},1,1250,EUR" for number in range(count))))
    tracemalloc.start()
    try:
        assert sum(1 for _ in Report(file="f", version="v").good(content)) == count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 10 * peak < 24 * 2**20


def test_an_endless_line_is_read_in_little_memory() -> None:
    content = io.BytesIO(csv("A,1,1,EUR") + 20 * 2**20 * b"x")
    tracemalloc.start()
    try:
        assert len(list(rows(content))) == 2
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


class TestReport:
    def test_a_good_file_is_accepted(self) -> None:
        assert json.loads(report(csv("A,1,1,EUR", "B,1,1,EUR")).to_json()) == {
            "result": "accepted",
            "file": "monday.csv",
            "version": "v1",
            "refused": None,
            "rows_taken": 2,
            "rows_wrong": 0,
            "wrong": [],
            "wrong_not_listed": 0,
        }

    def test_a_file_with_wrong_rows_is_accepted_in_part(self) -> None:
        answer = json.loads(report(csv("A,1,1,EUR", "B,1,1")).to_json())
        assert answer["result"] == "accepted in part"
        assert (answer["rows_taken"], answer["rows_wrong"]) == (1, 1)
        assert answer["wrong"] == [{"line": 3, "reason": "it has 3 columns instead of 4"}]

    def test_a_file_without_a_valid_row_is_refused(self) -> None:
        assert json.loads(report(csv("B,1,1")).to_json())["result"] == "refused"

    def test_it_lists_100_invalid_rows_and_counts_the_rest(self) -> None:
        answer = report(csv(*(f"=A{number},1,1,EUR" for number in range(250))))
        assert [wrong.line for wrong in answer.wrong] == list(range(2, 102))
        assert (answer.rows_wrong, answer.wrong_not_listed) == (250, 150)

    @pytest.mark.parametrize(
        "hostile",
        [
            "=HYPERLINK(1)",
            "\x1b[2J",
            "\u202eEUR",
            "\u2028",
            "</script>",
            "\x7f",
            "a\tb",
            "\U0001f600",
        ],
    )
    def test_quotations_of_a_file_are_harmless(self, hostile: str) -> None:
        answer = report(csv(f"{hostile},1,1,EUR", f"A,1,1,{50 * hostile}")).to_json()
        assert answer.isascii()
        assert all(character >= 0x20 or character == 0x0A for character in answer)
        assert b"\x7f" not in answer
        first, second = json.loads(answer)["wrong"]
        assert all(letter.isprintable() for letter in first["reason"])
        assert len(second["reason"]) < 600

    @given(st.binary(max_size=3000) | st.text(max_size=1000).map(str.encode))
    def test_each_line_of_any_content_is_imported_or_reported(self, content: bytes) -> None:
        # Quoted cells may contain line breaks: tests/inventory/test_csv_table.py.
        content = csv("A,1,1,EUR").rstrip() + b"\n" + content.replace(b'"', b"")
        answer = report(content)
        _, *lines = re.split("\r\n|\r|\n", content.decode("utf-8", "surrogateescape"))
        written = [line for line in lines if line.replace(",", "").strip()]
        assert answer.rows_taken + answer.rows_wrong == len(written)
        assert answer.rows_taken >= 1
        assert json.loads(answer.to_json())["rows_wrong"] == answer.rows_wrong
