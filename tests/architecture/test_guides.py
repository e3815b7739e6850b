"""The guides to add a consumer and a field, followed word by word in copies of the project."""

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
from workspace.isolation import HOME, PROJECT

COPIED = (
    *("app.py", "cdk.json", "pyproject.toml"),
    *("docs", "lambdas", "packages", "stacks", "tests", "tools", "workspace"),
)
BLOCK = re.compile(r"^   ```(?P<language>\w+)\n(?P<text>.*?)^   ```$", re.MULTILINE | re.DOTALL)
RELEVANT_TESTS = "record_sale or growth or every_consumer or RecordSale"
FILE = re.compile(r"`(?P<path>[\w/]+\.py)`:\n\n\Z")


def followed(guide: str, copy: Path) -> list[str]:
    """Copy the project, and make the changes of a guide. Return the new files."""
    for name in COPIED:
        if (PROJECT / name).is_dir():
            # Including the bytecode, which is valid while a source and its time are unchanged.
            shutil.copytree(PROJECT / name, copy / name)
        else:
            shutil.copy(PROJECT / name, copy / name)
    (copy / ".build").mkdir()
    for layer in (PROJECT / ".build").glob("layer-host-*"):
        (copy / ".build" / layer.name).symlink_to(layer)
    if (cache := HOME / ".cache").is_dir():
        # With the unpacked CDK library.
        (copy / HOME.relative_to(PROJECT)).mkdir()
        (copy / HOME.relative_to(PROJECT) / ".cache").symlink_to(cache)

    text = (PROJECT / guide).read_text()
    written = []
    for block in BLOCK.finditer(text):
        content = textwrap.dedent(block["text"])
        if block["language"] == "diff":
            _run("git", "apply", "-", cwd=copy, stdin=content)
            continue
        file = FILE.search(text[: block.start()])
        assert file, f"no file is named before this block:\n{content}"
        assert not (copy / file["path"]).exists(), f"{file['path']} is not new"
        (copy / file["path"]).write_text(content)
        written.append(file["path"])
    return written


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the consumer."""
    copy = tmp_path_factory.mktemp("consumer")
    written = followed("docs/tutorials/add-a-consumer.md", copy)
    assert len(written) == 2, f"two new files are promised, not {written}"
    return copy


@pytest.fixture(scope="module")
def with_field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the field."""
    copy = tmp_path_factory.mktemp("field")
    written = followed("docs/how-to/add-a-field.md", copy)
    assert written == ["tests/orders/test_gift_message.py"]
    return copy


def test_new_fields_tests_pass_and_those_of_released_bodies_and_of_schemas(
    with_field: Path,
) -> None:
    tests = ["tests/orders", "tests/tools/contracts/test_schemas.py"]
    concerned = "gift_message or released_bodies or TestPlaced or OrderPlaced or OrderConfirmed"
    _run(sys.executable, "-m", "pytest", "-q", *tests, "-k", concerned, cwd=with_field)


def test_new_field_is_formatted_as_the_rest(with_field: Path) -> None:
    _run(sys.executable, "-m", "ruff", "check", "lambdas/orders", "tests/orders", cwd=with_field)
    _run(sys.executable, "-m", "ruff", "format", "--check", "lambdas/orders", cwd=with_field)


def test_schemas_of_a_new_field_are_updated_in_the_files_that_the_guide_names(
    with_field: Path,
) -> None:
    said = _run(sys.executable, "-m", "tools.contracts", cwd=with_field)
    updated = [line.removeprefix("renewed: ") for line in said.splitlines()]
    guide = (PROJECT / "docs/how-to/add-a-field.md").read_text()
    assert len(updated) == 3
    assert all(f"`{file}`" in guide for file in updated), said


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
