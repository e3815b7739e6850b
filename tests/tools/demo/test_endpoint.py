"""The commands that the demo prints work as printed."""

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cdk_rehearsal import Rehearsal
from tests.support.aws_cli import parse
from tests.support.desk import SHELLS, beside, lay_out, started
from tools.demo import cli
from tools.demo.summary import show_endpoint


@pytest.fixture(scope="module")
def shop(assembly: Path) -> Iterator[Rehearsal]:
    with Rehearsal(assembly, seed=1) as rehearsal:
        yield rehearsal


def printed(shop: Rehearsal, *, hold: bool = False) -> str:
    file = io.StringIO()
    show_endpoint(Console(file=file, width=80), shop, hold=hold)
    return file.getvalue()


def test_commands_work_as_they_are_printed(shop: Rehearsal, tmp_path: Path) -> None:
    """Without any variables before: no credentials, no region, no endpoint."""
    desk = lay_out(tmp_path)
    lines = printed(shop).splitlines()
    script = "\n".join(line[2:] for line in lines if line.startswith("  "))
    outputs = [beside(shop, started(desk, shell, script, {})) for shell in SHELLS]

    for text in outputs:
        for url in shop.client("sqs").list_queues()["QueueUrls"]:
            assert url.rpartition("/")[2] in text
        assert all(name in text for name in shop.client("dynamodb").list_tables()["TableNames"])
        assert '"Items"' in text


def test_each_command_names_the_endpoint_and_the_region(shop: Rehearsal) -> None:
    """For some services, version 1 of the AWS CLI ignores variables for the endpoint."""
    text = printed(shop).replace("\\\n", "")

    commands = [line.split()[1:] for line in text.splitlines() if line.startswith("  aws ")]
    assert len(commands) == 2
    for command in commands:
        options = {"--endpoint-url": shop.serve(), "--region": shop.region}
        assert parse(command).options == options
    assert "import boto3" in text.partition(".venv/bin/python -c '")[2]


@pytest.mark.parametrize("hold", [False, True])
def test_printed_commands_fit_into_80_columns(shop: Rehearsal, hold: bool) -> None:
    assert max(len(line) for line in printed(shop, hold=hold).splitlines()) <= 80


def test_printed_hold_option_exists(shop: Rehearsal) -> None:
    assert "make demo ARGS=--hold" in printed(shop)
    assert "until Ctrl-C" in printed(shop, hold=True)
    assert "--hold" not in printed(shop, hold=True)
    assert "--hold" in CliRunner().invoke(cli.app, ["--help"]).output


@pytest.mark.parametrize("held", [False, True])
def test_commands_are_printed_again_at_the_end_if_the_endpoint_stays(
    held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_each_time: list[bool] = []
    monkeypatch.setattr(cli, "show_endpoint", lambda *_, hold: held_each_time.append(hold))
    monkeypatch.setattr(cli, "show_summary", lambda *_: None)
    monkeypatch.setattr(cli, "host_assembly", lambda *_, **__: Path("assembly"))

    def rehearse(*_: object, announce: object, conclude: object, **__: object) -> object:
        announce(None, "")  # type: ignore[operator]
        run = SimpleNamespace(passes=True, checks=[], records=[], evidence=None)
        conclude(None, run)  # type: ignore[operator]
        return run

    monkeypatch.setattr(cli, "rehearse", rehearse)
    result = CliRunner().invoke(cli.app, ["--hold"] if held else [])

    assert result.exit_code == 0, result.output
    assert held_each_time == [held] * (1 + held)
