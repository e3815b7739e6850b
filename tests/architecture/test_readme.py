"""The README's way to add a consumer, followed word by word in a copy of the project."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
COPIED = (
    *("app.py", "cdk.json", "pyproject.toml"),
    *("contracts", "demo", "faults", "lambdas", "rehearsal", "stacks", "tests", "topology"),
)
BLOCK = re.compile(r"^   ```(?P<language>\w+)\n(?P<text>.*?)^   ```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(?P<path>[\w/]+\.py)`:\n\n\Z")

REHEARSE = """
    import sys
    from pathlib import Path

    from rehearsal import Rehearsal
    from stacks.synthesis import synthesize
    from tests.flows.shop import Shop

    assembly = synthesize("dev", Path(sys.argv[1]), target="host", validation=False)
    with Rehearsal(assembly) as rehearsal:
        shop = Shop(rehearsal)
        shop.receive({"MUG": 10})
        order_id = shop.place({"MUG": 2})
        shop.settle()
        shop.assert_books_balance()
        (sale,) = shop.items("Inventory/Stock/Table", "sale")
        assert sale["pk"] == f"SALE#{order_id}", sale
        assert sale["lines"] == [{"sku": "MUG", "quantity": 2, "unit_price_minor": 1250}], sale
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after the README's steps."""
    copy = tmp_path_factory.mktemp("scratch")
    for name in COPIED:
        if (PROJECT / name).is_dir():
            shutil.copytree(
                PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
            )
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


def test_new_consumers_test_passes(copy: Path) -> None:
    _run(sys.executable, "-m", "pytest", "-q", "tests/inventory/test_record_sale.py", cwd=copy)


def test_new_consumer_is_formatted_as_the_rest(copy: Path) -> None:
    new = ["lambdas/inventory/record_sale.py", "tests/inventory/test_record_sale.py"]
    _run(sys.executable, "-m", "ruff", "check", *new, "stacks", cwd=copy)
    _run(sys.executable, "-m", "ruff", "format", "--check", *new, "stacks", cwd=copy)


def test_new_consumer_writes_its_row_when_an_order_is_confirmed(copy: Path) -> None:
    _run(sys.executable, "-c", textwrap.dedent(REHEARSE), str(copy / "cdk.out"), cwd=copy)


def _run(*command: str, cwd: Path, stdin: str | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[:4]} failed:\n{done.stdout}\n{done.stderr}"
