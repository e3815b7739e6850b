"""The site on disk: what is there, and what differs."""

from pathlib import Path

from tools.catalogue.files import differences, write

FILES = {"index.html": "one\ntwo\n", "events/A.html": "a\n"}


def test_what_was_written_does_not_differ(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    assert [*differences(FILES, tmp_path)] == []


def test_each_difference_is_named_with_its_page(tmp_path: Path) -> None:
    write(FILES | {"events/B.html": "b\n"}, tmp_path)
    now = {"index.html": "one\n2\n", "events/A.html": "a\nb\n", "events/C.html": "c\n"}
    assert [*differences(now, tmp_path)] == [
        "events/A.html is out of date: it has 1 lines instead of 2",
        "events/B.html is of something that is gone",
        "events/C.html is missing",
        "index.html is out of date: line 2 says 'two' instead of '2'",
    ]


def test_writing_takes_away_pages_of_what_is_gone(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    write({"index.html": "one\n"}, tmp_path)
    assert [path.name for path in tmp_path.rglob("*.html")] == ["index.html"]
