"""The command line of `make load` with a rate: docs/explanation/how-it-bears-load.md.

Ends with 1 if a step or an order fails, and with 2 if nothing could run.
"""

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from stacks.environment import environment_named
from stacks.synthesis import host_assembly
from tools.demo.console import open_console, show_table
from tools.demo.json_report import UnwritableReport, require_writable
from tools.demo.observation import over_zero
from tools.load.measuring import COMMAND, ERRORS, UNUSABLE, measure, read_flow
from tools.load_test.bounds import Bounds, Refused, check, duration
from tools.load_test.driver import installed
from tools.load_test.figures import table
from tools.load_test.measuring import LoadTest
from tools.load_test.prediction import Prediction, predict
from tools.smoke.accounts import SignInFailed
from tools.smoke.cli import RETRIES
from tools.smoke.report import show_step
from tools.smoke.run import Run
from tools.smoke.stage import NotDeployed, Stage

FAILED = 1
"""The exit code if a step or an order fails."""


def main() -> None:
    """Predicts, loads and compares."""
    options = _parser().parse_args()
    console = open_console(sys.stdout)
    try:
        test, prediction = _run(options, partial(show_step, console))
    except (
        *(*ERRORS, UnwritableReport, Refused, NotDeployed, SignInFailed),
        *(BotoCoreError, ClientError),
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNUSABLE)
    if test.figures:
        title = (
            f"{options.stage}: {test.bounds.rate:g} orders per second for {test.bounds.seconds} s"
        )
        console.print()
        show_table(console, table(title, prediction.figures, test.figures))
        limit = prediction.bottleneck
        console.print(
            f"\nfirst bottleneck: {limit.name.removesuffix('/Function')}, at "
            f"{limit.orders_per_second:,.1f} orders per second ({limit.why})",
            soft_wrap=True,
        )
    for problem in test.problems:
        console.print(Text(f"note: {problem}", "yellow"), soft_wrap=True)
    passes = all(step.good for step in test.run.report.steps) and not test.problems
    if options.json:
        options.json.write_text(_as_json(test, prediction, passes=passes), encoding="utf-8")
    sys.exit(0 if passes and test.figures and not test.figures.dead_letters else FAILED)


def _run(options: argparse.Namespace, on_step: "partial[None]") -> tuple[LoadTest, Prediction]:
    """Runs everything; raises errors that leave nothing behind."""
    require_writable(options.json, inputs=[options.measured])
    bounds = Bounds(rate=options.rate, seconds=options.duration)
    environment = environment_named(options.stage)
    check(bounds, environment, endpoint=options.endpoint, force=options.force)
    client = partial(boto3.client, endpoint_url=options.endpoint, config=RETRIES)
    stage = Stage(options.stage, client, options.endpoint)
    stage.require()
    installed()
    directory = host_assembly(options.stage)
    flow = read_flow(options.measured) or measure(directory, seed=1)
    prediction = predict(directory, flow, bounds)
    test = LoadTest(Run(stage, options.patience, on_step), bounds, prediction.queues)
    test.play()
    return test, prediction


def _as_json(test: LoadTest, prediction: Prediction, *, passes: bool) -> str:
    report = {
        "stage": test.run.stage.name,
        "bounds": asdict(test.bounds),
        "predicted": prediction.figures.as_json(),
        "measured": test.figures.as_json() if test.figures else None,
        "steps": [asdict(step) for step in test.run.report.steps],
        "problems": test.problems,
        "calls": sorted(test.run.stage.calls),
        "passes": passes,
    }
    return json.dumps(report, indent=2) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{COMMAND} RATE=N",
        description="Places synthetic orders on a deployed stage with Locust, at a constant rate, "
        "and shows what was predicted next to what is measured.",
    )
    option = parser.add_argument
    option("--stage", required=True, help="the stage (make: STAGE)")
    option("--rate", type=over_zero, required=True, metavar="N", help="orders per second (RATE)")
    option(
        "--for",
        dest="duration",
        type=duration,
        default=60,
        metavar="TIME",
        help="such as 60s or 5m (FOR; 60s)",
    )
    option("--endpoint", metavar="URL", help="a rehearsal on this machine, not AWS (ENDPOINT)")
    option("--force", action="store_true", help="exceed what the stage is sized for")
    option(
        "--patience",
        type=over_zero,
        default=60.0,
        metavar="N",
        help="seconds that each step may take (60)",
    )
    option(
        "--measured",
        type=Path,
        metavar="FILE",
        help="predict from what make load without RATE measured and wrote with --json",
    )
    option("--json", type=Path, metavar="FILE", help="write everything to this file")
    return parser
