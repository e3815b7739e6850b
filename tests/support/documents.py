"""The project's documents."""

import re
import subprocess
from functools import cache

from tools.catalogue.prose import anchor
from workspace.isolation import PROJECT


@cache
def tracked() -> frozenset[str]:
    """The paths of the files that git tracks, or would track: all that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return frozenset(path for path in done.stdout.splitlines() if (PROJECT / path).is_file())


PAGES = {
    path: (PROJECT / path).read_text(encoding="utf-8")
    for path in sorted(tracked())
    if path.endswith(".md") and not path.startswith("packages/")
}
"""Texts of the documents in Markdown by their paths; those of packages have tests of their own."""


def content(path: str) -> str:
    """The text of a document, of a package, too; empty for another file, which has no headings."""
    return (PROJECT / path).read_text(encoding="utf-8") if path.endswith(".md") else ""


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
