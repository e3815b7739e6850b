"""The documents of the system's interfaces, written and compared with what they should be."""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cdk_rehearsal import Assembly
from tools.contracts import acknowledgements, api
from tools.contracts.asyncapi import asyncapi
from tools.contracts.openapi import openapi
from workspace.isolation import PROJECT

DIRECTORY = PROJECT / "docs"

_API = "openapi.json"
_PAGE = "docs/decisions/0033-the-api-is-frozen-as-events-are.md"

DOCUMENTS: Mapping[str, Callable[[Assembly, str], dict[str, Any]]] = {
    _API: openapi,
    "asyncapi.json": asyncapi,
}
"""What makes each document, by the name of its file, out of the templates and the version."""


def documents(assembly: Assembly) -> dict[str, str]:
    """The text of each document as it should be, by the name of its file."""
    return {
        name: json.dumps(make(assembly, version()), indent=2, ensure_ascii=False) + "\n"
        for name, make in DOCUMENTS.items()
    }


def version() -> str:
    """Returns the project's version, which the documents carry."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def complaints(made: Mapping[str, str], directory: Path = DIRECTORY) -> list[str]:
    """Returns a message for each route that breaks clients of the API document in `directory`.

    Each message says what breaks and how to avoid it. Acknowledged routes are left out. Raises
    AcknowledgementError.
    """
    kept = directory / _API
    if not kept.is_file():
        return []
    acknowledged = acknowledgements.reasons(PROJECT)["breaking"]
    return [
        "\n".join(_complaint(change))
        for change in api.changes(json.loads(kept.read_bytes()), json.loads(made[_API]))
        if change.breaks and change.path not in acknowledged
    ]


def _complaint(change: api.Change) -> Iterator[str]:
    yield f"{change.path} has changed in a way that breaks its clients:"
    for each in change.breaks:
        yield f"  {each}"
    yield from (f"  {advice}" for advice in change.advice)
    yield (
        f"  See {_PAGE}. If the change is intended, give the reason in {acknowledgements.FILE}:\n\n"
        f"{acknowledgements.how_to({'breaking': [change.path]})}\n"
    )


def outdated(assembly: Assembly, directory: Path = DIRECTORY) -> list[str]:
    """Names of the documents in `directory` that are not, or no longer, as they should be."""
    return [
        name
        for name, text in documents(assembly).items()
        if not (directory / name).is_file() or (directory / name).read_text() != text
    ]


def main() -> None:
    """Write the documents of a synthesized application into docs/, unless that breaks clients."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("assembly", type=Path, help="what `make synth` wrote, as in cdk.out/dev")
    directory = parser.parse_args().assembly
    if not (directory / "manifest.json").is_file():
        sys.exit(f"error: {directory} holds no cloud assembly: run `make synth`")
    made = documents(Assembly(directory))
    try:
        broken = complaints(made, DIRECTORY)
    except acknowledgements.AcknowledgementError as error:
        sys.exit(f"error: {error}")
    for name, text in made.items():
        if name != _API or not broken:
            (DIRECTORY / name).write_text(text, encoding="utf-8")
            print(DIRECTORY / name)
    if broken:
        sys.exit("\n".join([*broken, f"docs/{_API} is unchanged."]))


if __name__ == "__main__":
    main()
