"""The files of the site, and how they are written."""

from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, str]
"""Texts by their paths in the site."""


def write(files: Files, directory: Path) -> None:
    """Writes these files to `directory`, and deletes all others there."""
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
    for present in directory.rglob("*"):
        if present.is_file() and present.relative_to(directory).as_posix() not in files:
            present.unlink()
