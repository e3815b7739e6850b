"""The link checker finds dead links and says where they are."""

from pathlib import Path

import pytest

from tools.catalogue.links import dead_links

SOURCE = "https://example.com/project/"
GOOD = {
    "index.html": f'<a href="events/A.html#data">A</a><a href="{SOURCE}code.py">code</a>',
    "events/A.html": '<h2 id="data">Data</h2><a href="#data">down</a><a href="../index.html">up</a>'
    '<a href="https://example.com/gone">elsewhere</a><svg><a href="../index.html"></a></svg>',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one file of code."""
    (tmp_path / "code.py").touch()
    return tmp_path


def test_links_to_pages_anchors_and_files_of_the_project_are_alive(project: Path) -> None:
    assert [*dead_links(GOOD, project=project, source=SOURCE)] == []


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("events/B.html", "the site has no such page"),
        ("../code.py", "the site has no such page"),
        ("events/A.html#dat", "the page has no such anchor"),
        ("#top", "the page has no such anchor"),
        (f"{SOURCE}gone.py", "the project has no such file"),
        (f"{SOURCE}gone.md#there", "the project has no such file"),
        ("", None),
    ],
)
def test_a_dead_link_is_reported_with_its_page(
    project: Path, link: str, reason: str | None
) -> None:
    files = {**GOOD, "index.html": f'<p><a href="{link}">x</a></p>'}
    expected = [f"index.html: the link to {link!r} is dead: {reason}"] if reason else []
    assert [*dead_links(files, project=project, source=SOURCE)] == expected


def test_an_id_that_is_used_twice_is_reported(project: Path) -> None:
    files = {**GOOD, "index.html": '<p id="a"></p><p id="a"></p>'}
    (wrong,) = dead_links(files, project=project, source=SOURCE)
    assert wrong == "index.html: the id 'a' is used more than once: rename one of them"
