"""Parses the printed output of the demo."""

import io
import re
from collections import Counter
from decimal import Decimal

from rich.console import Console

from tools.demo.run import DemoRun
from tools.demo.summary import show_summary

WIDE = 200

_FIGURE = re.compile(
    r"(?P<sign>-? ?)\b(?P<number>[\d,]+(\.\d+)?)(?: (?P<currency>[A-Z]{3})\b)?",
)


def printed(run: DemoRun, width: int = WIDE) -> str:
    """Returns the summary of a run on a console of this width."""
    file = io.StringIO()
    show_summary(Console(file=file, width=width, markup=False, emoji=False), run)
    return file.getvalue()


def checks_in(text: str) -> list[tuple[str, str, str, str]]:
    """Returns the rows of the audit from unwrapped text: mark, label and both sides."""
    table = text.partition("\nAudit")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [re.split(r"\s{2,}", line.rstrip()) for line in table if line[1:3] == "  "]
    assert rows, f"this text has no audit:\n{text}"
    return [(mark, what, left, right) for mark, what, left, right in rows]


def added_up(side: str) -> Counter[str]:
    """Returns the sum of all figures in a text by currency. Counts have the currency ""."""
    total: Counter[str] = Counter()
    for figure in _FIGURE.finditer(side):
        number = Decimal(figure["number"].replace(",", "")) * (-1 if figure["sign"].strip() else 1)
        total[figure["currency"] or ""] += number  # type: ignore[assignment]
    return total


def assert_each_line_adds_up(text: str) -> None:
    """Asserts that lines with a tick add up, and that lines with a cross have a finding."""
    for mark, what, left, right in checks_in(text):
        assert any(char.isdigit() for char in left), f"{what} prints no figure: {left}"
        assert any(char.isdigit() for char in right), f"{what} prints no figure: {right}"
        if mark == "✓":
            assert added_up(left) == added_up(right), f"{what}: {left} is not {right}"
        else:
            assert f"✗ {what}: " in text
