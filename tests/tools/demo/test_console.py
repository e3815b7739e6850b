"""Consoles cut no text in pipes, terminals and locales of all kinds."""

import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest
from rich.console import Console

from tools.demo.cli import _display
from tools.demo.console import grid, open_console, show_table
from tools.demo.display import Display, LiveDisplay
from tools.faults.report import MARKS

SETTINGS = ("COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
CELL = "a-word " * 60


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def pipe(encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def text_in(stream: io.TextIOWrapper) -> str:
    stream.flush()
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode(stream.encoding)


@contextmanager
def terminal(width: int, height: int) -> Iterator[TextIO]:
    """Opens a terminal of this size."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    try:
        with (
            os.fdopen(writer, "w", encoding="utf-8") as stream,
            pytest.MonkeyPatch.context() as here,
        ):
            here.setattr("rich.console._STD_STREAMS", (writer,))
            yield stream
    finally:
        os.close(reader)


def show(console: Console) -> None:
    table = grid("Title", "what", "text")
    table.add_row("row", CELL)
    show_table(console, table)


def test_pipe_is_as_wide_as_its_content_even_next_to_a_terminal() -> None:
    stream = pipe()
    show(open_console(stream))

    assert CELL.strip() in text_in(stream)
    assert "\x1b" not in text_in(stream)


@pytest.mark.parametrize("columns", ["80", "40", "1", "0", "", "wide", "-5", "²"])
def test_pipe_obeys_columns_if_it_is_a_number_and_drops_nothing(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    stream = pipe()
    show(open_console(stream))

    text = text_in(stream)
    assert text.count("a-word") == 60
    longest = max(len(line.rstrip()) for line in text.splitlines())
    assert longest <= {"80": 80, "40": 40, "1": 20}.get(columns, 1_000)
    assert columns in {"80", "40", "1"} or longest > 400


@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({}, 100),
        ({"COLUMNS": "70"}, 70),
        ({"COLUMNS": "0"}, 80),
        ({"COLUMNS": "none"}, 80),
        ({"TERM": "dumb"}, 80),
        ({"TERM": "dumb", "COLUMNS": "50"}, 50),
        ({"NO_COLOR": "1"}, 100),
    ],
    ids=str,
)
def test_terminal_is_as_wide_as_it_is(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], width: int
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with terminal(100, 50) as stream:
        assert open_console(stream).width == width


@pytest.mark.parametrize(
    ("width", "height", "settings", "kind"),
    [
        (80, 24, {}, LiveDisplay),
        (80, 24, {"NO_COLOR": "1"}, LiveDisplay),
        (80, 23, {}, Display),
        (59, 40, {}, Display),
        (40, 24, {}, Display),
        (120, 40, {"TERM": "dumb"}, Display),
        (120, 40, {"TTY_COMPATIBLE": "0"}, Display),
    ],
    ids=str,
)
def test_live_display_needs_a_large_enough_terminal(
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    height: int,
    settings: dict[str, str],
    kind: type[Display],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with terminal(width, height) as stream:
        assert type(_display(open_console(stream))) is kind


def test_pipe_has_no_live_display_even_with_forced_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert type(_display(open_console(pipe()))) is Display


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252", "utf-8"])
def test_marks_differ_and_no_text_is_lost_in_any_encoding(encoding: str) -> None:
    marks = [mark for mark, _ in MARKS.values()]
    stream = pipe(encoding)
    console = open_console(stream)
    for line in (*marks, "✓", "✗", "a → b … c", "Zoë 王 🎁 [bold] :warning:"):
        console.print(line)

    *shown, tick, cross, way, name = text_in(stream).splitlines()
    assert len(set(shown)) == len(marks)
    assert all(len(mark) == 1 for mark in shown)
    assert tick != cross
    assert way in {"a → b … c", "a > b … c", "a > b ... c"}
    back = name if encoding == "utf-8" else name.encode(encoding).decode("unicode_escape")
    assert back == "Zoë 王 🎁 [bold] :warning:"
