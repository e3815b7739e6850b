"""The built files of the console's page are those of its sources."""

import subprocess
from pathlib import Path

from stacks.constructs.packaging import node
from workspace.isolation import PROJECT

PACKAGE = PROJECT / "packages/cdk-rehearsal"
STATIC = PACKAGE / "src/cdk_rehearsal/console/static"


def test_the_tracked_files_are_a_build_of_the_sources(tmp_path: Path) -> None:
    script = PACKAGE / "page/build.mjs"
    done = subprocess.run(
        [node(), str(script), str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("console.js", "console.css"):
        built, tracked = (folder / name for folder in (tmp_path, STATIC))
        assert built.read_text() == tracked.read_text(), f"{name} is old: run `make page`"


def test_the_page_names_no_other_host() -> None:
    for file in STATIC.iterdir():
        addresses = file.read_text().split("//")[1:]
        # The names of XML's dialects are no addresses that anybody visits.
        assert all(each.startswith("www.w3.org/") for each in addresses), file.name
