"""Sabotage: still possible as the code stands, and told if it is not."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdk_rehearsal import RehearsalError
from tools.faults.sabotage import SABOTAGES, Edit, Sabotage


@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=lambda each: each.name)
def test_sabotage_changes_a_copy_alone(sabotage: Sabotage, assembly: Path, tmp_path: Path) -> None:
    before = _content(assembly, sabotage)
    after = _content(sabotage.apply(assembly, tmp_path), sabotage)
    assert _content(assembly, sabotage) == before
    assert after.keys() == before.keys()
    changed = {name for name in before if after[name] != before[name]}
    assert {Path(name).suffix for name in changed} == ({".py"} if sabotage.edits else {".json"})
    # Each package that holds a module holds the changed one.
    assert changed >= {name for name in before if name.endswith(".py")}
    for text in {after[name] for name in changed if name.endswith(".py")}:
        ast.parse(text)


def _content(assembly: Path, sabotage: Sabotage) -> dict[str, str]:
    """What the sabotage may change: templates, and modules of each package."""
    templates = {
        path.name: json.dumps(json.loads(path.read_bytes()))
        for path in assembly.glob("*.template.json")
    }
    modules = {
        f"{name} {edit.module}": (package / edit.module).read_text(encoding="utf-8")
        for name, package in _packages(assembly)
        for edit in sabotage.edits
        if (package / edit.module).exists()
    }
    return templates | modules


def _packages(assembly: Path) -> Iterator[tuple[str, Path]]:
    for manifest in assembly.glob("*.assets.json"):
        for name, asset in json.loads(manifest.read_bytes())["files"].items():
            yield f"{manifest.stem} {name}", assembly / asset["source"]["path"]


@pytest.mark.parametrize(
    ("module", "message"),
    [("lambdas/eventing/relay.py", "adapt the sabotage"), ("lambdas/other.py", "no package")],
)
def test_sabotage_that_finds_nothing_to_take_away_says_so(
    module: str, message: str, assembly: Path, tmp_path: Path
) -> None:
    outdated = Sabotage("outdated", "of code that is not there", (Edit(module, "never = 1", ""),))
    with pytest.raises(RehearsalError, match=message):
        outdated.apply(assembly, tmp_path)


def test_changed_packages_bring_no_bytecode_that_would_run_instead(
    assembly: Path, tmp_path: Path
) -> None:
    copy = SABOTAGES["relay"].apply(assembly, tmp_path)
    assert list(copy.glob("sabotaged.*/lambdas/eventing/relay.py"))
    assert not list(copy.rglob("*.pyc"))
