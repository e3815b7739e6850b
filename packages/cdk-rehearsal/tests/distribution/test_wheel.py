"""The built wheel: what is in it, and that every code block of the README works with it alone."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cdk_rehearsal import __version__
from distribution import wheel
from distribution.synthesis import GREENHOUSE, PACKAGE, node_variables

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"http://127\.0\.0\.1:\d+")


class Reader:
    """Follows the README in a copy of the sample application."""

    def __init__(self, directory: Path, bin_: Path, environ: dict[str, str]) -> None:
        self.directory = directory
        self.environ = {**environ, "PATH": f"{bin_}{os.pathsep}{environ['PATH']}"}
        self.served: subprocess.Popen[str] | None = None
        self.ports: dict[str, str] = {}

    def follow(self, language: str, text: str) -> None:
        """Does what a code block says."""
        if language == "python":
            self.write(text)
        elif text.startswith("$ rehearse run"):
            self.serve(text)
        elif language == "console":
            self.run(text)
        else:
            assert language == "", f"no such language: {language}"

    def write(self, text: str) -> None:
        """Writes a file: the comment in its first line names it, and perhaps where it belongs."""
        name, _, place = text.splitlines()[0].removeprefix("# ").partition(", before ")
        file = self.directory / name
        file.parent.mkdir(exist_ok=True)
        if place:
            before, found, after = file.read_text().partition(place)
            assert found
            text = f"{before}{text}{found}{after}"
        file.write_text(text)

    def run(self, text: str) -> None:
        """Runs commands, and compares what they print; `…` stands for anything."""
        for was, now in self.ports.items():
            text = text.replace(was, now)
        status = 0
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            if command == "echo $?":
                assert expected == f"{status}\n"
                status = 0
                continue
            assert status == 0, f"the command before {command} failed"
            done = self._sh(command)
            status = done.returncode
            pattern = "(.|\n)*".join(map(re.escape, expected.strip().split("…")))
            said = done.stdout.strip()
            assert not expected or re.fullmatch(pattern, said), f"{command}:\n{said}"
            last = f"{command}:\n{said}"
        assert status == 0, last

    def serve(self, text: str) -> None:
        """Starts a server, and maps the URLs in the block to those that it prints."""
        command, *expected = text.removeprefix("$ ").splitlines()
        self.served = subprocess.Popen(
            command.split(),
            cwd=self.directory,
            env=self.environ,
            executable=shutil.which(command.split()[0], path=self.environ["PATH"]),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.served.stdout is not None
        for line in expected:
            said = self.served.stdout.readline().rstrip("\n")
            assert PORT.sub("", said) == PORT.sub("", line)
            self.ports.update(zip(PORT.findall(line), PORT.findall(said), strict=True))

    def close(self) -> None:
        """Interrupts the server."""
        if self.served is not None:
            with self.served as process:
                assert process.stdout is not None
                assert any(
                    "Greenhouse/Cooling → Greenhouse/Vent" in line for line in process.stdout
                )
                process.terminate()
            assert process.returncode == 0

    def _sh(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.directory,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    return wheel.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the dependencies of the wheel."""
    return wheel.environment(tmp_path_factory.mktemp("environment"))


def environ(wheels: Path) -> dict[str, str]:
    """Returns the variables of a reader without a network, to whom pip offers this wheel."""
    return {
        **os.environ,
        **node_variables(),
        # The library's own checks take seconds, and are not under test. Plug-ins run all the same.
        "CDK_VALIDATION": "false",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def cdk() -> Path:
    """Returns the CDK command line that is installed beside the package."""
    for folder in PACKAGE.parents:
        command = folder / "node_modules" / "aws-cdk" / "bin" / "cdk"
        if command.exists():
            return command
    pytest.skip("the CDK command line is not installed: npm install aws-cdk")


@pytest.fixture
def reader(built: Path, environment: Path, tmp_path: Path) -> Iterator[Reader]:
    directory = shutil.copytree(GREENHOUSE, tmp_path / "greenhouse")
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "cdk").write_text(f'#!/bin/sh\nexec node "{cdk()}" "$@"\n')
    (commands / "cdk").chmod(0o755)
    variables = environ(built.parent)
    variables["PATH"] = f"{commands}{os.pathsep}{variables['PATH']}"
    reader = Reader(directory, environment / "bin", variables)
    yield reader
    reader.close()


def test_every_code_block_of_the_readme_works_with_the_wheel_alone(reader: Reader) -> None:
    blocks = BLOCK.findall((PACKAGE / "README.md").read_text())
    assert len(blocks) > 15
    for language, text in blocks:
        reader.follow(language, text)


def test_the_wheel_holds_all_modules_and_says_that_it_is_typed(built: Path) -> None:
    source = PACKAGE / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(built) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        said = archive.read(metadata).decode()
    assert found == expected
    assert "cdk_rehearsal/py.typed" in found
    assert f"\nVersion: {__version__}\n" in said
    assert "License-Expression: Apache-2.0" in said


def test_the_changelog_names_the_version() -> None:
    assert f"\n## {__version__} " in (PACKAGE / "CHANGELOG.md").read_text()


def test_nothing_but_the_wheel_brings_the_package(built: Path, tmp_path: Path) -> None:
    """Without it, or with a wheel that lacks a module, the README could not be followed."""
    incomplete = tmp_path / "incomplete" / built.name
    incomplete.parent.mkdir()
    with zipfile.ZipFile(built) as whole, zipfile.ZipFile(incomplete, "w") as archive:
        for name in whole.namelist():
            if name != "cdk_rehearsal/forks.py":
                archive.writestr(name, whole.read(name))
    python = wheel.environment(tmp_path / "environment") / "bin" / "python"

    def said(*arguments: str) -> str:
        done = subprocess.run(
            [python, *arguments],
            cwd=tmp_path,
            env=environ(incomplete.parent),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    for name in ("cdk_rehearsal", "rehearsal", "tests", "stacks", "lambdas", "tools", "workspace"):
        assert f"No module named '{name}'" in said("-c", f"import {name}")
    assert "Successfully installed" in said("-m", "pip", "install", "cdk-rehearsal")
    assert "No module named 'cdk_rehearsal.forks'" in said(
        "-c", "import cdk_rehearsal.pytest_plugin"
    )


def imported(*folders: str) -> dict[str, set[str]]:
    """Returns the files that import each top-level module, except the standard library's."""
    found: dict[str, set[str]] = {}
    for file in (each for folder in folders for each in (PACKAGE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(file.name)
    return {name: files for name, files in found.items() if name not in sys.stdlib_module_names}


def test_every_import_is_of_a_declared_dependency() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    declared = {
        canonicalize_name(Requirement(each).name)
        for each in chain(project["dependencies"], *extras)
    }
    brought = packages_distributions()
    undeclared = {
        name: files
        for name, files in imported("src").items()
        if name != "cdk_rehearsal"
        and declared.isdisjoint(map(canonicalize_name, brought.get(name, ())))
    }
    assert undeclared == {}


def test_tests_and_examples_import_nothing_from_outside_the_package() -> None:
    own = {"cdk_rehearsal", *(each.stem for each in (PACKAGE / "tests").iterdir())}
    foreign = imported("tests", "examples").keys() - own - packages_distributions().keys()
    assert foreign == set()
