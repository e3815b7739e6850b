"""Documents: their links hold, files that code names exist, and the README stays short."""

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.documents import PAGES, anchors, content, tracked
from workspace.isolation import PROJECT

EACH_PAGE = pytest.mark.parametrize("page", PAGES)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
NAMED = re.compile(r"\b(?:docs/[\w/.-]+\.(?:md|json|toml|svg)|README\.md|CONTRIBUTING\.md)\b")
"""A document that code, a comment or a message names."""


def dead(page: str, text: str) -> Iterator[str]:
    """Yield each relative link that leads to no tracked file or folder, or to no heading."""
    for link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path)))
        target = path if parts.path else page
        if target not in tracked() and not any(file.startswith(f"{target}/") for file in tracked()):
            yield f"{page}: {link}: git tracks no such file or folder"
        elif parts.fragment and parts.fragment not in anchors(content(target)):
            yield f"{page}: {link}: {target} has no such heading"


@EACH_PAGE
def test_each_link_leads_to_a_tracked_file_and_to_a_heading_there(page: str) -> None:
    assert [*dead(page, PAGES[page])] == []


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("../README.md", None),
        ("runbook.md#function-errors", None),
        ("decisions/", None),
        ("https://example.com/gone", None),
        ("gone.md", "git tracks no such file or folder"),
        ("../.build/catalogue/index.html", "git tracks no such file or folder"),
        ("runbook.md#gone", "docs/runbook.md has no such heading"),
    ],
)
def test_a_dead_link_is_reported(link: str, reason: str | None) -> None:
    found = [*dead("docs/page.md", f"[a]({link})")]
    assert found == ([f"docs/page.md: {link}: {reason}"] if reason else [])


def test_each_document_that_code_names_exists() -> None:
    for path in sorted(tracked()):
        if path.endswith((".py", ".toml", ".yml")) and not path.startswith(("packages/", "tests/")):
            for named in NAMED.findall((PROJECT / path).read_text(encoding="utf-8")):
                assert named in tracked(), f"{path} names {named}, which does not exist"


def test_the_index_links_to_each_document() -> None:
    linked = {
        posixpath.normpath(posixpath.join("docs", link.partition("#")[0]))
        for link in LINK.findall(PAGES["docs/README.md"])
    }
    pages = {
        page for page in PAGES if page.startswith("docs/") and not page.startswith("docs/decisions")
    }
    assert pages - linked == {"docs/README.md"}


def test_the_list_of_decisions_has_one_line_for_each() -> None:
    listed = re.findall(
        r"^\| \[(\d+)\]\((\d{4}-[\w-]+\.md)\) \|", PAGES["docs/decisions/README.md"], re.MULTILINE
    )
    decisions = sorted(
        page.rpartition("/")[2] for page in PAGES if re.match(r"docs/decisions/\d", page)
    )
    assert [file for _, file in listed] == decisions
    for number, file in listed:
        title = PAGES[f"docs/decisions/{file}"].partition("\n")[0]
        assert int(file[:4]) == int(number)
        assert title.startswith(f"# {number}. "), f"docs/decisions/{file}: {title}"


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 150
    assert len(PAGES["README.md"].encode()) <= 8_192


def test_pictures_are_small_and_load_nothing() -> None:
    pictures = [path for path in tracked() if path.startswith("docs/pictures/")]
    assert len(pictures) == 9
    for path in pictures:
        assert (PROJECT / path).stat().st_size < 300_000, path
        if path.endswith(".png"):
            continue
        text = (PROJECT / path).read_text(encoding="utf-8")
        assert len(text.encode()) < 150_000, path
        assert not re.search(r"""(?:href|src|url)\s*[=(]\s*["']?(?:https?:)?//""", text), path


def test_each_look_up_takes_two_steps_that_exist() -> None:
    table = re.findall(
        r"^\| [^|]+\? \| `([^`]+/)` \| `([^`]+)` \|$",
        PAGES["docs/reference/where-is-what.md"],
        re.MULTILINE,
    )
    assert len(table) == 10
    for folder, file in table:
        assert file in tracked(), file
        assert file.rpartition("/")[0] == folder.rstrip("/"), f"{file} is not in {folder}"
