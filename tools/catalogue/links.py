"""Finds dead links to pages, to anchors on pages and to files of the project."""

import posixpath
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.catalogue.files import Files


class _Page(HTMLParser):
    """The links of a page and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: Counter[str] = Counter()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects addresses and ids."""
        for name, value in attrs:
            if name in {"href", "src", "action"}:
                self.links.append(value or "")
            elif name == "id":
                self.ids[value or ""] += 1


def dead_links(files: Files, *, project: Path, source: str) -> Iterator[str]:
    """Yields a message for each dead link, and for each id that occurs twice on a page.

    Links that start with `source` are links to files of the project. Other links to other sites
    are not checked.
    """
    pages = {path: _Page(text) for path, text in files.items() if path.endswith(".html")}
    for path, page in pages.items():
        for twice in (anchor for anchor, count in page.ids.items() if count > 1):
            yield f"{path}: the id {twice!r} is used more than once: rename one of them"
        for link in dict.fromkeys(page.links):
            if link.startswith(source):
                file = unquote(urlsplit(link.removeprefix(source)).path)
                wrong = None if (project / file).exists() else "the project has no such file"
            else:
                wrong = _wrong(link, path, pages, files)
            if wrong:
                yield f"{path}: the link to {link!r} is dead: {wrong}"


def _wrong(link: str, path: str, pages: dict[str, _Page], files: Files) -> str | None:
    parts = urlsplit(link)
    if parts.scheme:
        return None
    target = unquote(parts.path)
    there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
    if there not in files:
        return "the site has no such page"
    if parts.fragment and unquote(parts.fragment) not in pages[there].ids:
        return "the page has no such anchor"
    return None
