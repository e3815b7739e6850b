"""The link checker finds what is dead, and says where."""

from pathlib import Path

import pytest

from tools.catalogue.links import dead_links

GOOD = {
    "index.html": '<a href="events/A.html#data">A</a><a href="../../code.py">code</a>',
    "events/A.html": '<h2 id="data">Data</h2><a href="#data">down</a><a href="../index.html">up</a>'
    '<a href="https://example.com/gone">elsewhere</a><svg><a href="../index.html"></a></svg>',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one file of code."""
    (tmp_path / "docs/catalogue").mkdir(parents=True)
    (tmp_path / "code.py").touch()
    return tmp_path


def test_links_to_pages_places_and_files_of_the_project_hold(project: Path) -> None:
    assert [*dead_links(GOOD, project=project, root="docs/catalogue")] == []


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("events/B.html", "there is no such page"),
        ("events/A.html#dat", "there is no such place on the page"),
        ("#top", "there is no such place on the page"),
        ("../../gone.py", "there is no such file in the project"),
        ("", None),
    ],
)
def test_a_dead_link_is_named_with_its_page(project: Path, link: str, reason: str | None) -> None:
    files = {**GOOD, "index.html": f'<p><a href="{link}">x</a></p>'}
    expected = [f"index.html: the link to {link!r} is dead: {reason}"] if reason else []
    assert [*dead_links(files, project=project, root="docs/catalogue")] == expected


def test_an_id_that_is_given_twice_is_named(project: Path) -> None:
    files = {**GOOD, "index.html": '<p id="a"></p><p id="a"></p>'}
    (wrong,) = dead_links(files, project=project, root="docs/catalogue")
    assert wrong == "index.html: the id 'a' is given more than once"
