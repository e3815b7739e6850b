"""A shell for the commands of documents, without network access."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cdk_rehearsal import Rehearsal
from tests.support.aws_server import CLIENT
from tools.catalogue.prose import BLOCK
from workspace.isolation import PROJECT

SHELLS = [shell for shell in ("sh", "bash", "zsh") if shutil.which(shell)]


def inline(text: str) -> list[str]:
    """The inline code of a document: texts in backticks on one line."""
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))


# Stand-ins for programs. They use no network and do not change the project.
CURL = """
import argparse, sys, urllib.error, urllib.request
parser = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
parser.add_argument("url")
parser.add_argument("-s", "-S", "-sS", action="store_true")
parser.add_argument("-X", default="GET")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-d")
options = parser.parse_args()
headers = dict(header.split(": ", 1) for header in options.H)
body = options.d.encode() if options.d else None
request = urllib.request.Request(options.url, body, headers, method=options.X)
try:
    print(urllib.request.urlopen(request, timeout=60).read().decode())
except urllib.error.HTTPError as error:
    print(error.read().decode())
"""


def lay_out(tmp_path: Path) -> Path:
    """Prepares a folder in which commands work as in a clone after `make setup`."""
    programs = {
        "bin/aws": f'exec "{sys.executable}" -m tests.support.aws_cli "$@"',
        "bin/curl": f'exec "{sys.executable}" "{tmp_path}/curl.py" "$@"',
        # `make` checks the target but runs no recipe.
        "bin/make": f'exec "{shutil.which("make")}" -n -C "{PROJECT}" -o setup "$@"',
        "bin/sleep": f'exec "{shutil.which("sleep")}" 0.4',
        ".venv/bin/python": f'exec "{sys.executable}" "$@"',
    }
    for name, text in programs.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    (tmp_path / "curl.py").write_text(CURL)
    return tmp_path


def started(
    desk: Path, shell: str, script: str, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Runs a script in a shell that stops at the first failed command or unset variable."""
    path = os.pathsep.join([str(desk / "bin"), "/usr/bin", "/bin"])
    return subprocess.Popen(
        [str(shutil.which(shell)), "-euc", script],
        cwd=desk,
        env={"PATH": path, "HOME": str(desk), "PYTHONPATH": str(PROJECT), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(desk: Path, shell: str, script: str, **environment: str) -> str:
    with started(desk, shell, script, environment) as process:
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, f"{script}\n{out}\n{errors}"
    return out


# Writes its arguments to a file, and prints a placeholder if it is asked for text.
RECORDER = """#!/bin/sh
{ printf '%s\\0' "$@"; printf '\\001\\0'; } >> aws.log
case " $* " in *" --output text "*) echo NAME ;; esac
"""
# Compiles what it would run: no stand-in for AWS is behind it.
COMPILER = """
import importlib.util, sys
kind, what = sys.argv[1:3]
if kind == "-m":
    sys.exit(importlib.util.find_spec(what) is None)
compile(what, "a document", "exec")
"""


def recorded(desk: Path, script: str) -> list[list[str]]:
    """Run a script and return the arguments of its `aws` commands, none of which is executed."""
    (desk / "bin/aws").write_text(RECORDER)
    (desk / "python.py").write_text(COMPILER)
    python = f'exec "{sys.executable}" "{desk}/python.py" "$@"'
    (desk / ".venv/bin/python").write_text(f"#!/bin/sh\n{python}\n")
    with started(desk, "sh", script, {}) as process:
        out, errors = process.communicate(timeout=120)
    # An unset variable within `$(…)` ends only the inner shell, with a message.
    assert (process.returncode, errors) == (0, ""), f"{script}\n{out}\n{errors}"
    commands = (desk / "aws.log").read_text().split("\001\0")
    return [command.split("\0")[:-1] for command in commands[:-1]]


@contextmanager
def aws_commands() -> Iterator[str]:
    """Serves the stand-in for the AWS CLI; returns the path of its socket."""
    # A short path: that of a socket has about a hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="aws-") as directory:
        socket = f"{directory}/cli"
        module = [sys.executable, "-m", "tests.support.aws_server", socket]
        with subprocess.Popen(module, cwd=PROJECT) as server:
            try:
                while not Path(socket).exists():
                    assert server.poll() is None, "the server of the AWS CLI has ended"
                    threading.Event().wait(0.02)
                yield socket
            finally:
                server.kill()


class Shell:
    """A shell in which one block of commands follows the other, beside a running rehearsal.

    It stops at the first failed command or unset variable. Its `aws` is served at a socket: see
    `aws_commands`.
    """

    def __init__(self, desk: Path, shop: Rehearsal, socket: str) -> None:
        self._shop = shop
        (desk / "aws.py").write_text(CLIENT)
        client = f'exec "{sys.executable}" -I -S "{desk}/aws.py" "{socket}" "$@"'
        (desk / "bin/aws").write_text(f"#!/bin/sh\n{client}\n")
        self._output = desk / "output.txt"
        self._blocks = 0
        path = os.pathsep.join([str(desk / "bin"), "/usr/bin", "/bin"])
        self._process = subprocess.Popen(
            ["/bin/sh", "-eu"],
            cwd=desk,
            env={
                "PATH": path,
                "HOME": str(desk),
                "PYTHONPATH": str(PROJECT),
                "AWS_ENDPOINT_URL": shop.serve(),
                "AWS_DEFAULT_REGION": shop.region,
                "AWS_ACCESS_KEY_ID": "operator",
                "AWS_SECRET_ACCESS_KEY": "secret",
            },
            stdin=subprocess.PIPE,
            stdout=self._output.open("w"),
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, block: str) -> str:
        """Runs commands and returns what they print, errors included."""
        assert self._process.stdin is not None
        self._blocks += 1
        end = f"--- end of block {self._blocks}\n"
        before = len(self._output.read_text())
        # Not time.sleep, which would let virtual time pass.
        pause = threading.Event()
        self._process.stdin.write(f"{block}\nprintf '%s' '{end}'\n")
        self._process.stdin.flush()
        while not (printed := self._output.read_text()[before:]).endswith(end):
            assert self._process.poll() is None, f"{block}\n{printed}"
            # Hardly faster than real time: alarms return within minutes.
            self._shop.run_for(0.05)
            pause.wait(0.02)
        return printed.removesuffix(end)

    def close(self) -> None:
        """Ends the shell."""
        self._process.communicate()

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def beside(shop: Rehearsal, process: subprocess.Popen[str], *, status: int | None = 0) -> str:
    """Keeps a rehearsal running until a process ends; returns the output of the process.

    Asserts that it ends with a status, unless that is None.
    """
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.extend(process.communicate()))
    reader.start()
    while reader.is_alive():
        shop.run_for(0.5)
        reader.join(0.02)
    out, errors = printed
    assert status in (None, process.returncode), f"{out}\n{errors}"
    return out
