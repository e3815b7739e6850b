"""The site on disk: written, or compared with what is there."""

from collections.abc import Iterator, Mapping
from pathlib import Path

Files = Mapping[str, str]
"""Texts by their paths in the site."""


def write(files: Files, directory: Path) -> None:
    """Makes `directory` hold these files and nothing else."""
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
    for path in sorted(_present(directory) - files.keys()):
        (directory / path).unlink()


def differences(files: Files, directory: Path) -> Iterator[str]:
    """What is wrong with the files in `directory`, one line for each."""
    present = _present(directory)
    for path in sorted(files.keys() | present):
        if path not in present:
            yield f"{path} is missing"
        elif path not in files:
            yield f"{path} is of something that is gone"
        else:
            written = (directory / path).read_text(encoding="utf-8")
            if written != files[path]:
                yield f"{path} is out of date: {_first_difference(written, files[path])}"


def _present(directory: Path) -> set[str]:
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }


def _first_difference(written: str, wanted: str) -> str:
    old, new = written.splitlines(), wanted.splitlines()
    for number, (there, here) in enumerate(zip(old, new, strict=False), start=1):
        if there != here:
            return f"line {number} says {there.strip()!r} instead of {here.strip()!r}"
    return f"it has {len(old)} lines instead of {len(new)}"
