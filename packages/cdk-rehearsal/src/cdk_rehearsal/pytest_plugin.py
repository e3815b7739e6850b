"""A pytest plug-in: the fixture `rehearsal` gives each test its own copy of a running application.

For each combination of assembly, stage, seed and start, one process loads the application once, and
each test runs in a fork of it, with all its fixtures. These processes are forked before the first
test, so no fixture is shared between forks.

Tests run in pytest's own process, and load the application anew, with `--pdb`, with
`--no-rehearsal-forks`, on Windows, and if `getfixturevalue` requests the fixture.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.forks import Fork, forked
from cdk_rehearsal.selection import environment, select

if TYPE_CHECKING:
    from cdk_rehearsal import Rehearsal

_MARKER = """\
rehearsal(*, assembly, stage, seed, start): the application that the fixture `rehearsal` runs: the \
directory of a cloud assembly, relative to pytest's rootdir; a stage in it; the seed of all that \
is random; the virtual time at which it starts, a datetime with a time zone"""


@dataclass(frozen=True)
class _Settings:
    """An application and how it starts."""

    assembly: Path
    stage: str | None
    seed: int
    start: datetime | None

    def begin(self) -> Rehearsal:
        """Returns the rehearsal, not yet begun. Raises RehearsalError if there is no assembly."""
        from cdk_rehearsal import Rehearsal

        directory = select(self.assembly, self.stage)
        options: dict[str, Any] = environment(directory)
        if self.start is not None:
            options["start"] = self.start
        return Rehearsal(directory, seed=self.seed, **options)


class _Loaded:
    """A process that has loaded an application, and runs tests in forks of itself."""

    def __init__(self, settings: _Settings, session: pytest.Session) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, settings, session), daemon=True)
        with warnings.catch_warnings():
            # From version 3.12 on, Python warns of forks in a process with threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()

    def run(self, index: int) -> Fork[bytes]:
        """Runs the test at an index of the session; returns its reports, or the error."""
        try:
            self._connection.send(index)
            answer: Fork[bytes] = self._connection.recv()
        except (EOFError, OSError):
            return Fork(index, None, "the process with the loaded application has ended")
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()


_WAITING = pytest.StashKey[Counter[_Settings]]()
"""In the config: how many tests are still to run with each application."""
_PROCESSES = pytest.StashKey[dict[_Settings, _Loaded]]()
"""In the config: the processes that run tests."""
_REHEARSAL = pytest.StashKey["Rehearsal"]()
"""In the config of such a process: its rehearsal."""
_INDEX = pytest.StashKey[int]()
_SETTINGS = pytest.StashKey[_Settings]()

_forked: dict[str, list[tuple[str, Any]]] = {}
"""In a fork: the reports and warnings of its test, by the id of the test. Elsewhere empty."""


@pytest.fixture
def rehearsal(request: pytest.FixtureRequest) -> Iterator[Rehearsal]:
    """The application at work: a copy for this test alone, in virtual time."""
    loaded = request.config.stash.get(_REHEARSAL, None)
    if loaded is not None:
        yield loaded
        return
    with _settings(request.node).begin() as begun:
        yield begun


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options and settings."""
    group = parser.getgroup("rehearsal", "rehearsals of CDK applications")
    group.addoption("--rehearsal-assembly", metavar="DIR", help="the cloud assembly to rehearse")
    group.addoption("--rehearsal-stage", metavar="STAGE", help="the stage of it to rehearse")
    group.addoption(
        "--no-rehearsal-forks",
        action="store_true",
        help="load the application anew for each test, in this process, for debuggers",
    )
    parser.addini("rehearsal_assembly", "the cloud assembly to rehearse", default="cdk.out")
    parser.addini("rehearsal_stage", "the stage of it to rehearse", default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line("markers", _MARKER)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Checks all markers, and forks the processes that will load applications."""
    config = session.config
    waiting: Counter[_Settings] = Counter()
    for index, item in enumerate(session.items):
        settings = _settings(item)
        if "rehearsal" in getattr(item, "fixturenames", ()):
            item.stash[_INDEX], item.stash[_SETTINGS] = index, settings
            waiting[settings] += 1
    config.stash[_WAITING] = waiting
    if not (config.option.collectonly or config.option.usepdb or config.option.no_rehearsal_forks):
        forks = waiting if hasattr(os, "fork") else {}
        config.stash[_PROCESSES] = {settings: _Loaded(settings, session) for settings in forks}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Runs a test with the fixture `rehearsal` in a fork, and reports its results."""
    stash, hook = item.config.stash, item.ihook
    if item.nodeid in _forked:
        for report in runtestprotocol(item, nextitem=None, log=False):
            data = hook.pytest_report_to_serializable(config=item.config, report=report)
            _forked[item.nodeid].append(("report", data))
        return True
    process = stash.get(_PROCESSES, {}).get(item.stash.get(_SETTINGS, None))  # type: ignore[arg-type]
    if process is None:
        return None
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    _report(item, process.run(item.stash[_INDEX]))
    stash[_WAITING][item.stash[_SETTINGS]] -= 1
    if not stash[_WAITING][item.stash[_SETTINGS]]:
        process.close()
    # Fixtures of other tests that the next test does not need.
    ended = pytest.CallInfo.from_call(
        lambda: item.session._setupstate.teardown_exact(nextitem), "teardown"
    )
    if ended.excinfo is not None:
        report = hook.pytest_runtest_makereport(item=item, call=ended)
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_warning_recorded(
    warning_message: warnings.WarningMessage,
    when: str,
    nodeid: str,
    location: tuple[str, int, str] | None,
) -> None:
    """Keeps a warning in a fork for the main process."""
    if nodeid in _forked:
        warning_message.source = None  # it may not be picklable, and pytest does not show it
        data = {"warning_message": warning_message, "when": when, "location": location}
        _forked[nodeid].append(("warning", data))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends all processes."""
    for process in config.stash.get(_PROCESSES, {}).values():
        process.close()


def _settings(item: pytest.Item) -> _Settings:
    """Returns the application of a test. Raises pytest.UsageError for a wrong marker."""
    marked: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("rehearsal"))):
        unknown = [*map(repr, marker.args), *(marker.kwargs.keys() - _TYPES.keys())]
        if unknown:
            raise pytest.UsageError(
                f"{item.nodeid}: the marker rehearsal has no argument {', '.join(unknown)}: use "
                f"{', '.join(f'{name}=' for name in _TYPES)}"
            )
        marked |= marker.kwargs
    for name, value in marked.items():
        if not isinstance(value, _TYPES[name]):
            expected = " or ".join(type_.__name__ for type_ in _TYPES[name])
            raise pytest.UsageError(
                f"{item.nodeid}: the marker rehearsal has {name}={value!r}: use a {expected}"
            )
    start: datetime | None = marked.get("start")
    if start is not None and start.tzinfo is None:
        raise pytest.UsageError(
            f"{item.nodeid}: the marker rehearsal has a start without a time zone: add tzinfo=UTC"
        )
    config = item.config
    assembly = marked.get(
        "assembly", config.option.rehearsal_assembly or config.getini("rehearsal_assembly")
    )
    stage = marked.get("stage", config.option.rehearsal_stage or config.getini("rehearsal_stage"))
    return _Settings(config.rootpath / assembly, stage or None, marked.get("seed", 0), start)


_TYPES: dict[str, tuple[type, ...]] = {
    "assembly": (str, Path),
    "stage": (str,),
    "seed": (int,),
    "start": (datetime,),
}


def _report(item: pytest.Item, fork: Fork[bytes]) -> None:
    """Reports the results of a test in its fork."""
    hook = item.ihook
    if fork.value is None:
        report = pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="failed",
            longrepr=fork.error,
            when="call",
        )
        hook.pytest_runtest_logreport(report=report)
        return
    # The objects come from a fork of this process.
    for kind, data in pickle.loads(fork.value):  # noqa: S301
        if kind == "warning":
            hook.pytest_warning_recorded.call_historic(kwargs={**data, "nodeid": item.nodeid})
            continue
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
        # Its clock showed virtual time.
        report.stop = time.time()
        report.start = report.stop - report.duration
        hook.pytest_runtest_logreport(report=report)


def _serve(connection: Connection, settings: _Settings, session: pytest.Session) -> None:
    """Loads an application when the first test asks for it, and runs each test in a fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # pytest's process ends this one when it is interrupted: a fork that still runs ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    plugins = session.config.pluginmanager
    for plugin in list(plugins.get_plugins()):
        # A worker of pytest-xdist sends warnings to the controller: only the main process may.
        if type(plugin).__name__ == "WorkerInteractor":
            plugins.unregister(plugin)
    try:
        index = connection.recv()
        with settings.begin() as begun:
            session.config.stash[_REHEARSAL] = begun
            while True:
                (fork,) = forked([partial(_run, session, index)], at_once=1)
                connection.send(fork)
                index = connection.recv()
    except EOFError:
        return
    except RehearsalError as error:
        while True:
            connection.send(Fork(index, None, f"the application cannot be rehearsed: {error}"))
            index = connection.recv()


def _run(session: pytest.Session, index: int) -> bytes:
    """Runs a test in this fork; returns its reports."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    item = session.items[index]
    _forked[item.nodeid] = []
    item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
    return pickle.dumps(_forked[item.nodeid])
