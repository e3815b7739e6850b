"""Commands of `make` see only the variables that workspace/isolation.py allows."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import PAGES
from workspace.isolation import PROJECT

PROGRAMS = PROJECT / ".venv/bin"
MAKEFILE = (PROJECT / "Makefile").read_text()
# Recipes that need the machine's environment, with the reason.
UNISOLATED = {
    "workspace/install.py": "reads the user's package sources, and filters the environment itself",
    "workspace.strangers": "searches for the Pythons of this machine",
    "-m venv .build/uv": "compiles lock files from the user's index",
    "-m pip install -qq $(UV)": "compiles lock files from the user's index",
    ".build/uv/bin/uv": "compiles lock files from the user's index",
}


def recipes() -> Iterator[str]:
    """The lines of all recipes, joined with their continuations."""
    for line in re.sub(r"\\\n\s*", " ", MAKEFILE).splitlines():
        if line.startswith("\t"):
            yield line.strip()


def starts_of_tools() -> list[str]:
    """The lines of recipes that start Python or a tool."""
    return [
        line for line in recipes() if re.search(r"\$\((RUN|ACCOUNT|CDK)\)|\.venv/bin|python", line)
    ]


@pytest.mark.parametrize("line", starts_of_tools())
def test_each_recipe_starts_its_tools_through_the_isolation(line: str) -> None:
    if not any(known in line for known in UNISOLATED):
        rest = re.sub(r"\$\((RUN|ACCOUNT|CDK)\) (\S+)", "", line)
        assert not re.search(r"\.venv/bin|\bpython|\b(ruff|mypy|node|npm) ", rest), line


STARTED = sorted({*re.findall(r"\$\((?:RUN|ACCOUNT)\) ([\w./-]+)", "\n".join(recipes()))})
SHOWN = sorted(
    {
        name
        for path, text in PAGES.items()
        if not path.startswith("packages/")
        for name in re.findall(r"\.venv/bin/([\w-]+)", text)
    }
)


@pytest.mark.parametrize("tool", STARTED)
def test_each_tool_of_a_recipe_is_installed(tool: str) -> None:
    assert tool == "node" or (PROJECT / tool).exists() or (PROGRAMS / tool).exists()


@pytest.mark.parametrize("tool", SHOWN)
def test_each_tool_that_a_document_starts_is_installed(tool: str) -> None:
    assert (PROGRAMS / tool).exists()


def test_recipes_were_found() -> None:
    assert {"python", "ruff", "mutmut"} <= {*STARTED}
    assert "python" in SHOWN
    assert len(starts_of_tools()) > 20
    assert "RUN := .venv/bin/python -I workspace/isolation.py\n" in MAKEFILE
    assert "ACCOUNT := $(RUN) --account\n" in MAKEFILE
    assert "CDK := $(ACCOUNT) node " in MAKEFILE
    assert "PARITY = $(RUN) " in MAKEFILE


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that set-up reads, without workspace/install.py, which would install 1 GB."""
    for name in ("Makefile", "requirements-dev.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def made(clone: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Returns set-up's output; the stand-in for the installation prints its interpreter."""
    (clone / "workspace").mkdir()
    (clone / "workspace" / "install.py").write_text("import sys; print(sys.argv[1:], sys.version)")
    return subprocess.run(
        ["make", ".venv/.stamp", *arguments],
        cwd=clone,
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def python(directory: Path, name: str, version: tuple[int, int]) -> Path:
    """Creates a program that pretends to be a version of Python."""
    directory.mkdir(exist_ok=True)
    program = directory / name
    too_old = int(version < (3, 11))
    program.write_text(
        f'#!/bin/sh\nif [ "$2" = -c ]; then echo {version[0]}.{version[1]}.0; exit {too_old}; fi\n'
        f'echo "{name} runs $*"\n'
    )
    program.chmod(0o755)
    return program


class TestPython:
    def test_the_first_new_enough_python_is_used(self, clone: Path) -> None:
        programs = clone / "programs"
        python(programs, "python3", (3, 9))
        python(programs, "python3.12", (3, 12))
        done = made(clone, PATH=f"{programs}:/usr/bin:/bin")
        assert done.stdout == "python3.12 runs -I workspace/install.py python\n", done.stderr

    def test_the_named_python_is_used(self, clone: Path) -> None:
        named = python(clone / "my programs", "python3.13", (3, 13))
        done = made(clone, f"PYTHON={named}")
        assert done.stdout == "python3.13 runs -I workspace/install.py python\n", done.stderr

    def test_a_named_python_that_is_too_old_is_an_error(self, clone: Path) -> None:
        named = python(clone / "programs", "python3.9", (3, 9))
        done = made(clone, f"PYTHON={named}")
        assert done.returncode != 0
        assert f"error: {named} is not Python 3.11 or newer" in done.stderr

    def test_an_invalid_python_variable_of_the_shell_is_ignored(self, clone: Path) -> None:
        done = made(clone, PYTHON="/nonexistent/python2")
        assert done.returncode == 0
        assert "python" in done.stdout

    def test_a_missing_python_is_an_error_with_the_remedy(self, clone: Path) -> None:
        programs = clone / "programs"
        python(programs, "python3", (3, 9))
        for tool in ("sh", "awk"):
            (programs / tool).symlink_to(shutil.which(tool) or "")
        make = shutil.which("make") or ""
        done = subprocess.run(
            [make, ".venv/.stamp"],
            cwd=clone,
            env={"PATH": str(programs)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "Python 3.11 or newer" in done.stderr
        assert "make PYTHON=" in done.stderr
