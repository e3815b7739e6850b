"""The committed catalogue is that of the code, complete in itself, and the same on each machine."""

import re

from stacks.schemas.events import DEFINED, PUBLISHED, consumers_of, publishers_of
from tools.catalogue.__main__ import ROOT
from tools.catalogue.files import Files, differences
from tools.catalogue.links import dead_links
from tools.catalogue.model import System
from tools.catalogue.reading import PROJECT
from tools.catalogue.site import render

EXTERNAL = re.compile(r"""(?:src|href|url|action)\s*[=(]\s*["']?(?:https?:)?//[^"')\s]+""")
PASSING = re.compile(r"[0-9a-f]{32,}|\b\d{12}\b|ExportsOutput|Ref[0-9A-F]{8}|-[0-9A-F]{8}\b")
"""Hashes of assets, account ids and what CDK appends to names: all that may change by itself."""


def test_the_committed_catalogue_is_that_of_the_code(files: Files) -> None:
    wrong = [*differences(files, PROJECT / ROOT)]
    assert not wrong, "\n".join(["run `make catalogue` and commit what it writes:", *wrong])


def test_no_link_is_dead(files: Files) -> None:
    assert [*dead_links(files, project=PROJECT, root=ROOT)] == []


def test_the_same_system_makes_the_same_pages(system: System, files: Files) -> None:
    assert render(system) == files


def test_pages_load_nothing_from_elsewhere(files: Files) -> None:
    for path, text in files.items():
        loaded = re.findall(r"<(?:link|script|img)[^>]*>", text)
        assert not [tag for tag in loaded if EXTERNAL.search(tag)], path
        assert path.endswith(".html") or not EXTERNAL.search(text), path


def test_pages_hold_nothing_that_changes_by_itself(files: Files) -> None:
    for path, text in files.items():
        assert not PASSING.findall(text), path
        assert str(PROJECT) not in text, path


def test_an_event_and_the_functions_that_publish_it_name_each_other(
    system: System, files: Files
) -> None:
    functions = {f"{each.context}.{each.name}": each for each in system.functions.values()}
    for name, event in PUBLISHED.items():
        assert publishers_of(event)
        for publisher in publishers_of(event):
            page = files[f"functions/{functions[publisher].path.replace('/', '.')}.html"]
            assert f">{name}</a>" in page.partition("<p>Publishes")[2].partition("</p>")[0]
            assert functions[publisher].path in system.events[name].publishers


def test_each_event_has_a_page_with_all_its_consumers(files: Files) -> None:
    for name, event in DEFINED.items():
        page = files[f"events/{name}.html"]
        for consumer in consumers_of(event):
            assert f">{consumer.partition('.')[2]}</a>" in page, (name, consumer)


def test_all_that_the_runbook_tells_has_a_page(files: Files) -> None:
    headings = re.findall(r"^## ", (PROJECT / "docs/runbook.md").read_text(), re.MULTILINE)
    pages = [path for path in files if path.startswith("failures/")]
    assert len(pages) == len(headings) + 1
