"""The catalogue in a real browser, from the file system, without network."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import FaultSite
from stacks.constructs.packaging import node
from tools.catalogue.files import Files, write
from tools.catalogue.model import System
from tools.catalogue.site import SECTIONS
from tools.faults.case import CaseResult, Verdict
from tools.faults.kinds import KINDS
from tools.faults.page import page
from workspace.isolation import PROJECT

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


def required_browser() -> str:
    """Returns a browser. Without one, skips the test, or fails it in continuous integration."""
    executable = browser()
    if executable is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(ADVICE)
    return executable


def visit(executable: str, files: Files, site: Path) -> dict[str, Any]:
    """Visits the pages in a browser; returns the observations."""
    write(files, site)
    # The script runs in the project's folder, where Node.js finds its driver.
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
    """The first page, the fault matrix, and the list and the longest page of each section."""
    longest = [
        max(
            (path for path in files if path.startswith(f"{section}/")),
            key=lambda path: len(files[path]),
        )
        for section in SECTIONS
    ]
    return [
        "index.html",
        "faults.html",
        *(f"{section}/index.html" for section in SECTIONS),
        *longest,
    ]


# One test, so that the browser starts once even if several processes share the tests.
def test_the_pages_work_in_a_browser(
    files: Files, system: System, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    site = FaultSite("queue", "Checkout/RunCheckout/Queue", "Checkout/RunCheckout/Function")
    results = [CaseResult(name, site, "bought", 1, Verdict.HELD) for name in KINDS]
    matrix = {"faults.html": page(results, lambda path: None)}
    seen = visit(required_browser(), {**files, **matrix}, tmp_path)
    with subtests.test("pages load without network access and without errors"):
        assert seen["errors"] == []
        assert seen["requests"] == []
    with subtests.test("an event and its consumer link to each other"):
        visited = [seen["event"], seen["consumer"], seen["back"]]
        assert visited == ["OrderConfirmed.v2", "request_shipment", "OrderConfirmed.v2"]
    with subtests.test("the map shows the consumers of an event"):
        event = system.events["OrderConfirmed.v2"]
        ends = [*event.consumers, *(way.end.path for way in system.everything)]
        assert sorted(seen["highlighted"]) == sorted([event.name, end] for end in ends)
    with subtests.test("the search finds a function by words"):
        assert seen["found"] == "release_closed_order"
    with subtests.test("the dark theme stays on the next page"):
        assert seen["dark"]
    with subtests.test("no content overflows a narrow window"):
        assert seen["overflowing"] == []
