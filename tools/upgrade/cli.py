"""The command line of `make upgrade`."""

import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cdk_rehearsal import Assembly, RehearsalError, forked
from cdk_rehearsal.topology import compare_assemblies
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.contracts.review import ReviewError
from tools.demo.console import errors_as_exit_codes, grid, open_console, show_table
from tools.faults.matrix import BaselineError, open_shop
from tools.upgrade.base import base_of
from tools.upgrade.run import Passage, Schedule, ScheduleResult, run_schedule
from tools.upgrade.schedules import plan

INCOMPATIBLE = 1
"""The exit code if two versions do not get on with each other."""

_SHOWN = 12
_ERRORS = (BaselineError, PackagingError, RehearsalError, ReviewError, SynthesisError)
_monotonic = time.monotonic

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def rehearse(
    base: Annotated[str, typer.Option(help="The release to upgrade from: a tag or commit.")],
    stage: Annotated[str, typer.Option(help="The stage whose templates are rehearsed.")] = "prod",
    bus: Annotated[
        str | None, typer.Option(help="A kind of event bus for both, in place of their own.")
    ] = None,
    orders: Annotated[int, typer.Option(help="About so many orders per schedule.", min=1)] = 30,
    schedules: Annotated[
        int, typer.Option(help="Drawn orders of the stacks, besides those for each pair.", min=0)
    ] = 4,
    shift: Annotated[
        Passage,
        typer.Option(
            help="Whether schedules mix the releases, or aliases shift as the stage deploys them."
        ),
    ] = "in-place",
    seed: Annotated[int, typer.Option(help="The seed of the first schedule.")] = 1,
    only: Annotated[
        int | None, typer.Option(help="Repeat the one schedule that has this seed.")
    ] = None,
    rollback: Annotated[
        bool, typer.Option(help="Whether each schedule ends with a rollback.")
    ] = True,
    jobs: Annotated[int | None, typer.Option(help="Schedules at a time.", min=1)] = None,
) -> None:
    """Upgrades the shop from another release, stack by stack, while orders flow, and rolls it back.

    Old and new code answer side by side. Ends with 1 if something is lost, parked or unreadable,
    and with 2 if nothing could run.
    """
    console, errors = open_console(sys.stdout), open_console(sys.stderr)
    with errors_as_exit_codes(errors, *_ERRORS):
        console.print(f"Synthesizing {base} and this tree for stage {stage} …")
        # First, as it knows stages and kinds of buses.
        wanted = None if shift == "as-deployed" else shift
        newest = host_assembly(stage, bus=bus, shift=wanted)
        former = base_of(base, stage, bus, wanted)
        if former.has_other_libraries:
            console.print("The libraries of both differ: this tree's run the handlers of both.")
        assemblies = Assembly(former.assembly), Assembly(newest)
        failed = refused(console, *assemblies)
        planned = plan(assemblies[1], seed=seed, drawn=schedules)
        chosen = [each for each in planned.schedules if only in (None, each.seed)]
        if not chosen:
            raise RehearsalError(f"no schedule has the seed {only}: leave out --only to see all")
        console.print(f"Rehearsing {planned}")
        with open_shop(former.assembly, warm_up=(), paused=()) as shop:
            at_once = jobs or max(1, (os.cpu_count() or 1) - 1)
            run = partial(
                run_schedule, shop, *assemblies, orders=orders, back=rollback, shift=shift
            )
            failed += run_all(console, run, chosen, at_once=at_once)
    if failed:
        raise typer.Exit(INCOMPATIBLE)


def refused(console: Console, base: Assembly, head: Assembly) -> int:
    """Prints what CloudFormation refuses, and what it replaces with the loss of data; counts it."""
    comparison = compare_assemblies(base, head)
    found = [*comparison.refusals, *comparison.replacements]
    for each in found:
        console.print(Text(f"✗ {each}".replace("`", ""), "red"), soft_wrap=True)
    return len(found)


def run_all(
    console: Console,
    run: "partial[ScheduleResult]",
    schedules: Sequence[Schedule],
    *,
    at_once: int,
) -> int:
    """Runs each schedule with and without updates, prints the results, and counts failures."""
    started, failed, cpu_s = _monotonic(), 0, 0.0
    usual = frozenset[tuple[str, str]]()
    for each in _results(run, schedules, at_once, updates=False):
        usual |= each.kinds
        cpu_s += each.cpu_s
    met: set[str] = set()
    unmet: set[str] = set()
    for each in _results(run, schedules, at_once, updates=True):
        failed += bool(show_result(console, each, usual))
        cpu_s += each.cpu_s
        met |= each.met
        unmet |= each.unmet
    show_coverage(console, met, unmet - met)
    console.print(
        f"{len(schedules)} schedules, {failed} failed ({_monotonic() - started:.0f} s, "
        f"{cpu_s:.0f} s of CPU time)"
    )
    return failed


def _results(
    run: "partial[ScheduleResult]", schedules: Sequence[Schedule], at_once: int, *, updates: bool
) -> Iterator[ScheduleResult]:
    runs = [partial(run, schedule, updates=updates) for schedule in schedules]
    for fork in forked(runs, at_once=at_once):
        if fork.value is None:
            yield ScheduleResult(schedule=schedules[fork.index], problems=[fork.error or ""])
        else:
            yield fork.value


def show_result(
    console: Console, found: ScheduleResult, usual: Collection[tuple[str, str]]
) -> list[str]:
    """Prints the result of a schedule, and returns what is due to the upgrade."""
    schedule, findings = found.schedule, found.findings(usual)
    orders = ", ".join(f"{count} {status}" for status, count in found.statuses.most_common())
    figures = f"seed {schedule.seed}, new code in {schedule.share:.0%}: {schedule}"
    if not findings:
        console.print(Text(f"✓ {figures}"))
        console.print(Text(f"  {orders}; nothing lost, parked or unreadable", "dim"))
        show_delays(console, found)
        return findings
    console.print(Text(f"✗ {figures}", "bold red"))
    show_delays(console, found)
    for finding in findings[:_SHOWN]:
        console.print(Text(f"  {finding}", "red"), soft_wrap=True)
    if len(findings) > _SHOWN:
        console.print(Text(f"  … and {len(findings) - _SHOWN:,} more", "red"))
    console.print(f"  Repeat it: --only {schedule.seed}")
    return findings


def show_delays(console: Console, found: ScheduleResult) -> None:
    """Prints which functions failed for a while, and what that is due to."""
    for reader, count in sorted(found.delays.items()):
        said = f"{reader} is refused for a while ({count} times): its role changes before its code"
        console.print(Text(f"  ! {said}", "yellow"), soft_wrap=True)


def show_coverage(console: Console, met: Collection[str], unmet: Collection[str]) -> None:
    """Prints which changed functions and workflows have answered in both releases."""
    if not met and not unmet:
        console.print("No function and no workflow differs between the releases.")
        return
    table = grid("Changed functions and workflows", "", "answered in both releases")
    contexts = sorted({path.partition("/")[0] for path in (*met, *unmet)})
    for context in contexts:
        here = [sum(path.startswith(f"{context}/") for path in paths) for paths in (met, unmet)]
        missing = ", ".join(sorted(path for path in unmet if path.startswith(f"{context}/")))
        said = f"{here[0]} of {sum(here)}" + (f", not {missing}" if missing else "")
        table.add_row(Text(context, "bold"), said)
    show_table(console, table)


def main() -> None:
    """Entry point of `python -m tools.upgrade`."""
    app(prog_name="python -m tools.upgrade")
