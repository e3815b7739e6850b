"""Reads docs/acknowledged-changes.toml: accepted findings of a review, each with a reason."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

FILE = Path("docs", "acknowledged-changes.toml")

Reasons = Mapping[str, Mapping[str, str]]
"""Reasons by kind of finding (see KINDS) and by path."""


class AcknowledgementError(Exception):
    """The file is invalid. The message gives the position and the format of an entry."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One accepted finding."""

    path: str
    """A resource's path in the construct tree or a route, as `make review` prints it."""
    reason: Annotated[str, msgspec.Meta(pattern=r"\S")]


class _Entries(msgspec.Struct, forbid_unknown_fields=True):
    replacement: list[Entry] = []
    refused: list[Entry] = []
    breaking: list[Entry] = []


KINDS = _Entries.__struct_fields__


def reasons(head: Path, base: Path | None = None) -> Reasons:
    """Returns the reasons in the tree `head` that `base` does not have.

    Raises AcknowledgementError if the file of `head` is invalid.
    """
    try:
        earlier = _read(base) if base else _Entries()
    except AcknowledgementError:
        earlier = _Entries()  # otherwise, no change could fix the file
    entries = _read(head)
    return {
        kind: {
            each.path: each.reason
            for each in getattr(entries, kind)
            if each not in getattr(earlier, kind)
        }
        for kind in KINDS
    }


def how_to(paths: Mapping[str, Iterable[str]]) -> str:
    """Returns entries to paste into the file; `paths` has the paths by kind."""
    return "\n\n".join(
        f'[[{kind}]]\npath = "{path}"\nreason = "…"' for kind in paths for path in paths[kind]
    )


def _read(tree: Path) -> _Entries:
    file = tree / FILE
    if not file.is_file():
        return _Entries()
    try:
        return msgspec.toml.decode(file.read_bytes(), type=_Entries)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AcknowledgementError(
            f"{FILE}: {error}. An entry is {' or '.join(f'[[{kind}]]' for kind in KINDS)} with a "
            "path and a reason, both strings in quotes"
        ) from error
