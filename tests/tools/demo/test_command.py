"""The command reports wrong input at once, and a failed audit by its exit code."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lambdas.inventory.stock_file import STOCK
from tests.tools.demo.test_files import GOOD, HEADER, write
from tools.demo import cli, json_report, sample
from tools.demo.audit import Check
from tools.demo.console import UNUSABLE
from tools.demo.customers import Journal
from tools.demo.evidence import Evidence
from tools.demo.hops import HopCounts
from tools.demo.run import DemoRun
from tools.demo.timeline import Timelines


def run_that_ends_with(*checks: Check) -> DemoRun:
    return DemoRun(Evidence(), list(checks), Journal(), HopCounts(), Timelines({}), 0.0, [])


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replaces the run, and returns the options of each call."""
    asked: list[dict[str, Any]] = []

    def rehearse(*_: object, **options: Any) -> DemoRun:
        asked.append(options)
        return run_that_ends_with(Check("Money", {"": 1}, {"": 1}, ()))

    monkeypatch.setattr(cli, "rehearse", rehearse)
    monkeypatch.setattr(cli, "host_assembly", lambda *_, **__: Path("assembly"))
    return asked


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--orders", "missing.csv"], "missing.csv cannot be read"),
        (["--orders", "."], "Is a directory"),
        (["--stock", "missing.csv"], "missing.csv cannot be read"),
        (["--report", "/no/such/folder/report.json"], "no report can be written"),
    ],
)
def test_wrong_input_is_reported_before_anything_starts(
    ended: list[dict[str, Any]], arguments: list[str], said: str
) -> None:
    result = CliRunner().invoke(cli.app, arguments)

    assert result.exit_code == UNUSABLE
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert ended == []


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """The user's files, by option."""
    orders = write(tmp_path, HEADER, GOOD).rename(tmp_path / "orders.csv")
    stock = write(tmp_path, STOCK.header, "MUG,9,1250,EUR").rename(tmp_path / "stock.csv")
    return {"--orders": orders, "--stock": stock}


def other_ways_to(file: Path) -> Iterator[Path]:
    """Different paths to the same file."""
    yield file
    yield file.parent / ".." / file.parent.name / file.name
    (link := file.with_suffix(".link")).symlink_to(file)
    yield link
    (link := file.with_suffix(".second")).symlink_to(file.with_suffix(".link"))
    yield link
    (link := file.with_suffix(".hard")).hardlink_to(file)
    yield link
    (folder := file.with_suffix(".folder")).symlink_to(file.parent)
    yield folder / file.name
    yield Path(os.path.relpath(file))


@pytest.mark.parametrize("option", ["--orders", "--stock"])
def test_a_report_does_not_overwrite_an_input_file(
    ended: list[dict[str, Any]], inputs: dict[str, Path], option: str
) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in inputs.values()}
    given = [str(part) for pair in inputs.items() for part in pair]
    for way in other_ways_to(inputs[option]):
        result = CliRunner().invoke(cli.app, [*given, "--report", str(way)])

        assert result.exit_code == UNUSABLE, way
        assert f"the report would overwrite the input file {inputs[option]}" in result.stderr
    assert ended == []
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}


def test_a_report_does_not_overwrite_an_input_file_in_another_spelling(
    ended: list[dict[str, Any]], inputs: dict[str, Path]
) -> None:
    """File systems of macOS and Windows ignore case. Here, a link simulates that."""
    other = inputs["--stock"].with_name("Stock.CSV")
    if not other.exists():
        other.hardlink_to(inputs["--stock"])

    result = CliRunner().invoke(
        cli.app, ["--stock", str(inputs["--stock"]), "--report", str(other)]
    )

    assert "the report would overwrite the input file" in result.stderr


@pytest.mark.parametrize("file", sample.FILES)
def test_a_report_does_not_overwrite_a_sample_file(
    ended: list[dict[str, Any]], inputs: dict[str, Path], file: Path
) -> None:
    before = file.read_bytes()
    for arguments in ([], ["--orders", str(inputs["--orders"])]):
        result = CliRunner().invoke(cli.app, [*arguments, "--report", str(file)])
        assert result.exit_code == UNUSABLE
    assert (file.read_bytes(), ended) == (before, [])


def test_a_report_cannot_replace_a_directory_and_leaves_no_file(
    ended: list[dict[str, Any]], tmp_path: Path
) -> None:
    result = CliRunner().invoke(cli.app, ["--report", str(tmp_path)])
    assert (result.exit_code, ended) == (UNUSABLE, [])
    assert "Is a directory" in result.stderr

    (link := tmp_path / "dangling").symlink_to(tmp_path / "report.json")
    for way in (tmp_path / "report.json", link):
        json_report.require_writable(way, inputs=sample.FILES)
        assert [*tmp_path.iterdir()] == [link]


def test_a_report_that_cannot_be_written_at_the_end_is_an_error(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    json_report.require_writable(folder / "report.json", inputs=sample.FILES)
    folder.rmdir()
    with pytest.raises(json_report.UnwritableReport, match="No such file or directory"):
        json_report.write(folder / "report.json", {})


def test_a_failed_audit_is_the_exit_code(
    ended: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = run_that_ends_with(Check("Money", {"": 1}, {"": 2}, ("one is missing",)))

    assert CliRunner().invoke(cli.app, []).exit_code == 0
    monkeypatch.setattr(cli, "rehearse", lambda *_, **__: wrong)
    assert CliRunner().invoke(cli.app, []).exit_code == cli.AUDIT_FAILED


def test_the_first_wrong_rows_are_shown_and_all_are_counted(
    ended: list[dict[str, Any]], tmp_path: Path
) -> None:
    wrong = GOOD.replace(",2,", ",two,")
    file = write(tmp_path, HEADER, *[wrong] * 30, GOOD)

    result = CliRunner().invoke(cli.app, ["--orders", str(file)])

    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert len(lines) == 21
    assert lines[0] == (
        'file.csv, line 2: quantity must be a whole number from 1 to 100,000, not "two"'
    )
    assert lines[20] == "file.csv: 30 rows skipped, 10 of them not shown"


def test_a_report_is_not_created_before_the_end(
    ended: list[dict[str, Any]], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("of yesterday")

    for path in (kept, tmp_path / "new.json"):
        assert CliRunner().invoke(cli.app, ["--report", str(path)]).exit_code == 0

    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert kept.read_text() == "of yesterday"
