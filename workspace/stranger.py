"""Runs a command as on a bare machine, with Python, git and make but no other developer tools.

`python -I workspace/stranger.py COMMAND …` runs the command in this folder, with few environment
variables and an empty home folder, which must stay empty. Its PATH hides Node.js, Docker, the AWS
CLI and similar tools of this machine.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# As a script, this file does not find the package `workspace` otherwise.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from workspace.isolation import is_about_downloads

_HIDDEN = re.compile(
    r"(node|nodejs|npm|npx|corepack|yarn|yarnpkg|pnpm|bun|deno|cdk|aws|aws_completer|sam|localstack"
    r"|docker.*|podman.*|uv|uvx|pip.*|python.*|pyenv|poetry|conda|mypy|ruff|pytest|tsc|dot)"
)


@dataclass(frozen=True)
class Machine:
    """The environment variables and the home folder of a bare machine."""

    environ: dict[str, str]
    home: Path


@contextmanager
def bare_machine(python: str = sys.executable) -> Iterator[Machine]:
    """Simulates a machine with this one's programs, except the hidden ones, and with `python`."""
    with tempfile.TemporaryDirectory(prefix="machine-") as directory:
        Path(directory).chmod(0o755)
        home, programs = Path(directory, "home"), Path(directory, "bin")
        home.mkdir()
        programs.mkdir()
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            for program in sorted(Path(folder).glob("*")) if folder else ():
                link = programs / program.name
                if not link.is_symlink() and not _HIDDEN.fullmatch(program.name):
                    link.symlink_to(program)
        # A script, because with a link .venv would refer to this temporary folder.
        (programs / "python3").write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
        (programs / "python3").chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if is_about_downloads(name)}
        kept |= {name: os.environ[name] for name in ("CI", "CHROMIUM") if name in os.environ}
        yield Machine({**kept, "HOME": str(home), "PATH": str(programs)}, home)


def left_in(home: Path) -> list[str]:
    """Returns the paths of all files in a home folder that was empty before."""
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))


def run(command: Sequence[str], environ: Mapping[str, str], home: Path) -> int:
    """Runs a command; returns its exit code, or 1 if it has written into its home folder."""
    program = shutil.which(command[0], path=environ["PATH"])
    if program is None:
        sys.exit(f"error: {command[0]} is not on the PATH of a bare machine")
    done = subprocess.run([program, *command[1:]], env=dict(environ), check=False)
    if done.returncode == 0 and (left := left_in(home)):
        print(f"error: {' '.join(command)} has written into the home folder: {left}", flush=True)
        return 1
    return done.returncode


def main() -> None:
    """Runs the command on the command line on a bare machine."""
    with bare_machine() as machine:
        sys.exit(run(sys.argv[1:], machine.environ, machine.home))


if __name__ == "__main__":
    main()
