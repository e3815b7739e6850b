"""A software bill of materials of the Lambda layer: CycloneDX 1.6, from the lock file."""

import json
import re
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
LOCK = PROJECT / "lambdas" / "requirements.txt"
OUT = PROJECT / ".build" / "sbom.json"

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)


def bill_of_materials(lock: str) -> dict[str, Any]:
    """Returns the bill of all distributions that a lock file pins.

    A package URL names each one: https://github.com/package-url/purl-spec. Raises ValueError if a
    line that is not a hash, an option or a comment pins nothing.
    """
    for line in lock.splitlines():
        stated = line.strip()
        if stated and not stated.startswith(("#", "--")) and not _REQUIREMENT.match(line):
            raise ValueError(f"{stated!r} pins no version: write the lock file with `make lock`")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "library", "name": "orderflow-layer"}},
        "components": [
            {
                "type": "library",
                "name": found["name"],
                "version": found["version"],
                "purl": f"pkg:pypi/{_normal(found['name'])}@{found['version']}",
                "bom-ref": f"{_normal(found['name'])}@{found['version']}",
            }
            for found in _REQUIREMENT.finditer(lock)
        ],
    }


def _normal(name: str) -> str:
    """The normalized name of a distribution.

    https://packaging.python.org/en/latest/specifications/name-normalization/
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Writes the bill, and prints where it is."""
    try:
        bill = bill_of_materials(LOCK.read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(f"error: {LOCK.relative_to(PROJECT)}: {error}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    print(f"{len(bill['components'])} components of the Lambda layer: {OUT.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
