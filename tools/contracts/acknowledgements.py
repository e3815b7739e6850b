"""Findings of a review that are meant, each with its reason: docs/acknowledged-changes.toml."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

FILE = Path("docs", "acknowledged-changes.toml")

Reasons = Mapping[str, Mapping[str, str]]
"""Reasons by the kind of finding, as the file names it, and by path."""


class AcknowledgementError(Exception):
    """The file cannot be read; the message says where, and what an entry looks like."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One finding, and why it is meant."""

    path: str
    """As the comment of `make review` names it: a resource in the construct tree, or a route."""
    reason: Annotated[str, msgspec.Meta(pattern=r"\S")]


class _Entries(msgspec.Struct, forbid_unknown_fields=True):
    replacement: list[Entry] = []
    refused: list[Entry] = []
    breaking: list[Entry] = []


KINDS = _Entries.__struct_fields__


def reasons(head: Path, base: Path | None = None) -> Reasons:
    """The reasons that the tree `head` gives, and `base` did not. Raises AcknowledgementError."""
    try:
        earlier = _read(base) if base else _Entries()
    except AcknowledgementError:
        earlier = _Entries()  # else nobody could fix it
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
    """Entries to paste, by kind and path."""
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
            "path and a reason, each a text in quotes"
        ) from error
