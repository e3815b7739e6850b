"""The figures of a load test, predicted and measured, and their table."""

import json
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, NamedTuple

from rich.table import Table

from tools.demo.console import grid


class Deepest(NamedTuple):
    """The queue with the most messages, by the construct path of its consumer."""

    hop: str
    messages: int


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a load leads to. NaN stands for a figure that is not known."""

    accepted_per_s: float
    """Orders per second that the API accepts."""
    refused: int
    """Orders that the API refuses with 429."""
    failed: int
    """Orders with any other answer, or with none."""
    answer_ms: tuple[float, float]
    """The 50th and the 95th percentile of the time until the API answers."""
    confirmed_per_s: float
    confirmed_s: tuple[float, float]
    """The 50th and the 95th percentile from an order to its confirmation."""
    deepest: Deepest
    oldest_s: float
    """The highest age of a message in a queue."""
    dead_letters: int
    """Messages that came into dead-letter queues."""

    def as_json(self) -> dict[str, Any]:
        """Returns everything as JSON data, with null for figures that are not known."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)), parse_constant=lambda _: None)
        return found

    def rows(self) -> dict[str, str]:
        """Returns each figure as text, by its name."""
        return {
            "accepted orders per second": _text(self.accepted_per_s),
            "refused orders (429)": f"{self.refused:,}",
            "failed orders": f"{self.failed:,}",
            "POST /orders, p50 (ms)": _text(self.answer_ms[0], 0),
            "POST /orders, p95 (ms)": _text(self.answer_ms[1], 0),
            "confirmed orders per second": _text(self.confirmed_per_s),
            "order to confirmation, p50 (s)": _text(self.confirmed_s[0]),
            "order to confirmation, p95 (s)": _text(self.confirmed_s[1]),
            "most messages in a queue": f"{self.deepest.messages:,} ({self.deepest.hop})",
            "oldest message (s)": _text(self.oldest_s, 0),
            "new dead letters": f"{self.dead_letters:,}",
        }


def table(title: str, predicted: Figures, measured: Figures) -> Table:
    """Returns both figures side by side."""
    shown = grid(title, "", "predicted", "measured")
    for (name, before), after in zip(
        predicted.rows().items(), measured.rows().values(), strict=True
    ):
        shown.add_row(name, before, after)
    return shown


def _text(number: float, places: int = 2) -> str:
    return "unknown" if isnan(number) else f"{number:,.{places}f}"
