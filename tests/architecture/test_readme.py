"""The README's way to add a consumer, followed word by word in a copy of the project."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal
from tests.flows.shop import Shop
from tests.support.forks import in_a_fork

PROJECT = Path(__file__).resolve().parents[2]
COPIED = (
    *("app.py", "cdk.json", "pyproject.toml"),
    *("lambdas", "packages", "stacks", "tests", "tools", "workspace"),
)
BLOCK = re.compile(r"^   ```(?P<language>\w+)\n(?P<text>.*?)^   ```$", re.MULTILINE | re.DOTALL)
RELEVANT_TESTS = "record_sale or growth or every_consumer or RecordSale"
FILE = re.compile(r"`(?P<path>[\w/]+\.py)`:\n\n\Z")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after the README's steps."""
    copy = tmp_path_factory.mktemp("scratch")
    for name in COPIED:
        if (PROJECT / name).is_dir():
            # Including the bytecode, which is valid while a source and its time are unchanged.
            shutil.copytree(PROJECT / name, copy / name)
        else:
            shutil.copy(PROJECT / name, copy / name)
    (copy / ".build").mkdir()
    for layer in (PROJECT / ".build").glob("layer-host-*"):
        (copy / ".build" / layer.name).symlink_to(layer)

    readme = (PROJECT / "README.md").read_text()
    section = re.split(r"^## ", readme.partition("## Add a consumer")[2], flags=re.MULTILINE)[0]
    written = []
    for block in BLOCK.finditer(section):
        text = textwrap.dedent(block["text"])
        if block["language"] == "diff":
            _run("git", "apply", "-", cwd=copy, stdin=text)
            continue
        file = FILE.search(section[: block.start()])
        assert file, f"no file is named before this block:\n{text}"
        assert not (copy / file["path"]).exists(), f"{file['path']} is not new"
        (copy / file["path"]).write_text(text)
        written.append(file["path"])
    assert len(written) == 2, f"two new files are promised, not {written}"
    return copy


def test_the_tests_of_the_new_consumer_and_of_all_consumers_pass(copy: Path) -> None:
    tests = [
        "tests/inventory/test_record_sale.py",
        "tests/architecture/test_growth.py",
        "tests/flows/test_consumers.py",
    ]
    _run(sys.executable, "-m", "pytest", "-q", *tests, "-k", RELEVANT_TESTS, cwd=copy)


def test_the_new_consumer_passes_the_linter_and_the_formatter(copy: Path) -> None:
    new = ["lambdas/inventory/record_sale.py", "tests/inventory/test_record_sale.py"]
    _run(sys.executable, "-m", "ruff", "check", *new, "stacks", cwd=copy)
    _run(sys.executable, "-m", "ruff", "format", "--check", *new, "stacks", cwd=copy)


def test_the_new_consumer_writes_its_item_when_an_order_is_confirmed(copy: Path) -> None:
    program = "from stacks.synthesis import host_assembly; print(host_assembly('dev'))"
    assembly = Path(_run(sys.executable, "-c", program, cwd=copy).strip())

    def order() -> tuple[str, dict[str, Any]]:
        with Rehearsal(assembly) as rehearsal:
            shop = Shop(rehearsal)
            shop.receive({"MUG": 10})
            order_id = shop.place({"MUG": 2})
            shop.settle()
            shop.assert_books_balance()
            (sale,) = shop.items("Inventory/Stock/Table", "sale")
            return order_id, sale

    # In a fork, so that modules of the copy are not loaded into this process.
    order_id, sale = in_a_fork(order)
    assert sale["pk"] == f"SALE#{order_id}"
    assert sale["lines"] == [{"sku": "MUG", "quantity": 2, "unit_price_minor": 1250}]


def _run(*command: str, cwd: Path, stdin: str | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[:4]} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout
