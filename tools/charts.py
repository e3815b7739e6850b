"""Charts as SVG, for light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, isnan, log10

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 720, 130, 64, 34, 54
_ROW, _NAMES, _VALUES = 22, 300, 72
_STYLE = """
svg { --page: #fbfbfa; --text: #1c2024; --muted: #62686f; --grid: #e3e5e8; --l: 40%; }
@media (prefers-color-scheme: dark) {
svg { --page: #14161a; --text: #e6e8ea; --muted: #9aa2ab; --grid: #2b3038; --l: 68%; }
}
.page { fill: var(--page); }
.over { fill: var(--grid); opacity: 0.6; }
text { font: 12px system-ui, "Segoe UI", Roboto, sans-serif; fill: var(--muted); }
.head { font-weight: bold; fill: var(--text); }
.axis { stroke: var(--grid); }
.line { fill: none; stroke-width: 1.8; stroke: hsl(var(--hue) 65% var(--l)); }
.bar { fill: hsl(var(--hue) 65% var(--l)); }
.key { fill: hsl(var(--hue) 65% var(--l)); }
"""
_HUES = (212, 18, 145, 285, 45)

Series = Mapping[str, Sequence[float]]


def bars(title: str, values: Mapping[str, float], *, decades: int = 0) -> str:
    """Returns a bar for each value, with its name and the value itself.

    With `decades`, the scale is logarithmic: it spans so many powers of ten below the largest.
    """
    most = max(values.values(), default=1.0)

    def length(value: float) -> float:
        share = 1 + log10(value / most) / decades if decades and value else value / most
        return round(max(1.0, (_WIDTH - _NAMES - _VALUES) * max(0.0, share)), 1)

    parts = []
    for number, (name, value) in enumerate(values.items()):
        top = _TOP + 10 + number * _ROW
        parts += [
            f'<text x="{_NAMES - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="bar" style="--hue: {_HUES[0]}" x="{_NAMES}" y="{top}" '
            f'width="{length(value)}" height="{_ROW - 6}" rx="2"/>',
            f'<text x="{_NAMES + length(value) + 6}" y="{top + 12}">{_short(value)}</text>',
        ]
    return _svg(title, parts, height=_TOP + 20 + len(values) * _ROW)


def lines(title: str, at: Sequence[float], panels: Mapping[str, Series], over: range) -> str:
    """Returns panels of lines above each other, over the same minutes.

    `at` are the times of all values in seconds. `over` is the overload, in seconds.
    """
    parts = []
    for number, (name, series) in enumerate(panels.items()):
        top = _TOP + number * (_HEIGHT + _GAP) + 26
        parts += _panel(name, at, series, over, top)
    return _svg(title, parts, height=_TOP + len(panels) * (_HEIGHT + _GAP))


def _svg(title: str, parts: Sequence[str], *, height: int) -> str:
    begin = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">\n<style>{_STYLE}</style>',
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="12"/>',
        f'<text class="head" x="16" y="24">{escape(title)}</text>',
    ]
    return "\n".join([*begin, *parts, "</svg>\n"])


def _short(value: float) -> str:
    """Returns a number with three digits, or all of them before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _panel(name: str, at: Sequence[float], series: Series, over: range, top: int) -> list[str]:
    width = _WIDTH - _LEFT - 16
    most = _rounded(max((v for line in series.values() for v in line if not isnan(v)), default=1))

    def x(time: float) -> float:
        return round(_LEFT + width * time / at[-1], 1)

    def y(value: float) -> float:
        return round(top + _HEIGHT * (1 - value / most), 1)

    shaded = min(at[-1], over.stop) - over.start
    parts = [
        f'<rect class="over" x="{x(over.start)}" y="{top}" width="{x(shaded) - _LEFT:.1f}" '
        f'height="{_HEIGHT}"/>',
        f'<text class="head" x="16" y="{top - 8}">{escape(name)}</text>',
    ]
    for part in (0.0, 0.5, 1.0):
        height = y(most * part)
        parts.append(f'<path class="axis" d="M{_LEFT} {height}H{_WIDTH - 16}"/>')
        text = f"{most * part:,.4g}" if most * part < 10_000 else f"{most * part:,.0f}"
        parts.append(f'<text x="{_LEFT - 6}" y="{height + 4}" text-anchor="end">{text}</text>')
    unit, size = ("h", 3600) if at[-1] > 4 * 3600 else ("min", 60)
    for part in range(7):
        time = at[-1] * part / 6
        anchor = "end" if part == 6 else "middle"
        parts.append(
            f'<text x="{x(time)}" y="{top + _HEIGHT + 16}" text-anchor="{anchor}">'
            f"{time / size:.0f} {unit}</text>"
        )
    for hue, line in zip(_HUES, series.values(), strict=False):
        points = " ".join(f"{x(t)},{y(v)}" for t, v in zip(at, line, strict=True) if not isnan(v))
        parts.append(f'<polyline class="line" style="--hue: {hue}" points="{points}"/>')
    begin = 24 + 7 * len(name)
    for hue, key in zip(_HUES, series, strict=False):
        parts.append(
            f'<text class="key" style="--hue: {hue}" x="{begin}" y="{top - 8}">{escape(key)}</text>'
        )
        begin += 16 + 7 * len(key)
    return parts


def _rounded(most: float) -> float:
    """Returns the next round number."""
    if most <= 0:
        return 1.0
    size: float = 10 ** (ceil(log10(most)) - 1)
    return next(size * step for step in (1, 2, 3, 4, 5, 6, 8, 10) if size * step >= most * 0.999)
