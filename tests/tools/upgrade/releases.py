"""Other releases of the application: its cloud assembly with a few changed lines."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

Replacements = Mapping[str, Mapping[str, str]]
"""For each file of a context's package, new texts by old ones."""


def release(
    assembly: Path,
    directory: Path,
    context: str,
    *,
    code: Replacements,
    template: Mapping[str, str] | None = None,
) -> Path:
    """Copies an assembly, and changes the package and the template of one context.

    The package gets another asset key, so that CloudFormation updates its functions. Each old
    text has to be there.
    """
    out = directory / "assembly"
    shutil.copytree(assembly, out)
    manifest, stack = (out / f"{context}.{kind}.json" for kind in ("assets", "template"))
    described = json.loads(manifest.read_bytes())
    marker = f"function-{context.lower()}-"
    (key,) = (k for k, each in described["files"].items() if marker in each["source"]["path"])
    package = directory / "package"
    shutil.copytree(described["files"][key]["source"]["path"], package)
    for file, changes in code.items():
        _replace(package / "lambdas" / file, changes)
    described["files"][key]["source"]["path"] = str(package)
    manifest.write_text(json.dumps(described).replace(f"{key}.zip", f"changed-{key}.zip"))
    _replace(stack, {f"{key}.zip": f"changed-{key}.zip", **(template or {})})
    return out


def _replace(file: Path, changes: Mapping[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{file} has no {old!r}"
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
