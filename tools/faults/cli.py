"""The command line of `make faults`."""

import os
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

from cdk_rehearsal import FaultSite, RehearsalError, forked
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.demo.console import errors_as_exit_codes, open_console
from tools.faults import report
from tools.faults.actions import PossibleFault, SequenceResult, possible_faults, run_random
from tools.faults.case import CaseResult
from tools.faults.exploration import attempt, in_fork
from tools.faults.kinds import KINDS
from tools.faults.matrix import BaselineError, Plan, baselines, open_shop, plan, run_cases
from tools.faults.page import catalogue_addresses, page
from tools.faults.safeguards import SAFEGUARDS
from tools.faults.shop import RehearsedShop
from workspace.isolation import PROJECT

VIOLATED = 1
"""The exit code if something was lost or doubled."""


class UnknownName(Exception):
    """An option names an unknown fault, safeguard or site."""


PAGE = ".build/faults.html"
"""The page with the whole matrix."""
CATALOGUE = PROJECT / ".build/catalogue"
"""The site to which the page links, if it exists."""
STEPS = 10_000
"""Random steps after the whole matrix."""
_BATCH = 500
"""Orders of one shop during `--mixed`."""
_APART = 1_000_000
"""The distance between the seeds of parallel runs."""
_ERRORS = (PackagingError, RehearsalError, SynthesisError, UnknownName)
_monotonic = time.monotonic

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def faults(
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this fault. Can be repeated. An unknown name lists all.", metavar="NAME"
        ),
    ] = None,
    edge: Annotated[
        str | None, typer.Option(help="Only sites whose line contains this text.", metavar="TEXT")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 1,
    stage: Annotated[str, typer.Option(help="The stage whose templates are rehearsed.")] = "prod",
    bus: Annotated[
        str | None, typer.Option(help="classic or custom. Default: the stage's kind of bus.")
    ] = None,
    assembly: Annotated[
        Path | None, typer.Option(help="A cloud assembly, instead of synthesizing one.")
    ] = None,
    sabotage: Annotated[
        str | None,
        typer.Option(
            help="Remove this safeguard first: the matrix must find violations. "
            "An unknown name lists all.",
            metavar="NAME",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help=f"Write the matrix to this page. The whole matrix is always in {PAGE}.",
            metavar="FILE",
        ),
    ] = None,
    mixed: Annotated[
        int, typer.Option(help="Instead of the matrix: so many orders with random faults.")
    ] = 0,
    steps: Annotated[
        int, typer.Option(help="Instead of the matrix: so many steps that hypothesis chooses.")
    ] = 0,
    jobs: Annotated[int, typer.Option(help="Parallel runs; 0: one per processor.")] = 0,
) -> None:
    """Injects every fault at every site, and reports what is lost or doubled.

    10,000 random steps follow the whole matrix. Ends with 1 if something is lost or doubled, and
    with 2 if nothing could run.
    """
    console, errors = open_console(sys.stdout), open_console(sys.stderr)
    with errors_as_exit_codes(errors, *_ERRORS), _failing_baselines(errors):
        _check_names(fault, sabotage)
        with (
            _assembly(console, assembly, stage, bus, sabotage) as directory,
            open_shop(directory) as s,
        ):
            at_once = jobs or os.cpu_count() or 1
            known = baselines(s, at_once=at_once)
            if mixed or steps:
                at_random = _mix if mixed else _explore
                at_random(console, s, possible_faults(known), mixed or steps, seed, at_once)
                return
            wanted = plan(
                s,
                known,
                lambda kind, site: (not fault or kind.name in fault) and (edge or "") in str(site),
            )
            check_plan(wanted, edge)
            results = _run(console, wanted, run_cases(s, wanted.cases, seed=seed, at_once=at_once))
            if fault or edge:
                _show(console, results, [], html)
                return
            _show(console, results, wanted.unreached, html or Path(PAGE))
            _explore(console, s, possible_faults(known), STEPS, seed, at_once)


@contextmanager
def _failing_baselines(errors: Console) -> Iterator[None]:
    """Prints that the audit fails without any fault, and raises Exit."""
    try:
        yield
    except BaselineError as error:
        errors.print(Text(f"✗ {error}", "bold red"), soft_wrap=True)
        raise typer.Exit(VIOLATED) from None


def _explore(
    console: Console,
    shop: RehearsedShop,
    possible: list[PossibleFault],
    steps: int,
    seed: int,
    jobs: int,
) -> None:
    """Runs steps that hypothesis chooses. Raises Exit at a problem."""
    console.print(f"{steps:,} random steps …", highlight=False)
    execute = in_fork(shop, possible)
    explorers = [
        partial(attempt, execute, steps=-(-steps // jobs), seed=seed + _APART * number)
        for number in range(jobs)
    ]
    taken = 0
    for fork in forked(explorers, at_once=jobs):
        more, problem = fork.value or (0, fork.error)
        taken += more
        if problem:
            console.print(Text(problem, "red"), soft_wrap=True)
            raise typer.Exit(VIOLATED)
    console.print(f"{taken:,} steps: nothing lost, nothing doubled", highlight=False)


def _mix(
    console: Console,
    shop: RehearsedShop,
    possible: list[PossibleFault],
    orders: int,
    seed: int,
    jobs: int,
) -> None:
    """Places orders among random faults, in batches. Raises Exit at a problem."""
    batches = [
        (min(_BATCH, orders - start), seed + _APART * number)
        for number, start in enumerate(range(0, orders, _BATCH))
    ]
    runs = [partial(run_random, shop, possible, *batch) for batch in batches]
    started, total = _monotonic(), SequenceResult()
    for fork in forked(runs, at_once=jobs):
        result = fork.value or SequenceResult(problems=[fork.error or ""])
        total += result
        report.show_problems(console, result, *batches[fork.index])
        done = f"{total.statuses.total():,} of {orders:,} orders"
        console.print(f"{done}, {_monotonic() - started:.0f} s", highlight=False)
    report.show_figures(console, total)
    if total.problems:
        raise typer.Exit(VIOLATED)


def main() -> None:
    """Entry point of `python -m tools.faults`."""
    app(prog_name="python -m tools.faults")


def _check_names(names: list[str] | None, safeguard: str | None) -> None:
    for name in names or ():
        if name not in KINDS:
            raise UnknownName(f'unknown fault "{name}": use one of {", ".join(KINDS)}')
    if safeguard is not None and safeguard not in SAFEGUARDS:
        known = "\n".join(f"  {each.name}: {each.says}" for each in SAFEGUARDS.values())
        raise UnknownName(f'unknown safeguard "{safeguard}": use one of\n{known}')


def check_plan(wanted: Plan, edge: str | None) -> None:
    """Raises UnknownName if no site was selected: an empty matrix would look like success."""
    if not wanted.cases and not wanted.impossible:
        raise UnknownName(
            f'no site contains "{edge}": use a part of a line such as '
            "'queue Checkout/RunCheckout/Queue -> Checkout/RunCheckout/Function'"
        )


@contextmanager
def _assembly(
    console: Console, given: Path | None, stage: str, bus: str | None, safeguard: str | None
) -> Iterator[Path]:
    with TemporaryDirectory(prefix="orderflow-") as scratch:
        directory = given
        if directory is None:
            console.print(f"Synthesizing the templates of stage {stage} …", highlight=False)
            directory = host_assembly(stage, bus=bus)
        if safeguard is not None:
            directory = SAFEGUARDS[safeguard].remove(directory, Path(scratch, "weakened"))
        yield directory


def _run(console: Console, wanted: Plan, running: Iterator[CaseResult]) -> list[CaseResult]:
    """Prints the progress, and each violation at once."""
    started = shown = _monotonic()
    results = list(wanted.impossible)
    bad = 0
    for done, result in enumerate(running, 1):
        results.append(result)
        if result.verdict in report.BAD:
            bad += 1
            report.show_violation(console, result)
        if (now := _monotonic()) - shown > 5 or done == len(wanted.cases):
            shown = now
            console.print(
                f"{done:,} of {len(wanted.cases):,} cases, {bad:,} violated, {now - started:.0f} s",
                highlight=False,
            )
    return results


def _show(
    console: Console, results: list[CaseResult], unreached: list[FaultSite], file: Path | None
) -> None:
    """Prints the matrix, and writes the page. Raises Exit at a violation."""
    report.show(console, results, unreached)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page(results, catalogue_addresses(file, CATALOGUE)), encoding="utf-8")
        console.print(f"The matrix is in {file}", highlight=False, soft_wrap=True)
    if unreached or any(result.verdict in report.BAD for result in results):
        raise typer.Exit(VIOLATED)
