"""Sabotage: still possible as the code stands, and told if it is not."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from faults.sabotage import SABOTAGES, Sabotage
from rehearsal import RehearsalError


@pytest.fixture
def parts(assembly: Path, tmp_path: Path) -> Path:
    """What sabotage changes of an assembly, alone."""
    directory = tmp_path / "assembly"
    for module in {edit.module for each in SABOTAGES.values() for edit in each.edits}:
        (found, *_) = assembly.glob(f"asset.*/{module}")
        copy = directory / found.relative_to(assembly)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, copy)
    for template in assembly.glob("*.template.json"):
        shutil.copyfile(template, directory / template.name)
    return directory


def _content(directory: Path) -> dict[Path, str]:
    return {
        path.relative_to(directory): path.read_text(encoding="utf-8")
        for path in directory.rglob("*.*")
        if path.is_file()
    }


@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=lambda each: each.name)
def test_sabotage_changes_a_copy_alone(sabotage: Sabotage, parts: Path, tmp_path: Path) -> None:
    before = _content(parts)
    after = _content(sabotage.apply(parts, tmp_path / "copy"))
    assert _content(parts) == before
    changed = {path for path in before if _read(path, before) != _read(path, after)}
    assert {path.suffix for path in changed} == ({".py"} if sabotage.edits else {".json"})


def _read(path: Path, content: dict[Path, str]) -> object:
    text = content[path]
    return ast.dump(ast.parse(text)) if path.suffix == ".py" else json.loads(text)


def test_sabotage_that_finds_nothing_to_take_away_says_so(parts: Path, tmp_path: Path) -> None:
    relay = SABOTAGES["relay"]
    once = relay.apply(parts, tmp_path / "once")
    with pytest.raises(RehearsalError, match="adapt the sabotage"):
        relay.apply(once, tmp_path / "twice")
