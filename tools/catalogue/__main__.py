"""Builds the catalogue in .build/catalogue and prints how to open it: `make catalogue`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cdk_rehearsal import Assembly
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.catalogue.files import write
from tools.catalogue.graphviz import LayoutError
from tools.catalogue.links import dead_links
from tools.catalogue.reading import read
from tools.catalogue.site import render
from workspace.isolation import PROJECT

STAGE = "prod"
"""The stage whose limits and retention periods the catalogue shows."""

ROOT = ".build/catalogue"
MATRIX = ".build/faults.html"
"""The page that `make faults` writes."""


def main(words: Sequence[str] | None = None) -> None:
    """Synthesize the stage that the catalogue shows, and write the catalogue's pages."""
    parser = argparse.ArgumentParser(prog="make catalogue", description=__doc__)
    parser.add_argument("--out", type=Path, default=PROJECT / ROOT, help="the folder to write to")
    parser.add_argument(
        "--source",
        default=f"{PROJECT.as_uri()}/",
        help="the address of the project's files, with a final slash; by default, this folder",
    )
    options = parser.parse_args(words)
    # The matrix is a page of this machine, so only a site that is read here links to it.
    local = options.source.startswith("file:") and (PROJECT / MATRIX).is_file()
    faults = (PROJECT / MATRIX).as_uri() if local else ""
    print(f"Synthesizing stage {STAGE}")
    try:
        system = read(Assembly(host_assembly(STAGE)), stage=STAGE)
        files = render(system, source=options.source, faults=faults)
    except (LayoutError, PackagingError, SynthesisError) as error:
        sys.exit(f"error: {error}")
    dead = [*dead_links(files, project=PROJECT, source=options.source)]
    if dead:
        sys.exit("error: " + "\n".join(dead))
    write(files, options.out)
    index = options.out.resolve() / "index.html"
    print(f"{len(files)} files in {options.out}. To open the first page in a browser:")
    print(f"  {sys.executable} -m webbrowser {index.as_uri()}")


if __name__ == "__main__":
    main()
