"""The command: runs the matrix, or one cell of it, and shows what came of it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cdk_rehearsal import RehearsalError
from cdk_rehearsal.forks import forked
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.demo.console import open_console
from tools.faults import report
from tools.faults.catalogue import CATALOGUE, Trouble
from tools.faults.cell import Result, Verdict
from tools.faults.happenings import Possible, Tally, mix, possible
from tools.faults.machine import attempt, in_fork
from tools.faults.matrix import Plan, Unsound, opened, plan, processors, run_cells, usual
from tools.faults.places import Place
from tools.faults.sabotage import SABOTAGES
from tools.faults.shop import Shop

VIOLATED, UNUSABLE, INTERRUPTED = 1, 2, 130
"""Exit codes: something was lost or doubled; nothing could be run as it was asked for; Ctrl-C."""


class Unknown(Exception):
    """Something is asked for that there is not; the message says what there is."""


PAGE = ".build/faults.html"
"""Where the whole matrix is written to."""
STEPS = 10_000
"""Of what happens in any order, after the whole matrix."""
_BATCH = 500
"""Orders that one shop takes while everything goes wrong; more are taken by shops of their own."""
_APART = 1_000_000
"""Between the seeds of runs side by side."""
_ERRORS = (PackagingError, RehearsalError, SynthesisError, Unknown)
_monotonic = time.monotonic

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def faults(
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="This kind of trouble alone; may be given again. An unknown name lists them.",
            metavar="NAME",
        ),
    ] = None,
    edge: Annotated[
        str | None, typer.Option(help="Places alone whose line holds this text.", metavar="TEXT")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 1,
    stage: Annotated[str, typer.Option(help="The stage whose templates are rehearsed.")] = "dev",
    assembly: Annotated[
        Path | None, typer.Option(help="A cloud assembly, instead of synthesizing one.")
    ] = None,
    sabotage: Annotated[
        str | None,
        typer.Option(
            help="A safeguard to take away first: the matrix has to see it. "
            "An unknown name lists them.",
            metavar="NAME",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help=f"Where to write the matrix as a page; the whole one: {PAGE}.", metavar="FILE"
        ),
    ] = None,
    mixed: Annotated[
        int, typer.Option(help="Instead of the matrix: so many orders, with all faults at random.")
    ] = 0,
    steps: Annotated[
        int, typer.Option(help="Instead of the matrix: so many steps that hypothesis chooses.")
    ] = 0,
    jobs: Annotated[int, typer.Option(help="Runs side by side; 0: one per processor.")] = 0,
) -> None:
    """Lets every kind of trouble happen at every place, and looks for what is lost or doubled.

    The whole matrix is followed by 10,000 steps, in which all of it happens in any order. Ends with
    1 if something is lost or doubled, and with 2 if nothing could be run.
    """
    console, errors = open_console(sys.stdout), open_console(sys.stderr)
    try:
        _check(fault, sabotage)
        with _assembly(console, assembly, stage, sabotage) as directory, opened(directory) as shop:
            at_once = jobs or processors()
            tales = usual(shop, at_once=at_once)
            if mixed or steps:
                at_random = _mix if mixed else _explore
                at_random(console, shop, possible(tales), mixed or steps, seed, at_once)
                return
            todo = plan(shop, tales, lambda t, p: _wanted(t, p, fault, edge))
            check_plan(todo, edge)
            results = _run(console, todo, run_cells(shop, todo.cells, seed=seed, at_once=at_once))
            if fault or edge:
                _tell(console, results, [], html)
                return
            _tell(console, results, todo.unreached, html or Path(PAGE))
            _explore(console, shop, possible(tales), STEPS, seed, at_once)
    except _ERRORS as error:
        errors.print(Text(f"error: {error}", "bold red"), soft_wrap=True)
        raise typer.Exit(UNUSABLE) from None
    except Unsound as unsound:
        errors.print(Text(f"✗ {unsound}", "bold red"), soft_wrap=True)
        raise typer.Exit(VIOLATED) from None
    except KeyboardInterrupt:
        errors.print("Interrupted: nothing is said.")
        raise typer.Exit(INTERRUPTED) from None


def _explore(
    console: Console, shop: Shop, troubles: list[Possible], steps: int, seed: int, jobs: int
) -> None:
    """Says what came of steps that hypothesis thought out. Raises Exit if something is wrong."""
    console.print(f"{steps:,} steps of whatever may happen …", highlight=False)
    execute = in_fork(shop, troubles)
    explorers = [
        partial(attempt, execute, steps=-(-steps // jobs), seed=seed + _APART * number)
        for number in range(jobs)
    ]
    taken = 0
    for fork in forked(explorers, at_once=jobs):
        more, wrong = fork.value or (0, fork.error)
        taken += more
        if wrong:
            console.print(Text(wrong, "red"), soft_wrap=True)
            raise typer.Exit(VIOLATED)
    console.print(f"{taken:,} steps: nothing lost, nothing doubled", highlight=False)


def _mix(
    console: Console, shop: Shop, troubles: list[Possible], orders: int, seed: int, jobs: int
) -> None:
    """Says what came of orders among faults, batch by batch. Raises Exit if something is wrong."""
    batches = [
        (min(_BATCH, orders - start), seed + _APART * number)
        for number, start in enumerate(range(0, orders, _BATCH))
    ]
    runs = [partial(mix, shop, troubles, *batch) for batch in batches]
    started, total = _monotonic(), Tally()
    for fork in forked(runs, at_once=jobs):
        tally = fork.value or Tally(problems=[fork.error or ""])
        total += tally
        report.show_wrong(console, tally, *batches[fork.index])
        done = f"{total.statuses.total():,} of {orders:,} orders"
        console.print(f"{done}, {_monotonic() - started:.0f} s", highlight=False)
    report.show_tally(console, total)
    if total.problems:
        raise typer.Exit(VIOLATED)


def main() -> None:
    """Entry of `python -m tools.faults`."""
    app(prog_name="python -m tools.faults")


def _check(names: list[str] | None, sabotage: str | None) -> None:
    for name in names or ():
        if name not in CATALOGUE:
            known = ", ".join(CATALOGUE)
            raise Unknown(f"there is no fault {name}: choose one of {known}")
    if sabotage is not None and sabotage not in SABOTAGES:
        known = "\n".join(f"  {each.name}: {each.says}" for each in SABOTAGES.values())
        raise Unknown(f"there is no sabotage {sabotage}: choose one of\n{known}")


def check_plan(todo: Plan, edge: str | None) -> None:
    """Raises Unknown if no place was meant: a matrix without a line would look as if all held."""
    if not todo.cells and not todo.impossible:
        raise Unknown(
            f"no place has a line that holds {edge!r}: a line is such as "
            "'queue Checkout/RunCheckout/Queue -> Checkout/RunCheckout/Function', and "
            "a part of it is enough"
        )


def _wanted(trouble: Trouble, place: Place, names: list[str] | None, edge: str | None) -> bool:
    return (not names or trouble.name in names) and (edge is None or edge in str(place))


@contextmanager
def _assembly(
    console: Console, given: Path | None, stage: str, sabotage: str | None
) -> Iterator[Path]:
    with TemporaryDirectory(prefix="orderflow-") as scratch:
        directory = given
        if directory is None:
            console.print(f"Synthesizing the templates of stage {stage} …", highlight=False)
            directory = host_assembly(stage)
        if sabotage is not None:
            directory = SABOTAGES[sabotage].apply(directory, Path(scratch, "sabotaged"))
        yield directory


def _run(console: Console, todo: Plan, running: Iterator[Result]) -> list[Result]:
    """Shows how far it is, and each violation when it is found."""
    started = shown = _monotonic()
    results = list(todo.impossible)
    bad = 0
    for done, result in enumerate(running, 1):
        results.append(result)
        if result.verdict in report.BAD:
            bad += 1
            report.show_violation(console, result)
        if (now := _monotonic()) - shown > 5 or done == len(todo.cells):
            shown = now
            console.print(
                f"{done:,} of {len(todo.cells):,} cells, {bad:,} violated, {now - started:.0f} s",
                highlight=False,
            )
    return results


def _tell(
    console: Console, results: list[Result], unreached: list[Place], file: Path | None
) -> None:
    """Shows the matrix, and writes it down. Raises Exit if something is wrong."""
    report.show(console, results, unreached)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(report.page(results), encoding="utf-8")
        console.print(f"The matrix is in {file}", highlight=False, soft_wrap=True)
    if unreached or any(result.verdict in report.BAD for result in results):
        raise typer.Exit(VIOLATED)


__all__ = ["Verdict", "app", "main"]
