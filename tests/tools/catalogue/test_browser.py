"""The catalogue in a real browser, from the file system, without network."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stacks.constructs.packaging import PROJECT, node
from tools.catalogue.files import Files, write
from tools.catalogue.model import System
from tools.catalogue.site import SECTIONS

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


def walk(executable: str, files: Files, site: Path) -> dict[str, Any]:
    """Say what a walk through the pages saw."""
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


# One test, since one walk serves all of it: processes that share the tests would take one each.
def test_the_pages_are_as_they_should_be_in_a_browser(
    files: Files, system: System, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    executable = browser()
    if executable is None:
        pytest.skip(ADVICE)
    seen = walk(executable, files, tmp_path)
    with subtests.test("they work without network and without an error"):
        assert seen["errors"] == []
        assert seen["requests"] == []
    with subtests.test("an event leads to its consumer and back"):
        walked = [seen["event"], seen["consumer"], seen["back"]]
        assert walked == ["OrderConfirmed.v1", "request_shipment", "OrderConfirmed.v1"]
    with subtests.test("the map shows where an event goes"):
        event = system.events["OrderConfirmed.v1"]
        ends = [*event.consumers, *(way.end.path for way in system.everything)]
        assert sorted(seen["highlighted"]) == sorted([event.name, end] for end in ends)
    with subtests.test("the search finds a function by words"):
        assert seen["found"] == "release_closed_order"
    with subtests.test("the choice of dark stays"):
        assert seen["dark"]
    with subtests.test("nothing sticks out of a narrow window"):
        assert seen["overflowing"] == []
