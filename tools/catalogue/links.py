"""Finds dead links: to pages, to places on pages, to files of the project."""

import posixpath
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.catalogue.files import Files


class _Page(HTMLParser):
    """The links of a page, and the places on it that links may lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: Counter[str] = Counter()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes note of addresses and ids."""
        for name, value in attrs:
            if name in {"href", "src", "action"}:
                self.links.append(value or "")
            elif name == "id":
                self.ids[value or ""] += 1


def dead_links(files: Files, *, project: Path, root: str) -> Iterator[str]:
    """What is wrong with the links of the pages among `files`, one line for each.

    `root` is where the site lies in the project. Links to other sites are not followed.
    """
    pages = {path: _Page(text) for path, text in files.items() if path.endswith(".html")}
    for path, page in pages.items():
        for twice in (place for place, count in page.ids.items() if count > 1):
            yield f"{path}: the id {twice!r} is given more than once"
        for link in dict.fromkeys(page.links):
            wrong = _wrong(link, path, pages, files, project / root)
            if wrong:
                yield f"{path}: the link to {link!r} is dead: {wrong}"


def _wrong(link: str, path: str, pages: dict[str, _Page], files: Files, root: Path) -> str | None:
    parts = urlsplit(link)
    if parts.scheme:
        return None
    target = unquote(parts.path)
    there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
    if there.startswith("../"):
        return None if (root / there).exists() else "there is no such file in the project"
    if there not in files:
        return "there is no such page"
    if parts.fragment and unquote(parts.fragment) not in pages[there].ids:
        return "there is no such place on the page"
    return None
