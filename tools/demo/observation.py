"""What tools that measure orders share: an observed rehearsal at a rate, and their options."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from cdk_rehearsal import BILLED, Rehearsal, RehearsalError
from tools.demo import sample
from tools.demo.display import Display
from tools.demo.orders_file import read_orders
from tools.demo.run import DemoRun, DemoSetup, rehearse, setup_of
from tools.demo.stock_file import read_stock
from tools.demo.visits import sample_visits

Observer = TypeVar("Observer")
Result = TypeVar("Result")

QUIET_RATE = 2.0
"""Orders per second that are fewer than any hop carries, so that none is retried."""


def sample_setup(seed: int) -> DemoSetup:
    """Returns the setup of the demo's own orders and stock."""
    visits = sample_visits(read_orders(sample.ORDERS).items, seed=seed)
    return setup_of(read_stock(sample.STOCK).items, visits, is_sample=True)


def observed(
    assembly: Path,
    setup: DemoSetup,
    *,
    rate: float,
    seed: int,
    begin: Callable[[Rehearsal], Observer],
    end: Callable[[Observer, int], Result],
) -> Result:
    """Rehearses orders that come at a rate per second, and returns what `end` makes of them.

    `begin` returns an observer before the first customer comes: supplies, prices and preferences
    come earlier. `end` gets it with the number of orders. Handlers take the time that is billed.
    """
    observers: list[Observer] = []
    results: list[Result] = []

    def conclude(_: Rehearsal, run: DemoRun) -> None:
        results.append(end(observers[0], len(run.evidence.orders)))

    rehearse(
        assembly,
        setup,
        seed=seed,
        display=Display(Console(stderr=True)),
        hurried=True,
        arrivals=rate,
        opened=lambda shop: observers.append(begin(shop)),
        conclude=conclude,
        latency=BILLED,
    )
    return results[0]


def measuring_options(parser: argparse.ArgumentParser, command: str) -> None:
    """Adds the options of a command that measures a stage, or takes what `command` has measured."""
    parser.add_argument("--stage", default="prod", help="the stage that is rehearsed (prod)")
    parser.add_argument("--bus", help="classic or custom; by default the stage's kind of bus")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same run (1)")
    parser.add_argument(
        "--measured",
        type=Path,
        metavar="FILE",
        help=f"do not rehearse: take what {command} measured and wrote with --json",
    )


def read_measured(
    file: Path | None, type_: type[Result], *, name: str, command: str
) -> Result | None:
    """Returns what another run of a command has measured, under a name in its report of --json.

    Raises RehearsalError for another file.
    """
    if file is None:
        return None
    try:
        return msgspec.convert(json.loads(file.read_bytes())[name], type_)
    except (ValueError, KeyError, TypeError) as error:
        raise RehearsalError(
            f"{file} is no report of {command} ({error}): write one with --json"
        ) from error


def over_zero(text: str) -> float:
    """Reads the value of an option that is a finite number over 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number over 0")
    return number
