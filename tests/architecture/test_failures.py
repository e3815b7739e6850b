"""A failed test is always named with its message, even if a finalizer parses meanwhile."""

import subprocess
import sys
from pathlib import Path

import pytest

from workspace.isolation import PROJECT

# A finalizer that parses, as that of a jsii process that never started: it raises, and `traceback`
# parses the source line to format the error. Each finalizer creates the next one, and collections
# are frequent, so that every collection runs one.
FAILING = """
import ast
import gc

import pytest


class Garbage:
    def __init__(self):
        self.itself = self

    def __del__(self):
        ast.parse("parsed in a finalizer = 1".replace(" ", "_"))
        Garbage()


@pytest.mark.parametrize("number", range(4))
def test_that_fails(number):
    def the_stock_is_counted():
        gc.set_threshold(100, 1_000, 1_000)
        Garbage()
        assert number == "missing", f"the message of {number}"

    the_stock_is_counted()
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_failures_are_reported_even_if_finalizers_parse_during_their_formatting(
    tmp_path: Path, workers: int
) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING)

    said = _pytest(tmp_path, f"--numprocesses={workers}")

    for number in range(4):
        assert f"test_failing.py::test_that_fails[{number}]" in said
        assert f"AssertionError: the message of {number}" in said
    assert "4 failed" in said
    assert "INTERNALERROR" not in said


def _pytest(directory: Path, *options: str) -> str:
    """Returns pytest's output for the tests in a directory, with this project's settings."""
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "tests.conftest"]
    command += ["-p", "no:cacheprovider", *options, str(directory)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return done.stdout
