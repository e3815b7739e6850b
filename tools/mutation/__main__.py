"""make mutate: weakens the templates one property at a time, and says which checks notice.

Many alarms are made by one construct, and whatever they lack is noticed in the same way: so of
resources that are alike one is weakened for each operator; `--each` takes more, `--all` takes all.
The run fails below 95 % noticed, at a survivor that `survivors.toml` does not explain, and at an
explanation without a survivor.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cdk_rehearsal import Assembly
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.mutation.campaign import DURABILITY, STAGE, CampaignError, Verdict, run
from tools.mutation.mutants import Mutant, mutants
from tools.mutation.operators import OPERATORS
from tools.mutation.survivors import explanations, stale, unexplained

KILLED_AT_LEAST = 0.95
STAGES = ("dev", "prod")


def main() -> None:
    """Run the campaign and exit with 1 if it is not as it should be."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        verdicts = _campaign(options, console)
    except (CampaignError, PackagingError, SynthesisError, ValueError) as error:
        sys.exit(f"error: {error}")
    _show(console, verdicts)
    faults = _faults(verdicts, complete=not options.only)
    for fault in faults:
        console.print(f"[red]{fault}[/red]", soft_wrap=True)
    sys.exit(1 if faults else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--each",
        type=int,
        default=1,
        metavar="N",
        help="how many of the resources that are alike are weakened (1)",
    )
    size.add_argument(
        "--all", dest="each", action="store_const", const=None, help="weaken each of them"
    )
    parser.add_argument("--only", metavar="TEXT", help="operators with TEXT in their name")
    parser.add_argument(
        "--assemblies", type=Path, metavar="DIR", help="with dev/ and prod/, as `make synth` writes"
    )
    return parser.parse_args()


def _campaign(options: argparse.Namespace, console: Console) -> list[Verdict]:
    templates = _templates(options.assemblies, console)
    operators = [each for each in OPERATORS if not options.only or options.only in each.name]
    chosen = list(mutants(templates[STAGE], operators, each=options.each))
    if not chosen:
        raise ValueError(f"no operator has {options.only!r} in its name")
    with Progress(console=console) as progress:
        task = progress.add_task(f"{len(chosen)} mutants", total=len(chosen))
        return run(templates, chosen, lambda _: progress.advance(task))


def _templates(directory: Path | None, console: Console) -> dict[str, Assembly]:
    if directory is None:
        console.print("Synthesizing both stages")
        return {stage: Assembly(host_assembly(stage)) for stage in STAGES}
    return {stage: Assembly(directory / stage) for stage in STAGES}


def _show(console: Console, verdicts: Sequence[Verdict]) -> None:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("operator", no_wrap=True, min_width=31)
    for column in ("mutants", "noticed", "by rules"):
        table.add_column(column, justify="right", min_width=len(column))
    table.add_column("the test that notices most", no_wrap=True, max_width=60)
    for name in dict.fromkeys(verdict.mutant.operator.name for verdict in verdicts):
        alike = [verdict for verdict in verdicts if verdict.mutant.operator.name == name]
        by_tests = [verdict for verdict in alike if verdict.by_tests]
        tests = Counter(verdict.by_tests for verdict in by_tests)
        table.add_row(
            name,
            str(len(alike)),
            str(sum(bool(verdict.killers) for verdict in alike)),
            str(sum(verdict.by_durability for verdict in alike)),
            (tests.most_common(1)[0][0] or "").rpartition("::")[2] if tests else "",
        )
    console.print(table)
    console.print(
        f"{len(verdicts)} mutants, {len(verdicts) - len(_survivors(verdicts))} noticed: "
        f"{sum(v.by_durability for v in verdicts)} by the rules of {DURABILITY}, "
        f"{sum(bool(v.by_tests) for v in verdicts)} by tests"
    )


def _survivors(verdicts: Sequence[Verdict]) -> list[Mutant]:
    return [verdict.mutant for verdict in verdicts if not verdict.killers]


def _faults(verdicts: Sequence[Verdict], *, complete: bool) -> list[str]:
    """What is not as it should be."""
    known = explanations()
    survivors = _survivors(verdicts)
    killed = 1 - len(survivors) / len(verdicts)
    faults = [f"survived, and is not explained: {each}" for each in unexplained(survivors, known)]
    if complete:
        faults += [
            f"explained, but nothing of it survives: {each}" for each in stale(survivors, known)
        ]
        if killed < KILLED_AT_LEAST:
            faults.append(f"{killed:.1%} are noticed: at least {KILLED_AT_LEAST:.0%} have to be")
    return faults


if __name__ == "__main__":
    main()
