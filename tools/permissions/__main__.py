"""make permissions: runs the demo, and lists which of their permissions functions have used.

For each role it lists the permissions that were granted and never used, those that are used only
through a wildcard, and what a role could do beyond its use. `explanations.toml` says why such a
permission may stay; the run fails without an explanation. At the end it counts how many parts of
policies decide about a request of the demo: tests/flows/test_permissions.py makes all of them do.

It also reads the console's page of the stage with the policy of `make console`, and fails if the
policy lacks an action or has one that reads nothing.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from cdk_rehearsal import (
    Explanation,
    PermissionReport,
    Rehearsal,
    RehearsalError,
    permission_report,
    read_explanations,
)
from cdk_rehearsal.console import PolicyUse, policy_use
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.demo import sample
from tools.demo.display import Display
from tools.demo.orders_file import read_orders
from tools.demo.run import DemoRun, rehearse, setup_of
from tools.demo.stock_file import read_stock
from tools.demo.visits import sample_visits

EXPLANATIONS = Path(__file__).with_name("explanations.toml")


def main() -> None:
    """Prints the report, and exits with 1 if there is a finding."""
    parser = argparse.ArgumentParser(prog="make permissions", description=__doc__)
    parser.add_argument("--stage", default="prod", help="the stage that is rehearsed (prod)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same run (1)")
    options = parser.parse_args()
    try:
        found = run(host_assembly(options.stage), options.seed, read_explanations(EXPLANATIONS))
    except (PackagingError, RehearsalError, SynthesisError, ValueError) as error:
        sys.exit(f"error: {error}")
    permissions, console = found
    print(*permissions.lines(), *console_lines(console), *permissions.unexplained, sep="\n")
    sys.exit(1 if permissions.unexplained or console.unused or console.problems else 0)


def console_lines(use: PolicyUse) -> list[str]:
    """Returns the report about the console's policy as text."""
    return [
        f"console: {len(use.used)} actions of its policy for reading are used",
        *(f"  never used: {each}" for each in sorted(use.unused)),
        *(f"  {each}" for each in use.problems),
    ]


def run(
    assembly: Path, seed: int, explanations: list[Explanation]
) -> tuple[PermissionReport, PolicyUse]:
    """Runs the demo's sample; returns what it has used, and what a reader of the console has."""
    orders, supplies = read_orders(sample.ORDERS), read_stock(sample.STOCK)
    visits = sample_visits(orders.items, seed=seed)
    reports: list[tuple[PermissionReport, PolicyUse]] = []

    def conclude(shop: Rehearsal, _: DemoRun) -> None:
        reports.append((permission_report(shop, explanations), policy_use(shop)))

    rehearse(
        assembly,
        setup_of(supplies.items, visits, is_sample=True),
        seed=seed,
        display=Display(Console(stderr=True)),
        hurried=True,
        conclude=conclude,
    )
    return reports[0]


if __name__ == "__main__":
    main()
