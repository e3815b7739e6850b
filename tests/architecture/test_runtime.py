"""The scripts find the Lambda runtime's Python, or report that it is not available."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacks.constructs.packaging import contexts
from workspace.isolation import PROJECT

# The programs that the scripts need before they look for a Python: neither apt nor Python.
TOOLS = ("basename", "bash", "dirname", "env", "sh")


@dataclass
class Machine:
    """A simulated machine with few tools, and a folder with the scripts."""

    folder: Path

    def has(self, command: str, script: str) -> Path:
        """Creates a command on the machine's PATH, or elsewhere in the folder."""
        path = self.folder / (command if "/" in command else f"bin/{command}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a script on the machine."""
        name, *arguments = command
        environment: Mapping[str, str] = {"PATH": str(self.folder / "bin")}
        return subprocess.run(
            [str(self.folder / name), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any Python."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    shutil.copytree(PROJECT / ".ci", tmp_path / ".ci")
    for context in [*contexts(), "eventing"]:
        package = tmp_path / "lambdas" / context / "__init__.py"
        package.parent.mkdir(parents=True)
        package.touch()
    return Machine(tmp_path)


def set_up(machine: Machine, python: str, *, lambdas: bool = False) -> None:
    """Sets the project up with a version of Python; Lambda's version is 9.9."""
    answers = f"*install.py*check) exit {int(not lambdas)} ;; *PYTHON_VERSION*) echo 9.9"
    tests = '*pytest*) echo "$@"'
    machine.has(
        ".venv/bin/python", f'case "$*" in {answers} ;; {tests} ;; *) echo {python} ;; esac'
    )
    if lambdas:
        machine.has(".build/runtime/bin/python", 'if [ "$1" = -m ]; then echo "$@"; fi')


def test_a_python_on_the_path_is_used(machine: Machine) -> None:
    python = machine.has("python9.9", f'exec "{sys.executable}" "$@"')
    done = machine.run(".ci/python", "9.9")
    assert (done.returncode, done.stdout) == (0, f"{python}\n"), done.stderr


@pytest.mark.parametrize("there", ["none", "one without venv"])
def test_a_missing_python_is_an_error_that_says_where_the_script_looked(
    machine: Machine, there: str
) -> None:
    if there == "one without venv":
        machine.has("python9.9", "exit 1")
    done = machine.run(".ci/python", "9.9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no Python 9.9: none on the PATH has venv, and this is not Debian\n"


def test_without_the_runtimes_python_the_tests_run_here_and_that_is_reported(
    machine: Machine,
) -> None:
    set_up(machine, "3.11")
    done = machine.run(".ci/runtime")
    assert done.returncode == 0, done.stderr
    skipped, tests, command = done.stdout.splitlines()
    assert skipped == "SKIPPED: the tests on Lambda's Python 9.9. They run on Python 3.11"
    assert tests == "Tests of the classic bus on Python 3.11"
    assert "-m pytest" in command
    assert "no Python 9.9" in done.stderr


def test_the_classic_bus_is_tested_here_if_this_is_the_runtimes_python(machine: Machine) -> None:
    set_up(machine, "9.9")
    done = machine.run(".ci/runtime")
    assert done.returncode == 0, done.stderr
    tests, command = done.stdout.splitlines()
    assert tests == "Tests of the classic bus on Python 9.9"
    assert "--bus classic" in command


def test_deployed_code_is_tested_on_the_runtimes_python(machine: Machine) -> None:
    set_up(machine, "3.11", lambdas=True)
    done = machine.run(".ci/runtime", "-k", "twice")
    assert done.returncode == 0, done.stderr
    command = done.stdout.splitlines()[-1].split()
    assert command[:2] == ["-m", "pytest"]
    assert "--bus classic" in " ".join(command)
    assert command[-2:] == ["-k", "twice"]
    tests = {argument for argument in command if argument.startswith("tests/")}
    assert tests >= {"tests/api", "tests/flows", "tests/eventing"}
    assert tests >= {f"tests/{context}" for context in contexts()}
    ignored = {each.partition("=")[2] for each in command if each.startswith("--ignore=")}
    assert all((PROJECT / test).exists() for test in tests | ignored), (tests, ignored)
