"""Charts: bars are as long as their values, and names are only text."""

import xml.etree.ElementTree as ET

import pytest

from tools.charts import bars

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> tuple[list[float], list[str]]:
    """Returns the lengths of the bars, and all text."""
    root = ET.fromstring(text)
    lengths = [float(each.attrib["width"]) for each in root.iter(f"{SVG}rect")][1:]
    return lengths, [each.text or "" for each in root.iter(f"{SVG}text")]


def test_bars_are_as_long_as_their_values() -> None:
    lengths, words = drawn(bars("USD", {"tables": 200.0, "queues": 50.0, "keys": 0.0}))
    assert lengths[0] == pytest.approx(4 * lengths[1])
    assert lengths[2] == 1
    assert words == ["USD", "tables", "200", "queues", "50", "keys", "0"]


def test_a_logarithmic_scale_spans_the_decades_below_the_largest_value() -> None:
    lengths, _ = drawn(bars("rates", {"a": 1000.0, "b": 10.0, "c": 0.5}, decades=3))
    assert lengths[1] == pytest.approx(lengths[0] / 3, rel=0.01)
    assert lengths[2] == 1


def test_names_are_text_and_no_markup() -> None:
    _, words = drawn(bars("<script>", {"<b>&": 1.0}))
    assert words == ["<script>", "<b>&", "1"]


def test_nothing_is_an_empty_chart() -> None:
    assert drawn(bars("nothing", {})) == ([], ["nothing"])
