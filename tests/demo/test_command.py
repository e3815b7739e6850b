"""The command: what cannot be run is said at once, and what does not balance by the exit code."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from demo import cli
from demo.books import Check
from demo.customers import Journal
from demo.evidence import Evidence
from demo.run import Run
from demo.story import Stories
from demo.tally import Tally
from tests.demo.test_files import GOOD, HEADER, write


def run_that_ends_with(*checks: Check) -> Run:
    return Run(Evidence(), list(checks), Journal(), Tally(), Stories({}), 0.0, [])


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Lets the command run nothing; holds what it wanted to run."""
    asked: list[dict[str, Any]] = []

    def rehearse(*_: object, **options: Any) -> Run:
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
def test_what_cannot_be_run_is_said_before_anything_begins(
    ended: list[dict[str, Any]], arguments: list[str], said: str
) -> None:
    result = CliRunner().invoke(cli.app, arguments)

    assert result.exit_code == cli.UNUSABLE
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert ended == []


def test_books_that_do_not_balance_are_the_exit_code(
    ended: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = run_that_ends_with(Check("Money", {"": 1}, {"": 2}, ("one is missing",)))

    assert CliRunner().invoke(cli.app, []).exit_code == 0
    monkeypatch.setattr(cli, "rehearse", lambda *_, **__: wrong)
    assert CliRunner().invoke(cli.app, []).exit_code == cli.UNBALANCED


def test_of_many_wrong_rows_the_first_are_shown_and_all_are_counted(
    ended: list[dict[str, Any]], tmp_path: Path
) -> None:
    wrong = GOOD.replace(",2,", ",two,")
    file = write(tmp_path, HEADER, *[wrong] * 30, GOOD)

    result = CliRunner().invoke(cli.app, ["--orders", str(file)])

    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert len(lines) == 21
    assert lines[0] == "file.csv, line 2, quantity: 'two' is not a whole number from 1 to 100,000"
    assert lines[20] == "file.csv: 30 rows skipped, 10 of them not shown"


def test_report_that_could_be_written_is_not_there_before_its_time(
    ended: list[dict[str, Any]], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("of yesterday")

    for path in (kept, tmp_path / "new.json"):
        assert CliRunner().invoke(cli.app, ["--report", str(path)]).exit_code == 0

    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert kept.read_text() == "of yesterday"
