"""`make deploy` and `make destroy` ask for approval, and stop if there is no terminal."""

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from workspace.isolation import PROJECT

STAGE = "nosuch"
"""A stage that does not exist: a command that reaches synthesis fails there."""
STOPPED = "there is no terminal to answer at"
WENT_ON = f"no stage '{STAGE}'"


def make(*words: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE) -> str:
    """Runs a recipe that must fail; returns its error message."""
    # Without the variables of a make that runs these tests.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    command = ["make", "--no-print-directory", "-o", "setup", *words, f"STAGE={STAGE}"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("target", ["deploy", "destroy"])
@pytest.mark.parametrize("terminals", [(), (0,), (1,)], ids=["neither", "input", "output"])
@pytest.mark.parametrize("arguments", ["", "--concurrency 4", '--tags "a=b c"'])
def test_without_a_terminal_make_stops_and_suggests_an_option(
    target: str, terminals: tuple[int, ...], arguments: str
) -> None:
    reader, writer = pty.openpty()
    try:
        said = make(
            *(target, f"ARGS={arguments}"),
            stdin=writer if 0 in terminals else subprocess.DEVNULL,
            stdout=writer if 1 in terminals else subprocess.PIPE,
        )
    finally:
        os.close(reader)
        os.close(writer)

    assert STOPPED in said
    assert WENT_ON not in said


@pytest.mark.parametrize("target", ["deploy", "destroy"])
def test_the_suggested_option_is_accepted(target: str) -> None:
    said = make(target)

    suggested = re.search(r": (make .*)$", said, re.MULTILINE)
    assert suggested
    words = shlex.split(suggested[1])
    assert words[1:3] == [target, f"STAGE={STAGE}"]
    assert WENT_ON in make(target, words[3])


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("deploy", "--require-approval=broadening"),
        ("deploy", "--concurrency 4 --yes"),
        ("destroy", "-f --concurrency 4"),
    ],
)
def test_an_option_given_in_advance_is_accepted(target: str, arguments: str) -> None:
    assert WENT_ON in make(target, f"ARGS={arguments}")


@pytest.mark.parametrize("arguments", ["--force", "-f"])
def test_force_does_not_approve_a_deployment(arguments: str) -> None:
    """For the CDK, it means: deploy even if the template is unchanged."""
    assert STOPPED in make("deploy", f"ARGS={arguments}")


@pytest.mark.parametrize("target", ["diff", "deploy", "destroy", "release", "refactor"])
def test_a_stage_comes_from_the_command_line_and_never_from_the_shells_variables(
    target: str,
) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-o", "setup", target, "ARGS=--yes"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "STAGE": STAGE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"make {target} STAGE=" in done.stderr


def test_at_a_terminal_the_cdk_asks_for_approval_itself() -> None:
    reader, writer = pty.openpty()
    try:
        assert WENT_ON in make("deploy", stdin=writer, stdout=writer)
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("command", "options"),
    [("deploy", ("--require-approval", "--yes")), ("destroy", ("--force", "--yes"))],
)
def test_the_accepted_options_are_options_of_the_cdk(
    command: str, options: tuple[str, ...]
) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    said = subprocess.run(
        [PROJECT / "node_modules" / ".bin" / "cdk", command, "--help"],
        env={**os.environ, "PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    for option in options:
        assert f"  {option}" in said
    assert command != "deploy" or '"never"' in said
