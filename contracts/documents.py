"""The documents of the system's interfaces, written and compared with what they should be."""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contracts.asyncapi import asyncapi
from contracts.openapi import openapi
from topology.assembly import Assembly

PROJECT = Path(__file__).parent.parent
DIRECTORY = PROJECT / "docs"

DOCUMENTS: Mapping[str, Callable[[Assembly, str], dict[str, Any]]] = {
    "openapi.json": openapi,
    "asyncapi.json": asyncapi,
}
"""What makes each document, by the name of its file, out of the templates and the version."""


def documents(assembly: Assembly) -> dict[str, str]:
    """The text of each document as it should be, by the name of its file."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    return {
        name: json.dumps(make(assembly, version), indent=2, ensure_ascii=False) + "\n"
        for name, make in DOCUMENTS.items()
    }


def outdated(assembly: Assembly, directory: Path = DIRECTORY) -> list[str]:
    """Names of the documents in `directory` that are not, or no longer, as they should be."""
    return [
        name
        for name, text in documents(assembly).items()
        if not (directory / name).is_file() or (directory / name).read_text() != text
    ]


def main() -> None:
    """Write the documents of a synthesized application into docs/."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("assembly", type=Path, help="what `make synth` wrote, as in cdk.out/dev")
    directory = parser.parse_args().assembly
    if not (directory / "manifest.json").is_file():
        sys.exit(f"error: {directory} holds no cloud assembly: run `make synth`")
    for name, text in documents(Assembly(directory)).items():
        (DIRECTORY / name).write_text(text)
        print(DIRECTORY / name)


if __name__ == "__main__":
    main()
