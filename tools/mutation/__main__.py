"""make mutate: weakens the templates one property at a time, and reports which checks notice.

One construct creates many alarms, and the same checks find a weakness in each. So every operator
weakens one resource of each shape; `--each` takes more of them, and `--all` takes all. The run
fails if checks kill less than 95 %, if `survivors.toml` does not explain a survivor, or if one of
its explanations has no survivor.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cdk_rehearsal import Assembly
from cdk_rehearsal.weakening import Mutant, mutants
from stacks.constructs.packaging import PackagingError
from stacks.environment import Environment
from stacks.synthesis import SynthesisError, host_assembly
from tools.mutation.campaign import (
    DURABILITY,
    OTHER_BUS,
    STAGE,
    CampaignError,
    MutantResult,
    run,
)
from tools.mutation.operators import OPERATORS
from tools.mutation.survivors import explanations, stale, unexplained

KILLED_AT_LEAST = 0.95
STAGES = ("dev", "prod")


def main() -> None:
    """Runs the campaign, and exits with 1 if it reports a problem."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        results = _campaign(options, console)
    except (CampaignError, PackagingError, SynthesisError, ValueError) as error:
        sys.exit(f"error: {error}")
    _show(console, results)
    problems = _problems(results, options.bus, complete=not options.only)
    for problem in problems:
        console.print(f"[red]{problem}[/red]", soft_wrap=True)
    sys.exit(1 if problems else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--each",
        type=int,
        default=1,
        metavar="N",
        help="how many resources of one shape an operator weakens (1)",
    )
    size.add_argument(
        "--all", dest="each", action="store_const", const=None, help="weaken all of them"
    )
    parser.add_argument("--only", metavar="TEXT", help="only operators with TEXT in their name")
    parser.add_argument(
        "--bus", choices=OTHER_BUS, default=Environment.bus, help="the kind of event bus (custom)"
    )
    return parser.parse_args()


def _campaign(options: argparse.Namespace, console: Console) -> list[MutantResult]:
    console.print("Synthesizing both stages")
    templates = {stage: Assembly(host_assembly(stage, bus=options.bus)) for stage in STAGES}
    other = Assembly(host_assembly(STAGE, bus=OTHER_BUS[options.bus]))
    operators = [each for each in OPERATORS if not options.only or options.only in each.name]
    chosen = list(mutants(templates[STAGE], operators, each=options.each))
    if not chosen:
        raise ValueError(f'no operator has "{options.only}" in its name: see operators.toml')
    with Progress(console=console) as progress:
        task = progress.add_task(f"{len(chosen)} mutants", total=len(chosen))
        return run(
            templates,
            chosen,
            lambda _: progress.advance(task),
            bus=options.bus,
            other_bus=other,
        )


def _show(console: Console, results: Sequence[MutantResult]) -> None:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("operator", no_wrap=True, min_width=31)
    for column in ("mutants", "killed", "by rules"):
        table.add_column(column, justify="right", min_width=len(column))
    table.add_column("the test that kills most", no_wrap=True, max_width=60)
    for name in dict.fromkeys(result.mutant.operator.name for result in results):
        alike = [result for result in results if result.mutant.operator.name == name]
        tests = Counter(result.by_tests for result in alike if result.by_tests)
        table.add_row(
            name,
            str(len(alike)),
            str(sum(bool(result.killers) for result in alike)),
            str(sum(result.by_durability for result in alike)),
            "".join(test.rpartition("::")[2] for test, _ in tests.most_common(1)),
        )
    console.print(table)
    console.print(
        f"{len(results)} mutants, {len(results) - len(_survivors(results))} killed: "
        f"{sum(each.by_durability for each in results)} by the rules of {DURABILITY}, "
        f"{sum(bool(each.by_tests) for each in results)} by tests"
    )


def _survivors(results: Sequence[MutantResult]) -> list[Mutant]:
    return [result.mutant for result in results if not result.killers]


def _problems(results: Sequence[MutantResult], bus: str, *, complete: bool) -> list[str]:
    known = [each for each in explanations() if each.bus in (None, bus)]
    survivors = _survivors(results)
    problems = [
        f"{each} survived: add a test that fails, or an explanation to survivors.toml"
        for each in unexplained(survivors, known)
    ]
    if complete:
        problems += [
            f"survivors.toml explains {each}, but no such mutant survives: remove the explanation"
            for each in stale(survivors, known)
        ]
        killed = 1 - len(survivors) / len(results)
        if killed < KILLED_AT_LEAST:
            problems.append(f"{killed:.1%} of the mutants are killed, not {KILLED_AT_LEAST:.0%}")
    return problems


if __name__ == "__main__":
    main()
