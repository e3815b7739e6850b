"""The import contracts in pyproject.toml are kept, and each of them finds a violation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stacks.constructs.packaging import PROJECT


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
    """A copy of all that the contracts are about."""
    for folder in ("lambdas", "packages", "stacks", "tools", "workspace"):
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
            "A context imports nothing of another but its events",
        ),
        (
            "lambdas/eventing/event.py",
            "from lambdas.orders.events import OrderPlaced",
            "The kernel knows no context",
        ),
        (
            "lambdas/inventory/domain.py",
            "from lambdas.eventing.transaction import Transaction",
            "The rules of a domain know no AWS",
        ),
        (
            "lambdas/orders/settings.py",
            "import stacks",
            "What runs in Lambda knows nothing of how it is deployed or rehearsed",
        ),
        (
            "tools/contracts/__init__.py",
            "from stacks.environment import Environment",
            "What follows from the events knows no stacks and no rehearsal",
        ),
        (
            "packages/cdk-rehearsal/src/cdk_rehearsal/__init__.py",
            "import lambdas.orders.events",
            "The package knows CloudFormation, not this shop",
        ),
        (
            "stacks/orders.py",
            "import boto3",
            "Synthesis is offline and knows nothing of the rehearsal",
        ),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    copy: Path, file: str, statement: str, contract: str
) -> None:
    with (copy / file).open("a") as module:
        module.write(f"\n{statement}\n")

    assert contract in broken_contracts(copy)
