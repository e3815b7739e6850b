"""The cloud assembly of another release, synthesized with its own code."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cdk_rehearsal import RehearsalError
from stacks.environment import Shift
from tools.contracts.review import ReviewError, unpack
from workspace.isolation import PROJECT

_KEPT = PROJECT / ".build" / "upgrade"
_FOREIGN = ("PYTHON", "PYTEST_", "GIT_")
_LIBRARIES = "requirements-dev.txt"
_UNKNOWN_OPTION = "unrecognized arguments: "


@dataclass(frozen=True)
class Base:
    """A release to upgrade from."""

    commit: str
    assembly: Path
    has_other_libraries: bool
    """Whether its lock file differs from that of this tree, whose libraries it runs with."""


def base_of(revision: str, stage: str, bus: str | None, shift: Shift | None) -> Base:
    """Returns a release, synthesized at the first call. Its handlers run on this machine.

    Without a bus or a shift, it has those of the stage. A release that does not know kinds of buses
    or shifts is synthesized with the only one that it has. Raises ReviewError or RehearsalError if
    there is no such revision, or if it cannot be synthesized.
    """
    commit = _commit(revision)
    tree = _KEPT / commit[:12]
    if not (tree / "app.py").is_file():
        tree.mkdir(parents=True, exist_ok=True)
        unpack(commit, tree)
    out = tree / "assemblies" / f"{bus or 'own'}-{shift or 'own'}"
    if not (out / stage / "manifest.json").is_file():
        _synthesize(tree, out, stage, bus, shift)
    ours, theirs = ((each / _LIBRARIES).read_bytes() for each in (PROJECT, tree))
    return Base(commit, out / stage, ours != theirs)


def _commit(revision: str) -> str:
    asked = ["git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"]
    done = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReviewError(
            f'there is no revision "{revision}" here: name a branch, tag or commit, as in '
            "BASE=main; a shallow clone needs `git fetch --unshallow` first"
        )
    return done.stdout.strip()


def _synthesize(tree: Path, out: Path, stage: str, bus: str | None, shift: Shift | None) -> None:
    command = [sys.executable, "-m", "stacks.synthesis", "--stage", stage, "--out", str(out)]
    command += ["--target", "host", "--no-validation"]
    given = {"--shift": shift, "--bus": bus}
    options = [[name, value] for name, value in given.items() if value]
    done = _run([*command, *chain(*options)], tree)
    if _UNKNOWN_OPTION in done.stderr:
        unknown = done.stderr.partition(_UNKNOWN_OPTION)[2].split()
        done = _run([*command, *chain(*(each for each in options if each[0] not in unknown))], tree)
    if not (out / stage / "manifest.json").is_file():
        raise RehearsalError(
            f"the release in {tree} cannot be synthesized with the libraries that are installed "
            f"here: name a later one\n{(done.stderr or done.stdout).strip()}"
        )


def _run(command: list[str], tree: Path) -> "subprocess.CompletedProcess[str]":
    environment = _environment(os.environ)
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def _environment(shell: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in shell.items() if not name.startswith(_FOREIGN)}
