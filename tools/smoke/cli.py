"""The command line of `make smoke`: docs/how-to/check-a-deployed-stage.md."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tools.demo.console import open_console
from tools.smoke.accounts import SignInFailed
from tools.smoke.cleaning import remove_left
from tools.smoke.parity import compared
from tools.smoke.report import show, show_step
from tools.smoke.run import Run, StepFailed
from tools.smoke.scenario import play
from tools.smoke.stage import NotDeployed, Stage

FAILED, UNUSABLE = 1, 2
"""Exit codes: a step fails; nothing could run."""

RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 8})
"""FilterLogEvents is throttled first: AWS permits few calls per second."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def smoke(
    stage: Annotated[str, typer.Option(help="The stage.")] = "dev",
    endpoint: Annotated[
        str | None,
        typer.Option(help="The URL of an emulator, in place of AWS.", metavar="URL"),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the results to this file.", metavar="JSON")
    ] = None,
    patience: Annotated[
        float, typer.Option(help="Seconds that each step may take.", min=1, max=600)
    ] = 60.0,
    parity: Annotated[
        str | None,
        typer.Option(
            help="Also compare the rules of AWS that match, in stacks of their own.",
            metavar="REGEX",
        ),
    ] = None,
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Only remove what earlier runs have left, however recent."),
    ] = False,
) -> None:
    """Follows a synthetic customer through a deployed stage, with the shell's credentials.

    Ends with 1 if a step fails, and with 2 if nothing could run.
    """
    console, errors = open_console(sys.stdout), open_console(sys.stderr)
    try:
        found = Stage(stage, partial(boto3.client, endpoint_url=endpoint, config=RETRIES), endpoint)
        found.require()
        run = Run(found, patience, partial(show_step, console))
        if clean:
            _clean(run)
            return
        results = play(run)
        if parity:
            results.parity = compared(parity, endpoint)
            show_step(console, results.parity[-1])
        show(console, results)
        if report:
            report.write_text(results.to_json())
    except (NotDeployed, SignInFailed, BotoCoreError, ClientError, OSError) as error:
        errors.print(f"error: {error}", style="bold red", soft_wrap=True)
        raise typer.Exit(UNUSABLE) from None
    if not results.passes:
        raise typer.Exit(FAILED)


def _clean(run: Run) -> None:
    """Removes all accounts of earlier runs. Raises typer.Exit if one stays."""
    staff = run.accounts.staff()
    try:
        for done in remove_left(run, staff, older_than=None):
            typer.echo(done)
    except StepFailed as failure:
        typer.echo(f"error: {failure}", err=True)
        raise typer.Exit(FAILED) from None
    finally:
        run.accounts.delete(staff.pool, staff.email)


def main() -> None:
    """Entry point of `python -m tools.smoke`."""
    app(prog_name="python -m tools.smoke")
