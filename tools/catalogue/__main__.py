"""`make catalogue`: writes the site anew and says where to open it."""

import sys

from cdk_rehearsal import Assembly
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.catalogue.files import write
from tools.catalogue.graphviz import LayoutError
from tools.catalogue.links import dead_links
from tools.catalogue.reading import PROJECT, read
from tools.catalogue.site import render

STAGE = "prod"
"""Whose bounds and retention are shown."""

ROOT = "docs/catalogue"


def main() -> None:
    """Read the templates of the stage that the catalogue shows, and write its pages."""
    print(f"Synthesizing stage {STAGE}")
    try:
        files = render(read(Assembly(host_assembly(STAGE)), stage=STAGE))
    except (LayoutError, PackagingError, SynthesisError) as error:
        sys.exit(f"error: {error}")
    dead = [*dead_links(files, project=PROJECT, root=ROOT)]
    if dead:
        sys.exit("error: " + "\n".join(dead))
    write(files, PROJECT / ROOT)
    print(f"{len(files)} files. Open {(PROJECT / ROOT / 'index.html').as_uri()}")


if __name__ == "__main__":
    main()
