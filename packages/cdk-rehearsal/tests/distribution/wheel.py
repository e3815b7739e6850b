"""A virtual environment with the built wheel and its dependencies, and nothing else."""

import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from distribution.synthesis import PACKAGE

_BUILD = "import sys; from flit_core.buildapi import build_wheel; print(build_wheel(sys.argv[1]))"


def build(outdir: Path, package: Path = PACKAGE) -> Path:
    """Builds the wheel of a package, without a network."""
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, outdir],
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return outdir / done.stdout.split()[-1]


def link(names: Iterable[str], directory: Path) -> None:
    """Links the files and folders of these installed distributions into a directory."""
    for name in sorted(names):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            source, shown = Path(str(found.locate_file(top))), directory / top
            if not shown.exists():
                shown.symlink_to(source)
            elif shown.is_dir() and shown.resolve() != source.resolve():
                raise ValueError(f"{name} shares the folder {top} with another distribution")


def environment(directory: Path) -> Path:
    """Makes a virtual environment that sees the installed dependencies of the package, and pip.

    Each distribution is linked file by file or folder by folder. So nothing else that is installed
    here can be imported there, least of all the sources of the package.
    """
    venv.create(directory, symlinks=True)
    python = directory / "bin" / "python"
    shown = directory / "dependencies"
    shown.mkdir()
    link(_closure(), shown)
    (site,) = directory.glob("lib/python3.*/site-packages")
    (site / "dependencies.pth").write_text(f"{shown}\n")
    for command in ("pip", "pytest"):
        script = directory / "bin" / command
        script.write_text(f'#!/bin/sh\nexec "{python}" -m {command} "$@"\n')
        script.chmod(0o755)
    return directory


def _closure() -> set[str]:
    """Returns the names of all distributions that the package needs, and of pip."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    waiting = [Requirement(text) for text in ("pip", *project["dependencies"], *chain(*extras))]
    done: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in done:
                continue
            done.add((name, extra))
            needed = map(Requirement, distribution(name).requires or ())
            waiting += [
                each
                for each in needed
                if each.marker is None or each.marker.evaluate({"extra": extra})
            ]
    return {name for name, _ in done}
