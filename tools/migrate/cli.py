"""The command line of `make migrate`."""

import sys
import time
from functools import partial
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.text import Text

from cdk_rehearsal import RehearsalError, forked
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.demo.console import errors_as_exit_codes, grid, open_console, show_table
from tools.faults.matrix import BaselineError, open_shop
from tools.migrate.run import MigrationResult, Move, Sabotage, migrate

VIOLATED = 1
"""The exit code if something was lost or doubled."""

_SHOWN = 10
_ERRORS = (BaselineError, PackagingError, RehearsalError, SynthesisError)
_monotonic = time.monotonic

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def rehearse(
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 1,
    seeds: Annotated[int, typer.Option(help="So many runs, from this seed on.", min=1)] = 1,
    stage: Annotated[str, typer.Option(help="The stage whose templates are rehearsed.")] = "prod",
    sabotage: Annotated[
        str | None,
        typer.Option(
            help="Move wrongly; the rehearsal must notice. no-overlap: a consumer leaves one bus "
            "before it joins the other. loop: both bridges forward everything.",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Moves a stage from the classic bus to the Custom Event Bus and back, while orders flow.

    Each consumer and producer moves by itself, in an order that the seed chooses, among random
    faults. Ends with 1 if something is lost or doubled, and with 2 if nothing could run.
    """
    console, errors = open_console(sys.stdout), open_console(sys.stderr)
    with errors_as_exit_codes(errors, *_ERRORS):
        name = _sabotage(sabotage)
        console.print(f"Synthesizing the templates of stage {stage} with both buses …")
        assembly = host_assembly(stage, bus="migrating")
        with open_shop(assembly, warm_up=(), paused=()) as shop:
            runs = [
                partial(migrate, shop, assembly, seed=each, sabotage=name)
                for each in range(seed, seed + seeds)
            ]
            failed, started = 0, _monotonic()
            for fork in forked(runs, at_once=1):
                found = fork.value or MigrationResult.failed(fork.error or "")
                failed += bool(found.problems)
                if seeds == 1:
                    show_moves(console, found)
                show_result(console, seed + fork.index, found, _monotonic() - started)
                started = _monotonic()
    if failed:
        raise typer.Exit(VIOLATED)


def _sabotage(name: str | None) -> Sabotage | None:
    """Returns a sabotage by its name. Raises RehearsalError for an unknown one."""
    for known in get_args(Sabotage):
        if name == known:
            return known  # type: ignore[no-any-return]
    if name is None:
        return None
    known = ", ".join(get_args(Sabotage))
    raise RehearsalError(f'unknown sabotage "{name}": use one of {known}')


def show_moves(console: Console, found: MigrationResult) -> None:
    """Prints who moved in which order, and for how long both buses delivered."""
    table = grid("Moves", "", "to the Custom Event Bus", "back to the classic bus", "came twice")
    back = {move.name: move for move in found.moves if move.to == "classic"}
    for move in found.moves:
        if move.to == "custom":
            twice = found.doubled.get(move.name)
            table.add_row(
                Text(move.name, "bold"),
                _told(move),
                _told(back.get(move.name)),
                "" if twice is None else f"{twice:,} events",
            )
    show_table(console, table)
    console.print()


def _told(move: Move | None) -> str:
    if move is None:
        return "not moved"
    if move.overlap_s is None:
        return "publishes there"
    told = f"both for {move.overlap_s:,.0f} s"
    return f"{told}, interrupted" if move.interrupted else told


def show_result(console: Console, seed: int, found: MigrationResult, seconds: float) -> None:
    """Prints the figures of a run, and what was lost or doubled."""
    orders = found.result.statuses.total()
    published, crossed = found.published, found.crossed
    faults = found.result.faults.total()
    figures = (
        f"seed {seed}: {len(found.moves)} moves, {orders} orders, {faults} faults, "
        f"{found.result.redriven} redriven; published: {published['classic']:,} on the classic "
        f"bus, {published['custom']:,} on the Custom Event Bus; bridged: {crossed['custom']:,} and "
        f"{crossed['classic']:,}, none twice"
    )
    if not found.problems:
        console.print(Text(f"✓ {figures}; nothing lost, nothing doubled ({seconds:.0f} s)"))
        return
    console.print(Text(f"✗ seed {seed}, after {len(found.moves)} moves:", "bold red"))
    for problem in found.problems[:_SHOWN]:
        console.print(Text(f"  {problem}", "red"), soft_wrap=True)
    if len(found.problems) > _SHOWN:
        console.print(Text(f"  … and {len(found.problems) - _SHOWN:,} more", "red"))


def main() -> None:
    """Entry point of `python -m tools.migrate`."""
    app(prog_name="python -m tools.migrate")
