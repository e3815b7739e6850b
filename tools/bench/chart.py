"""Draws where the CPU time of a rehearsed order goes: `python -m tools.bench.chart`."""

from collections.abc import Mapping
from html import escape

from tools.bench.figures import Figures, read
from workspace.isolation import PROJECT

MEASURED = PROJECT / "docs" / "reference" / "how-fast-it-is.json"
"""The figures of the last release, written by `make bench ARGS="--json FILE"`."""
PICTURE = PROJECT / "docs" / "pictures" / "how-fast-it-is.svg"

_SHOWN = 12
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 720, 230, 70, 52, 24
_STYLE = """
svg { --page: #fbfbfa; --text: #1c2024; --muted: #62686f; --bar: #4c78c8; }
@media (prefers-color-scheme: dark) {
svg { --page: #14161a; --text: #e6e8ea; --muted: #9aa2ab; --bar: #7ba4ea; }
}
.page { fill: var(--page); }
.bar { fill: var(--bar); }
text { font: 12px system-ui, "Segoe UI", Roboto, sans-serif; fill: var(--muted); }
.head { font-weight: bold; fill: var(--text); }
"""


def chart(figures: Figures) -> str:
    """Returns bars as SVG: the milliseconds of CPU time of an order, by package."""
    per_order = next(
        each.value for name, each in figures.figures.items() if name.endswith("CPU per order")
    )
    bars = _bars({name: share * per_order for name, share in figures.shares.items()})
    title = f"CPU time of an order: {per_order:.0f} ms, by package"
    height = _TOP + len(bars) * _ROW + 16
    scale = (_WIDTH - _LEFT - _RIGHT) / max(bars.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">\n<style>{_STYLE}</style>',
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="12"/>',
        f'<text class="head" x="16" y="26">{escape(title)}</text>',
        f'<text x="16" y="44">{escape(figures.interpreter)}</text>',
    ]
    for number, (name, value) in enumerate(bars.items()):
        top = _TOP + number * _ROW
        parts += [
            f'<text x="{_LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="bar" x="{_LEFT}" y="{top + 3}" width="{value * scale:.1f}" '
            f'height="{_ROW - 8}" rx="3"/>',
            f'<text x="{_LEFT + value * scale + 6:.1f}" y="{top + 14}">{value:.1f} ms</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])


def _bars(milliseconds: Mapping[str, float]) -> dict[str, float]:
    """Returns the largest values, and the sum of all others."""
    largest = sorted(milliseconds.items(), key=lambda each: (-each[1], each[0]))
    named = {name.removeprefix("packages."): value for name, value in largest[:_SHOWN]}
    rest = sum(value for _, value in largest[_SHOWN:])
    return {**named, f"{len(largest) - _SHOWN} others": rest} if rest else named


if __name__ == "__main__":
    PICTURE.write_text(chart(read(MEASURED)))
