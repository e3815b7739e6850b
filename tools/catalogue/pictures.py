"""Draws the pictures in docs/pictures: `make pictures`.

The event map follows from the code. The others show real runs, so they differ each time.
"""

import argparse
import os
import pty
import re
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cdk_rehearsal import Assembly
from stacks.constructs.packaging import node
from stacks.synthesis import host_assembly
from tools.catalogue.__main__ import STAGE
from tools.catalogue.browsers import ADVICE, browser
from tools.catalogue.reading import read
from tools.catalogue.site import event_map
from workspace.isolation import PROJECT

PICTURES = PROJECT / "docs/pictures"
_COLUMNS, _LINES = 66, 36
"""The size of the terminal: a line can be read on a phone."""
_REDRAWN = re.compile(r"(?:\r|\x1b\[2K|\x1b\[1A)+")
"""What moves the cursor back to draw the next frame over the last one."""
_FONT = re.compile(r"@font-face \{[^}]*\}\s*")


def draw_event_map() -> str:
    """Returns the map of all events and their consumers."""
    return event_map(read(Assembly(host_assembly(STAGE)), stage=STAGE))


def draw_demo() -> str:
    """Returns what `make demo` shows in the middle of its run."""
    shown = _REDRAWN.split(_recorded("tools.demo"))
    frames = [each for each in shown if each.startswith("\x1b[1mOrderflow")]
    return _terminal("make demo", frames[len(frames) // 5])


def draw_fault_matrix() -> str:
    """Returns what `make faults` shows for one consumer, without the explanations of `n/a`."""
    lines = _recorded("tools.faults", "--edge", "RunCheckout").splitlines()
    start, end, totals = (
        next(number for number, line in enumerate(lines) if line.startswith(mark))
        for mark in ("\x1b[3m", "   · ", "● ")
    )
    return _terminal("make faults", "\n".join([*lines[start:end], *lines[totals:]]))


def draw_console() -> bytes:
    """Returns a picture of the live page while the demo runs."""
    executable = browser()
    if executable is None:
        sys.exit(f"error: {ADVICE}")
    script = Path(__file__).with_name("console.mjs")
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tools.demo", "--stay"],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as demo,
    ):
        try:
            lines = iter(demo.stdout or ())
            url = next(line.strip() for line in lines if "http://127.0.0.1" in line)
            file = Path(folder, "console.png")
            done = subprocess.run([node(), script, executable, url, file], cwd=PROJECT, check=False)
        finally:
            demo.kill()
        if done.returncode:
            sys.exit("error: the browser could not draw the console")
        return file.read_bytes()


DRAWN: Mapping[str, Callable[[], str | bytes]] = {
    "console": draw_console,
    "event-map": draw_event_map,
    "demo": draw_demo,
    "fault-matrix": draw_fault_matrix,
}


def main(words: Sequence[str] | None = None) -> None:
    """Draw the named pictures, or all."""
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(DRAWN)}")
    for name in parser.parse_args(words).names or DRAWN:
        if name not in DRAWN:
            parser.error(f"there is no picture {name!r}: choose from {', '.join(DRAWN)}")
        drawn = DRAWN[name]()
        if isinstance(drawn, bytes):
            file = PICTURES / f"{name}.png"
            file.write_bytes(drawn)
        else:
            file = PICTURES / f"{name}.svg"
            file.write_text(drawn, encoding="utf-8", newline="\n")
        print(file.relative_to(PROJECT))


def _recorded(*command: str) -> str:
    """Runs a module on a terminal of its own, and returns all that it writes."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (_LINES, _COLUMNS))
    settings = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    written = bytearray()
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env={**settings, "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
    ) as process:
        os.close(writer)
        try:
            while chunk := os.read(reader, 65_536):
                written += chunk
        except OSError:
            pass  # On Linux, the end of a terminal is an error.
    os.close(reader)
    text = written.decode().replace("\r\n", "\n")
    if process.returncode:
        sys.exit(f"error: `{' '.join(command)}` failed:\n{text[-2_000:]}")
    return text


def _terminal(title: str, text: str) -> str:
    """Returns a picture of a terminal. It loads no fonts, because pictures on GitHub cannot."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(width=_COLUMNS, record=True, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(text))
    return _FONT.sub("", console.export_svg(title=title, unique_id="picture"))


if __name__ == "__main__":
    main()
