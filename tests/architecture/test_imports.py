"""The import contracts in pyproject.toml are kept, and each of them finds a violation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workspace.isolation import PROJECT


def broken_contracts(project: Path) -> list[str]:
    """Names of the contracts that the packages in `project` break."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(linter), "--no-logo", "--no-cache"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "packages" / "cdk-rehearsal" / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    parts = (line.partition(" BROKEN") for line in done.stdout.splitlines())
    return [name for name, broken, _ in parts if broken]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of all packages that the contracts cover."""
    for folder in ("lambdas", "packages", "stacks", "tests", "tools", "workspace"):
        shutil.copytree(
            PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def test_all_import_contracts_are_kept() -> None:
    assert broken_contracts(PROJECT) == []


@pytest.mark.parametrize(
    ("file", "statement", "contract"),
    [
        (
            "lambdas/orders/place_order.py",
            "from lambdas.inventory import domain",
            "A context imports only events of other contexts",
        ),
        (
            "lambdas/eventing/event.py",
            "from lambdas.orders.events import OrderPlaced",
            "The kernel depends on no context",
        ),
        (
            "lambdas/eventing/event.py",
            "from lambdas.shared.vocabulary import OrderId",
            "The kernel depends on no context",
        ),
        (
            "lambdas/shared/vocabulary.py",
            "from lambdas.orders.events import Line",
            "The shared vocabulary depends on no context",
        ),
        (
            "lambdas/shared/vocabulary.py",
            "from lambdas.shared.problems import UnknownOrder",
            "Domains depend on no AWS library",
        ),
        (
            "lambdas/inventory/domain.py",
            "from lambdas.eventing.transaction import Transaction",
            "Domains depend on no AWS library",
        ),
        (
            "lambdas/orders/settings.py",
            "import stacks",
            "Handlers do not depend on deployment or rehearsal",
        ),
        (
            "tools/contracts/__init__.py",
            "from stacks.environment import Environment",
            "Contracts depend on events, not on stacks or rehearsals",
        ),
        (
            "packages/cdk-rehearsal/src/cdk_rehearsal/__init__.py",
            "import lambdas.orders.events",
            "The package does not depend on this application",
        ),
        (
            "tools/demo/money.py",
            "import tests.support.forks",
            "Tests use the tools, tools use the reference, and the reference uses neither",
        ),
        (
            "tools/capacity/__main__.py",
            "import tools.faults.kinds",
            "Tools depend on nothing but the demo, the contracts or the redrive",
        ),
        (
            "tools/contracts/frozen.py",
            "import tools.catalogue.model",
            "Tools depend on nothing but the demo, the contracts or the redrive",
        ),
        (
            "tools/demo/run.py",
            "from cdk_rehearsal.rehearsal import Rehearsal",
            "Only public modules of the package are used",
        ),
        (
            "tests/stacks/hops.py",
            "from cdk_rehearsal.topology import messaging",
            "Only public modules of the package are used",
        ),
        (
            "packages/cdk-rehearsal/src/cdk_rehearsal/services/sns.py",
            "import typing\nif typing.TYPE_CHECKING:\n    import cdk_rehearsal.rehearsal",
            "The package is built in layers; imports for type checking count, too",
        ),
        (
            "packages/cdk-rehearsal/src/cdk_rehearsal/services/queues.py",
            "from cdk_rehearsal.services.sns import Topics",
            "Services call each other in one direction",
        ),
        (
            "packages/cdk-rehearsal/src/cdk_rehearsal/virtual_time/processes.py",
            "from cdk_rehearsal.virtual_time.scheduler import Scheduler",
            "The scheduler is built in layers",
        ),
        (
            "stacks/orders.py",
            "import boto3",
            "Synthesis is offline and does not use the rehearsal",
        ),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    copy: Path, file: str, statement: str, contract: str
) -> None:
    with (copy / file).open("a") as module:
        module.write(f"\n{statement}\n")

    assert contract in broken_contracts(copy)
