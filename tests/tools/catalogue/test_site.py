"""The site is complete, works by itself, and is the same on every machine."""

import re
from pathlib import Path

import pytest

from stacks.schemas.events import DEFINED, PUBLISHED, consumers_of, publishers_of
from tests.tools.catalogue.conftest import SOURCE
from tools.catalogue.__main__ import main
from tools.catalogue.files import Files
from tools.catalogue.links import dead_links
from tools.catalogue.model import System
from tools.catalogue.pictures import PICTURES
from tools.catalogue.site import event_map, render
from workspace.isolation import PROJECT

EXTERNAL = re.compile(r"""(?:src|href|url|action)\s*[=(]\s*["']?(?:https?:)?//[^"')\s]+""")
PASSING = re.compile(r"[0-9a-f]{32,}|\b\d{12}\b|ExportsOutput|Ref[0-9A-F]{8}|-[0-9A-F]{8}\b")
"""Hashes of assets, account ids and suffixes of the CDK: they may change without a reason."""
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
"""The example of an envelope, which is that of the standard.
https://www.w3.org/TR/trace-context/#examples-of-http-traceparent-headers"""


@pytest.mark.usefixtures("default_bus")
def test_the_command_writes_the_site_and_prints_how_to_open_it(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--out", str(tmp_path), "--source", SOURCE])
    written = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert written == files
    *_, command = capsys.readouterr().out.splitlines()
    assert f"-m webbrowser {(tmp_path / 'index.html').as_uri()}" in command


def test_no_link_is_dead(files: Files) -> None:
    assert [*dead_links(files, project=PROJECT, source=SOURCE)] == []


def test_links_to_the_project_start_with_the_address_of_the_source(files: Files) -> None:
    assert f'href="{SOURCE}lambdas/orders/events.py"' in files["events/OrderPlaced.v2.html"]


def test_the_same_system_gives_the_same_pages(system: System, files: Files) -> None:
    assert render(system, source=SOURCE) == files


def test_pages_link_to_the_fault_matrix_if_there_is_one(system: System, files: Files) -> None:
    link = '<a href="file:///faults.html">fault matrix</a>'
    linking = render(system, source=SOURCE, faults="file:///faults.html")
    assert all(link in page for path, page in linking.items() if path.endswith(".html"))
    assert not any("fault matrix</a>" in page for page in files.values())


def test_pages_load_nothing_from_other_sites(files: Files) -> None:
    for path, text in files.items():
        loaded = re.findall(r"<(?:link|script|img)[^>]*>", text)
        assert not [tag for tag in loaded if EXTERNAL.search(tag)], path
        assert path.endswith(".html") or not EXTERNAL.search(text), path


def test_pages_contain_nothing_that_changes_without_a_reason(files: Files) -> None:
    assert any(TRACEPARENT in text for text in files.values())
    for path, text in files.items():
        assert not PASSING.findall(text.replace(TRACEPARENT, "")), path
        assert str(PROJECT) not in text, path


def test_an_event_and_the_functions_that_publish_it_name_each_other(
    system: System, files: Files
) -> None:
    functions = {f"{each.context}.{each.name}": each for each in system.functions.values()}
    for name, event in PUBLISHED.items():
        assert publishers_of(event)
        for publisher in publishers_of(event):
            page = files[f"functions/{functions[publisher].path.replace('/', '.')}.html"]
            assert f">{name}</a>" in page.partition("<p>Publishes <a")[2].partition("</p>")[0]
            assert functions[publisher].path in system.events[name].publishers


@pytest.mark.usefixtures("default_bus")
def test_the_committed_event_map_is_up_to_date(system: System) -> None:
    committed = (PICTURES / "event-map.svg").read_text(encoding="utf-8")
    assert committed == event_map(system), "run `make generated`"


def test_each_event_has_a_page_with_all_its_consumers(files: Files) -> None:
    for name, event in DEFINED.items():
        page = files[f"events/{name}.html"]
        for consumer in consumers_of(event):
            assert f">{consumer.partition('.')[2]}</a>" in page, (name, consumer)


def test_each_page_of_the_runbook_has_a_page(files: Files) -> None:
    headings = re.findall(r"^## ", (PROJECT / "docs/runbook.md").read_text(), re.MULTILINE)
    pages = [path for path in files if path.startswith("failures/")]
    assert len(pages) == len(headings) + 1
