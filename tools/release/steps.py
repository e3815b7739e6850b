"""The steps of a release, each a target of the Makefile, and the errors that they end with."""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workspace.isolation import PROJECT

_OUTER = ("ARGS", "BASE", "ENDPOINT", "STAGE")
"""Variables of the `make` that started the release: an inner `make` gets its own."""


class ReleaseError(Exception):
    """The release ended early; the message says where, why, and what to do."""


@dataclass(frozen=True)
class Step:
    """A target of the Makefile, for a stage."""

    target: str
    stage: str
    variables: tuple[str, ...] = ()
    """As in `BASE=v1.0.0`."""

    def __str__(self) -> str:
        """The command line as a shell takes it."""
        return shlex.join(["make", self.target, *self._variables])

    @property
    def _variables(self) -> list[str]:
        return [f"STAGE={self.stage}", *self.variables]

    def run(self, tree: Path) -> None:
        """Runs the target in a tree and prints its time. Raises ReleaseError if it fails."""
        say(str(self))
        started = time.monotonic()
        command = ["make", "--no-print-directory", self.target, *self._variables]
        done = subprocess.run(command, cwd=tree, env=_environment(), check=False)
        took = f"{time.monotonic() - started:.0f} s"
        if done.returncode != 0:
            raise ReleaseError(
                f"`{self}` failed with exit code {done.returncode} after {took}: see its output"
            )
        say(f"{self.target}: done in {took}")


def review(stage: str, base: str) -> Step:
    """Returns the step that refuses lost data, refused deployments and broken clients."""
    return Step("review", stage, (f"BASE={base}", "ARGS=--exactly"))


def review_back(stage: str, base: str) -> Step:
    """Returns the step that refuses a roll back which would lose data or be refused."""
    return Step("review", stage, (f"BASE={base}", "ARGS=--exactly --back"))


def diff(stage: str) -> Step:
    """Returns the step that synthesizes, validates, and compares with the account."""
    return Step("diff", stage)


def deploy(stage: str) -> Step:
    """Returns the step that deploys; the review and the diff came before it."""
    return Step("deploy", stage, ("ARGS=--require-approval never",))


def smoke(stage: str) -> Step:
    """Returns the step that tests what is deployed."""
    return Step("smoke", stage)


def say(text: str) -> None:
    """Prints a line with the time of day in UTC, before the output of the next command."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


@contextmanager
def explained(consequence: str) -> Iterator[None]:
    """Adds a sentence about its consequence to a ReleaseError."""
    try:
        yield
    except ReleaseError as error:
        raise ReleaseError(f"{error}\n{consequence}") from error


def _environment() -> dict[str, str]:
    """Returns the variables for an inner `make`, which may belong to another tree."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OUTER and not name.startswith(("MAKE", "MFLAGS"))
    }
    # The other tree installs its own Python and Node.js.
    path = kept.get("PATH", os.defpath).split(os.pathsep)
    own = [each for each in path if not Path(each).is_relative_to(PROJECT)]
    return {**kept, "PATH": os.pathsep.join(own)}
