"""Parses the demo's printed output."""

import io
import re
from collections import Counter
from decimal import Decimal

from rich.console import Console

from tools.demo.ending import show_end
from tools.demo.run import Run

WIDE = 200

_FIGURE = re.compile(
    r"(?P<sign>-? ?)\b(?P<number>[\d,]+(\.\d+)?)(?: (?P<currency>[A-Z]{3})\b)?",
)


def printed(run: Run, width: int = WIDE) -> str:
    """Return the final report of a run on a console of this width."""
    file = io.StringIO()
    show_end(Console(file=file, width=width, markup=False, emoji=False), run)
    return file.getvalue()


def books_in(text: str) -> list[tuple[str, str, str, str]]:
    """Return the rows of the books from unwrapped text: mark, label and both sides."""
    table = text.partition("\nBooks")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [re.split(r"\s{2,}", line.rstrip()) for line in table if line[1:3] == "  "]
    assert rows, f"no books are in this text:\n{text}"
    return [(mark, what, left, right) for mark, what, left, right in rows]


def added_up(side: str) -> Counter[str]:
    """Return the sum of all figures in a text by currency; counts have the currency ""."""
    total: Counter[str] = Counter()
    for figure in _FIGURE.finditer(side):
        number = Decimal(figure["number"].replace(",", "")) * (-1 if figure["sign"].strip() else 1)
        total[figure["currency"] or ""] += number  # type: ignore[assignment]
    return total


def assert_each_line_adds_up(text: str) -> None:
    """Assert that lines with a tick add up, and that lines with a cross have a printed fault."""
    for mark, what, left, right in books_in(text):
        assert any(char.isdigit() for char in left), f"{what} prints no figure: {left}"
        assert any(char.isdigit() for char in right), f"{what} prints no figure: {right}"
        if mark == "✓":
            assert added_up(left) == added_up(right), f"{what}: {left} is not {right}"
        else:
            assert f"✗ {what}: " in text
