"""Draws where the CPU time of a rehearsed order goes: `python -m tools.bench.chart`."""

from collections.abc import Mapping

from tools import charts
from tools.bench.figures import Figures, read
from workspace.isolation import PROJECT

MEASURED = PROJECT / "docs" / "reference" / "how-fast-it-is.json"
"""The figures of the last release, written by `make bench ARGS="--json FILE"`."""
PICTURE = PROJECT / "docs" / "pictures" / "how-fast-it-is.svg"

_SHOWN = 12


def chart(figures: Figures) -> str:
    """Returns bars as SVG: the milliseconds of CPU time of an order, by package."""
    per_order = next(
        each.value for name, each in figures.figures.items() if name.endswith("CPU per order")
    )
    bars = _bars({name: share * per_order for name, share in figures.shares.items()})
    return charts.bars(f"{per_order:.0f} ms of CPU for an order, by package", bars)


def _bars(milliseconds: Mapping[str, float]) -> dict[str, float]:
    """Returns the largest values, and the sum of all others."""
    largest = sorted(milliseconds.items(), key=lambda each: (-each[1], each[0]))
    named = {name.removeprefix("packages."): value for name, value in largest[:_SHOWN]}
    rest = sum(value for _, value in largest[_SHOWN:])
    return {**named, f"{len(largest) - _SHOWN} others": rest} if rest else named


if __name__ == "__main__":
    PICTURE.write_text(chart(read(MEASURED)))
