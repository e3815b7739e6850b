"""Safeguards that the matrix needs: it must find violations if one is removed."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from cdk_rehearsal import RehearsalError
from cdk_rehearsal.weakening import remove, weaken


class SourceEdit(Struct, frozen=True, forbid_unknown_fields=True):
    """A change in a module of the handlers. `old` occurs once there."""

    module: str
    old: str
    new: str


class Safeguard(Struct, frozen=True, forbid_unknown_fields=True):
    """A safeguard in the handlers' code or in the templates."""

    name: str
    says: str
    """The application without the safeguard."""
    edits: tuple[SourceEdit, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    """The types and properties that hold the safeguard in the templates."""

    def remove(self, assembly: Path, copy: Path) -> Path:
        """Copies an assembly without the safeguard. Raises RehearsalError if it has none."""
        shutil.copytree(assembly, copy, dirs_exist_ok=True)
        if self.edits:
            _edit(copy, self.edits)
        if self.properties and not _strip(copy, self.properties):
            raise RehearsalError(f"{self.name}: no template has it any more: adapt safeguards.toml")
        return copy


def _edit(assembly: Path, edits: Sequence[SourceEdit]) -> None:
    """Replaces the packages that hold the modules by changed copies."""
    left = set(edits)
    for path in assembly.glob("*.assets.json"):
        manifest = json.loads(path.read_bytes())
        for name, asset in manifest["files"].items():
            package = assembly / asset["source"].get("path", "")
            meant = [edit for edit in edits if (package / edit.module).is_file()]
            if meant:
                asset["source"]["path"] = _changed(package, assembly / f"changed.{name}", meant)
                left -= {*meant}
        path.write_text(json.dumps(manifest), encoding="utf-8")
    for edit in left:
        raise RehearsalError(f"no package of {assembly} has {edit.module}")


def _changed(package: Path, copy: Path, edits: Sequence[SourceEdit]) -> str:
    """Copies a package, changes its modules, and returns the name of the copy."""
    if copy.exists():  # Stacks share packages.
        return copy.name
    # Bytecode would run instead of the changed source.
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in edits:
        module = copy / edit.module
        text = module.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise RehearsalError(
                f"{edit.module} has the text of the safeguard {text.count(edit.old)} times, not "
                f"once: adapt safeguards.toml\n{edit.old}"
            )
        module.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    return copy.name


def _strip(assembly: Path, properties: Sequence[tuple[str, str]]) -> int:
    """Removes properties from the templates, and returns how many."""
    count = 0
    for path in assembly.glob("*.template.json"):
        template = json.loads(path.read_bytes())
        for resource in template.get("Resources", {}).values():
            for type_, name in properties:
                value = resource.get("Properties", {}) if resource["Type"] == type_ else {}
                while changed := next(weaken(value, name.split("."), remove()), None):
                    resource["Properties"] = value = changed[1]
                    count += 1
        path.write_text(json.dumps(template), encoding="utf-8")
    return count


class _File(Struct, forbid_unknown_fields=True):
    safeguard: list[Safeguard]


_ALL = msgspec.toml.decode(Path(__file__).with_suffix(".toml").read_bytes(), type=_File).safeguard
SAFEGUARDS = {each.name: each for each in _ALL}
"""All safeguards by name, from `safeguards.toml`."""
