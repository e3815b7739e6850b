"""The catalogue in a real browser, from the file system, without network."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from catalogue.files import Files, write
from catalogue.model import System
from catalogue.site import SECTIONS
from stacks.constructs.packaging import PROJECT, node

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
ADVICE = (
    "no Chromium or Chrome here: install one (Debian: apt-get install chromium), "
    "or name it in the variable CHROMIUM"
)


def browser() -> str | None:
    named = os.environ.get("CHROMIUM")
    found = [named] if named else [shutil.which(name) for name in (*NAMES, MAC)]
    return next((path for path in found if path), None)


@pytest.fixture(scope="module")
def seen(files: Files, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one walk through the pages saw."""
    executable = browser()
    if executable is None:
        pytest.skip(ADVICE)
    site = tmp_path_factory.mktemp("catalogue")
    write(files, site)
    # The walk stands beside node_modules, where it finds its driver.
    done = subprocess.run(
        [
            node(),
            str(Path(__file__).with_name("browser.mjs")),
            executable,
            site.as_uri(),
            json.dumps(narrow(files)),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def narrow(files: Files) -> list[str]:
    """A list and the longest page of each section, the first page and the map of a context."""
    longest = [
        max(
            (path for path in files if path.startswith(f"{section}/")),
            key=lambda path: len(files[path]),
        )
        for section in SECTIONS
    ]
    return ["index.html", *(f"{section}/index.html" for section in SECTIONS), *longest]


def test_pages_work_without_network_and_without_an_error(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []
    assert seen["requests"] == []


def test_an_event_leads_to_its_consumer_and_back(seen: dict[str, Any]) -> None:
    walked = [seen["event"], seen["consumer"], seen["back"]]
    assert walked == ["OrderConfirmed.v1", "request_shipment", "OrderConfirmed.v1"]


def test_the_map_shows_where_an_event_goes(seen: dict[str, Any], system: System) -> None:
    event = system.events["OrderConfirmed.v1"]
    ends = [*event.consumers, *(way.end.path for way in system.everything)]
    assert sorted(seen["highlighted"]) == sorted([event.name, end] for end in ends)


def test_the_search_finds_a_function_by_words(seen: dict[str, Any]) -> None:
    assert seen["found"] == "release_closed_order"


def test_the_choice_of_dark_stays(seen: dict[str, Any]) -> None:
    assert seen["dark"]


def test_nothing_sticks_out_of_a_narrow_window(seen: dict[str, Any]) -> None:
    assert seen["overflowing"] == []
