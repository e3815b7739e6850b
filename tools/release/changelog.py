"""The changelog of the application: its versions, and the notes of a release."""

import argparse
import re
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tools.contracts.documents import version
from tools.release.steps import ReleaseError
from workspace.isolation import PROJECT

FILE = PROJECT / "CHANGELOG.md"

_HEADING = re.compile(r"^## (?P<version>\S+) \((?P<released>[^)]*)\)$", re.MULTILINE)
_UNRELEASED = "unreleased"


@dataclass(frozen=True)
class Section:
    """The section of a version."""

    version: str
    released: date | None
    """None before its release."""
    notes: str
    """Its Markdown, without the heading."""


def sections(text: str | None = None) -> list[Section]:
    """Returns the sections of the changelog, newest first. Raises ReleaseError.

    A heading is `## 1.2.3 (2027-01-31)` or `## 1.2.3 (unreleased)`.
    """
    text = FILE.read_text(encoding="utf-8") if text is None else text
    found = [*_HEADING.finditer(text)]
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    if not found or len(headings) != len(found):
        raise ReleaseError(
            f"{FILE.name}: a heading is not `## 1.2.3 (2027-01-31)` or `## 1.2.3 (unreleased)`: "
            f"correct one of {headings}"
        )
    ends = [each.start() for each in found[1:]] + [len(text)]
    return [
        Section(each["version"], _date(each), text[each.end() : end].strip())
        for each, end in zip(found, ends, strict=True)
    ]


def check_tags(tags: list[str]) -> None:
    """Raises ReleaseError unless each tag of a commit is its released version.

    A commit without a tag passes: it is a release without a name, as between two versions.
    """
    newest = sections()[0]
    for tag in tags:
        if tag != f"v{version()}" or newest.version != version() or newest.released is None:
            raise ReleaseError(
                f"the tag {tag} needs the version {tag.removeprefix('v')} in pyproject.toml "
                f"({version()}) and the same one, with a date, at the top of {FILE.name} "
                f"({newest.version}, {newest.released or _UNRELEASED}): correct them, commit, and "
                "tag that commit"
            )


def _date(heading: re.Match[str]) -> date | None:
    if heading["released"] == _UNRELEASED:
        return None
    try:
        return date.fromisoformat(heading["released"])
    except ValueError as error:
        raise ReleaseError(
            f"{FILE.name}: {heading['released']!r} of {heading['version']} is no date: write it "
            "as 2027-01-31"
        ) from error


def main() -> None:
    """Writes the notes of the newest version to a file."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    try:
        file.write_text(sections()[0].notes + "\n", encoding="utf-8")
    except ReleaseError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
