"""The site on disk."""

from pathlib import Path

from tools.catalogue.files import write

FILES = {"index.html": "one\ntwo\n", "events/A.html": "ä\n"}


def test_files_are_written_with_their_texts(tmp_path: Path) -> None:
    write(FILES, tmp_path / "site")
    for path, text in FILES.items():
        assert (tmp_path / "site" / path).read_bytes() == text.encode()


def test_writing_replaces_changed_pages_and_deletes_obsolete_ones(tmp_path: Path) -> None:
    write(FILES, tmp_path)
    write({"index.html": "one\n"}, tmp_path)
    assert [path.name for path in tmp_path.rglob("*.html")] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "one\n"
