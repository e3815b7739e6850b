"""Each safeguard can be removed from the present code and templates."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdk_rehearsal import RehearsalError
from tools.faults.safeguards import SAFEGUARDS, Safeguard, SourceEdit


@pytest.mark.parametrize("safeguard", SAFEGUARDS.values(), ids=lambda each: each.name)
def test_a_safeguard_is_removed_from_a_copy(
    safeguard: Safeguard, assembly: Path, tmp_path: Path
) -> None:
    before = _content(assembly, safeguard)
    after = _content(safeguard.remove(assembly, tmp_path), safeguard)
    assert _content(assembly, safeguard) == before
    assert after.keys() == before.keys()
    changed = {name for name in before if after[name] != before[name]}
    assert {Path(name).suffix for name in changed} == ({".py"} if safeguard.edits else {".json"})
    # Every package with the module has the changed one.
    assert changed >= {name for name in before if name.endswith(".py")}
    for text in {after[name] for name in changed if name.endswith(".py")}:
        ast.parse(text)


def _content(assembly: Path, safeguard: Safeguard) -> dict[str, str]:
    """Returns what the removal may change: templates, and modules of each package."""
    templates = {
        path.name: json.dumps(json.loads(path.read_bytes()))
        for path in assembly.glob("*.template.json")
    }
    modules = {
        f"{name} {edit.module}": (package / edit.module).read_text(encoding="utf-8")
        for name, package in _packages(assembly)
        for edit in safeguard.edits
        if (package / edit.module).exists()
    }
    return templates | modules


def _packages(assembly: Path) -> Iterator[tuple[str, Path]]:
    for manifest in assembly.glob("*.assets.json"):
        for name, asset in json.loads(manifest.read_bytes())["files"].items():
            yield f"{manifest.stem} {name}", assembly / asset["source"]["path"]


@pytest.mark.parametrize(
    ("module", "message"),
    [("lambdas/eventing/relay.py", r"adapt safeguards\.toml"), ("lambdas/other.py", "no package")],
)
def test_an_outdated_safeguard_is_an_error(
    module: str, message: str, assembly: Path, tmp_path: Path
) -> None:
    outdated = Safeguard("outdated", "of missing code", (SourceEdit(module, "never = 1", ""),))
    with pytest.raises(RehearsalError, match=message):
        outdated.remove(assembly, tmp_path)


def test_an_outdated_property_is_an_error(assembly: Path, tmp_path: Path) -> None:
    outdated = Safeguard("outdated", "", properties=(("AWS::SQS::Queue", "RedrivePolicies"),))
    with pytest.raises(RehearsalError, match="outdated: no template has it any more"):
        outdated.remove(assembly, tmp_path)


def test_changed_packages_have_no_bytecode_that_would_run_instead(
    assembly: Path, tmp_path: Path
) -> None:
    copy = SAFEGUARDS["relay"].remove(assembly, tmp_path)
    assert list(copy.glob("changed.*/lambdas/eventing/relay.py"))
    assert not list(copy.rglob("*.pyc"))
