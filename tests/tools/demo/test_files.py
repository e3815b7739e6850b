"""The user's CSV files: wrong rows are reported with their line, and the others are used."""

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.inventory import stock_file
from lambdas.inventory.csv_table import GoodRow, Refused
from lambdas.orders.events import Line
from tools.demo import sample
from tools.demo.csv_file import UnusableFile
from tools.demo.orders_file import read_orders
from tools.demo.stock_file import plenty_for, read_stock
from tools.demo.supplier import file_at, files_of

HEADER = "order_id,customer_id,sku,quantity,unit_price_minor,currency,payment_token"
GOOD = "o1,c1,MUG,2,1250,EUR,tok_approve"


def write(path: Path, *lines: str, encoding: str = "utf-8", end: str = "\n") -> Path:
    file = path / "file.csv"
    file.write_bytes((end.join(lines) + end).encode(encoding))
    return file


def test_rows_with_the_same_id_make_one_order_wherever_they_stand(tmp_path: Path) -> None:
    file = write(
        tmp_path, HEADER, GOOD, "o2,c2,CUP,1,900,EUR,tok_approve", "o1,c1,CUP,3,900,EUR,tok_approve"
    )

    orders = read_orders(file).items

    assert [order.order_id for order in orders] == ["o1", "o2"]
    assert orders[0].lines == (
        Line(sku="MUG", quantity=2, unit_price_minor=1250),
        Line(sku="CUP", quantity=3, unit_price_minor=900),
    )


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("o1,c1,MUG,0,1250,EUR,tok_approve", "quantity"),
        ("o1,c1,MUG,-1,1250,EUR,tok_approve", "quantity"),
        ("o1,c1,MUG,1.5,1250,EUR,tok_approve", "quantity"),
        ("o1,c1,MUG,1e3,1250,EUR,tok_approve", "quantity"),
        ("o1,c1,MUG,two,1250,EUR,tok_approve", "quantity"),
        ("o1,c1,MUG,99999999999999999999999,1250,EUR,tok_approve", "quantity"),
        ("o1,c1,MUG,1,-5,EUR,tok_approve", "unit_price_minor"),
        ("o1,c1,MUG,1,12.50,EUR,tok_approve", "unit_price_minor"),
        ("o1,c1,MUG,1,1250,eur,tok_approve", "currency"),
        ("o1,c1,MUG,1,1250,EURO,tok_approve", "currency"),
        ("o1,c1,M UG#,1,1250,EUR,tok_approve", "sku"),
        (f"o1,c1,{'X' * 65},1,1250,EUR,tok_approve", "sku"),
        (",c1,MUG,1,1250,EUR,tok_approve", "order_id"),
        (f"{'o' * 129},c1,MUG,1,1250,EUR,tok_approve", "order_id"),
        ("o1,,MUG,1,1250,EUR,tok_approve", "customer_id"),
        ("o1,c1,MUG,1,1250,EUR,", "payment_token"),
        ("o1,c1,MUG,1,1250,EUR", None),
        ("o1,c1,MUG,1,1250,EUR,tok_approve,more", None),
        ('o1,c1,"MUG,1,1250,EUR,tok_approve', None),
    ],
)
def test_wrong_row_is_skipped_with_its_line_and_column(
    tmp_path: Path, row: str, column: str | None
) -> None:
    file = write(tmp_path, HEADER, "o0,c0,MUG,1,1250,EUR,tok_approve", row, GOOD)

    found = read_orders(file)

    assert [order.order_id for order in found.items] == ["o0", "o1"]
    (skipped,) = found.skipped
    assert str(skipped).startswith(f"line 3: {column or 'it '}")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("o1,c2,CUP,1,900,EUR,tok_approve", "customer_id"),
        ("o1,c1,CUP,1,900,USD,tok_approve", "currency"),
        ("o1,c1,CUP,1,900,EUR,tok_decline", "payment_token"),
    ],
)
def test_row_that_contradicts_its_order_is_skipped(tmp_path: Path, row: str, column: str) -> None:
    found = read_orders(write(tmp_path, HEADER, GOOD, row))

    assert len(found.items[0].lines) == 1
    (skipped,) = found.skipped
    assert str(skipped).startswith(f"line 3: {column}")
    assert "line 2" in skipped.reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        HEADER.encode(),
        b"not,the,header\n1,2,3\n",
        HEADER.replace(",", ";").encode() + b"\n",
        f"{HEADER}\n".encode() + b"o1,c1,\xff,1,1,EUR,t\n",
        f"{HEADER}\nwrong\n".encode(),
        bytes(range(256)),
    ],
)
def test_file_that_is_wrong_altogether_is_an_error_that_names_it(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(content)

    with pytest.raises(UnusableFile, match=r"orders\.csv"):
        read_orders(file)


def test_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="No such file"):
        read_orders(tmp_path / "missing.csv")
    with pytest.raises(UnusableFile, match="directory"):
        read_orders(tmp_path)


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    columns = HEADER.split(",")
    turned = ", ".join(reversed(columns))
    row = ",".join(f'"{cell}"' for cell in reversed(GOOD.split(",")))
    file = write(tmp_path, turned, row, "", encoding="utf-8-sig", end="\r\n")

    (order,) = read_orders(file).items

    assert (order.order_id, order.lines[0].sku) == ("o1", "MUG")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_orders_of_a_spreadsheet_are_read_with_its_padding(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    lines = ["", ",,,", f"{HEADER},,", f"{GOOD},,", *3_000 * [8 * ","]]
    written = [line.replace(",", separator) for line in lines]

    found = read_orders(write(tmp_path, *written, encoding=encoding, end="\r\n"))

    assert [order.order_id for order in found.items] == ["o1"]
    assert (found.rows_read, found.skipped) == (1, [])


@pytest.mark.parametrize(
    ("order_id", "reason"),
    [
        (128 * "件", None),
        (128 * "👩", None),
        ("a\u200db\u00a0c\u0301 \u200fש", None),
        ("\u00a0a\u3000", None),
        (129 * "件", "order_id must be 1 to 128 characters"),
        ("a\x00", "order_id contains U+0000 (null)"),
        ("a\u0085b", "order_id contains U+0085 (next line)"),
        ("a\tb", "order_id contains U+0009 (tab)"),
        ("a\u2029b", "order_id contains U+2029 (paragraph separator)"),
    ],
)
def test_an_id_in_any_script_is_unchanged_and_its_length_counts_characters(
    tmp_path: Path, order_id: str, reason: str | None
) -> None:
    row = GOOD.replace("o1", order_id).replace("c1", order_id)

    found = read_orders(write(tmp_path, HEADER, "o0,c0,MUG,1,1250,EUR,tok_approve", row))

    if reason is None:
        assert (found.items[1].order_id, found.items[1].customer_id) == (order_id, order_id)
    else:
        assert reason in found.skipped[0].reason


PIECES = [*'MUG;,"\n\r\t 1é\u00a0\x00\u2028', "MUG,1,1250,EUR", "MUG;2;1;USD\n", "\n,,,\n"]
FILES = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(FILES, st.sampled_from([",", ";"]), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_stock_rows_get_the_same_verdict_and_reason_as_a_suppliers(
    tmp_path_factory: pytest.TempPathFactory, text: str, separator: str, encoding: str
) -> None:
    header = stock_file.STOCK.header.replace(",", separator)
    content, priced = (
        f"{names}\n{text}".encode(encoding, errors="replace")
        for names in (header, _about_prices(header))
    )
    file = tmp_path_factory.mktemp("stock") / "stock.csv"
    file.write_bytes(priced)
    report = stock_file.Report(file="stock.csv", version="v1")
    try:
        taken = [row.item for row in report.good(io.BytesIO(content))]
    except Refused as refused:
        with pytest.raises(UnusableFile, match=re.escape(_about_prices(str(refused)))):
            read_stock(file)
        return
    if not taken:
        with pytest.raises(UnusableFile, match=re.escape(_about_prices(str(report.wrong[0])))):
            read_stock(file)
        return
    found = read_stock(file)
    assert [
        (item.sku, item.quantity, item.unit_price_minor, item.currency) for item in found.items
    ] == [(item.sku, item.quantity, item.unit_cost_minor, item.currency) for item in taken]
    assert [(wrong.line, wrong.reason) for wrong in found.skipped] == [
        (wrong.line, _about_prices(wrong.reason)) for wrong in report.wrong
    ]


def _about_prices(reason: str) -> str:
    """The reason that the shop's own file gets: it has prices in place of costs."""
    return reason.replace("unit_cost_minor", "unit_price_minor").replace(
        "the cost of a unit in cents", "the price in cents"
    )


def test_stock_of_the_same_item_counts_once(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "sku,quantity,unit_price_minor,currency",
        "MUG,2,1250,EUR",
        "MUG,3,1250,EUR",
        "MUG,4,1300,EUR",
    )

    stock = read_stock(file)

    assert [(item.sku, item.quantity) for item in stock.items] == [("MUG", 2)]
    assert [skipped.line for skipped in stock.skipped] == [3, 4]


def test_without_a_file_there_is_plenty_at_the_first_price(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        HEADER,
        "o1,c1,MUG,90000,1250,EUR,tok_approve",
        "o2,c1,MUG,90000,1300,EUR,tok_approve",
    )

    (item,) = plenty_for(read_orders(file).items)

    assert item.unit_price_minor == 1250
    assert item.quantity >= 180_000


def test_suppliers_files_hold_each_item_once_in_files_of_a_bounded_size(tmp_path: Path) -> None:
    rows = [f"o{number},c,SKU-{number},1,5,EUR,t" for number in range(2_500)]
    items = plenty_for(read_orders(write(tmp_path, HEADER, *rows)).items)

    files = list(files_of(items))

    assert [file.rows for file in files] == [1000, 1000, 500]
    taken = [row for file in files for row in stock_file.rows(io.BytesIO(file.content))]
    delivered = [item.delivered() for item in items]
    assert [row.item for row in taken if isinstance(row, GoodRow)] == delivered
    assert {item.unit_cost_minor for item in delivered} == {3}  # 60 % of 5


def test_mistakes_of_the_sample_are_what_the_books_expect() -> None:
    rows = list(stock_file.rows(io.BytesIO(sample.MISTAKES.read_bytes())))

    good = [row.item for row in rows if isinstance(row, GoodRow)]
    assert {item.sku: item.quantity for item in good} == sample.RIGHT_AMONG_MISTAKES
    assert len(rows) == file_at(sample.MISTAKES).rows
