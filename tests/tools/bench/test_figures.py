"""`make bench`: its table, its file, the comparison with an earlier run, and its page."""

import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.documents import content
from tools.bench import __main__ as command
from tools.bench import chart
from tools.bench.figures import Figure, Figures, UnusableFigures, markdown, read, table, to_json

NOW = Figures(
    "CPython 3.14.1 with profile-guided optimization",
    "Linux x86_64",
    {"CPU per order": Figure(90.0, "ms"), "records": Figure(12.5, "", "counted")},
    {"a.b": 0.5},
)
BEFORE = Figures(
    "CPython 3.11.7 without profile-guided optimization",
    "Darwin arm64",
    {"CPU per order": Figure(120.0, "ms"), "gone": Figure(1_000, "KiB")},
)


def test_figures_are_shown_beside_those_of_an_earlier_run() -> None:
    assert markdown(NOW, BEFORE).splitlines() == [
        "CPython 3.14.1 with profile-guided optimization, Linux x86_64; "
        "before: CPython 3.11.7 without profile-guided optimization, Darwin arm64",
        "",
        "|  | now | before | change | unit |",
        "| --- | ---: | ---: | ---: | --- |",
        "| CPU per order | 90 | 120 | -25.0% | ms |",
        "| records | 12.5 | - |  |  |",
        "| gone | - | 1,000 |  | KiB |",
    ]
    output = StringIO()
    Console(width=200, file=output).print(table(NOW, BEFORE))
    lines = [line.split() for line in output.getvalue().splitlines()]
    assert ["CPU", "per", "order", "90", "120", "-25.0%", "ms"] in lines


def test_figures_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text(to_json(NOW, {"cold_starts": {"more": 1}}))
    assert read(file) == NOW


@pytest.mark.parametrize("text", ["", "[]", '{"figures": {}}'])
def test_a_file_without_figures_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bench.json"
    file.write_text(text)
    with pytest.raises(UnusableFigures, match=r"bench\.json has no figures .*; write them with"):
        read(file)


def test_the_command_prints_and_writes_all_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The measurements themselves take minutes."""
    earlier, now, page = (tmp_path / name for name in ("a.json", "b.json", "c.md"))
    earlier.write_text(to_json(BEFORE, {}))
    monkeypatch.setattr(command, "_measured", lambda *_: (NOW, {}))
    options = ["--against", str(earlier), "--json", str(now), "--markdown", str(page)]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    command.main()
    assert "-25.0%" in capsys.readouterr().out
    assert read(now) == NOW
    assert page.read_text() == markdown(NOW, BEFORE)


def test_a_measurement_that_fails_is_an_error_and_no_figure() -> None:
    with pytest.raises(command._MeasurementFailed, match=r"tools\.none` has failed"):
        command._output("tools.none")


def test_the_page_shows_the_committed_figures_in_its_table_and_its_chart() -> None:
    released = read(chart.MEASURED)
    assert markdown(released) in content("docs/reference/how-fast-it-is.md")
    assert chart.PICTURE.read_text() == chart.chart(released)
