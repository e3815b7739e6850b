"""The page of a deployed application."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from cdk_rehearsal.assembly import Assembly
from cdk_rehearsal.console.actions import Site
from cdk_rehearsal.console.deployed.account import Account
from cdk_rehearsal.console.deployed.executions import Executions
from cdk_rehearsal.console.deployed.functions import reserved_concurrency
from cdk_rehearsal.console.deployed.journal import Journal
from cdk_rehearsal.console.deployed.operations import BadOperation, Operations
from cdk_rehearsal.console.deployed.places import Places
from cdk_rehearsal.console.deployed.reader import Reader
from cdk_rehearsal.console.layout import map_of
from cdk_rehearsal.console.link import Link
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.meter import Record

PAST_S = 15 * 60.0
"""How far back logs are read at first."""
_IDLE_S = 0.1
_LOG_LINES = 200
_LOG_CHARACTERS = 20_000
_LOG_PAGES = 20
_LOG_SPANS_S = (600, 6 * 3600)

LEFT_OUT = (
    "Travelling messages: AWS has no record of a single message between two resources. Counts are "
    "those of logs and metrics, which come up to some minutes later.",
    "Payloads and handlers in traces, unless the application logs them: a trace has the events "
    "that a bus logs, workflows, and log lines with a correlation id. Older ones have to be "
    "searched for.",
    "Faults, the pace of time, and rehearsals of a redrive: these need a rehearsal.",
)
"""What the page says about itself."""


class DeployedConsole:
    """A live page about a deployed application; to be used in a `with` statement."""

    def __init__(
        self,
        account: Account,
        assembly: Assembly,
        *,
        title: str,
        journal: Path | None = None,
        site: Site | None = None,
        runbook: Callable[[str], str] | None = None,
        port: int = 0,
        past_s: float = PAST_S,
        log_calls_per_s: float = 4.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Locates the application. Raises CallFailed if it is not deployed there.

        Without a `journal`, the file that says who has done what, the page is read-only. The page
        links to `site`. `runbook` returns the text about an alarm with a description.
        """
        self.url = ""
        """The URL of the page, with its token."""
        self._account = account
        self._places = Places(account, assembly)
        self._map = map_of(assembly)
        book = Journal(journal, account) if journal is not None else None
        self._operations = Operations(account, self._places, book)
        self._start = account.now() - past_s
        self._reader = Reader(
            account,
            self._places,
            self._map,
            since=self._start,
            monotonic=monotonic,
            log_calls_per_s=log_calls_per_s,
        )
        self._executions = Executions(account, self._places)
        self._title = title
        self._site = site
        self._runbook = runbook
        self._past_s = past_s
        self._link = Link(port)
        self._viewers = 0
        self._status = b""
        self._commands: Mapping[str, Callable[..., Any]] = {
            "viewers": self._set_viewers,
            "alarms": self._alarms,
            "logs": self._logs,
            "runbook": self._runbook_page,
            "search": self._reader.search,
            "settings": self._settings,
            "executions": self._latest_executions,
            "execution": self._executions.about,
            "input": self._executions.input,
            "queue": self._operations.about,
            "letters": self._operations.letters,
            "plan": self._operations.plan,
            "operate": self._operate,
        }

    def __enter__(self) -> DeployedConsole:
        """Starts the server of the page, and waits until it listens."""
        account = self._account
        pages = self._site.pages() if self._site else {}
        about = {
            "title": self._title,
            "start": self._start,
            "map": self._map,
            "actions": [],
            "faults": [],
            "pages": pages,
            "build": self._site.build if self._site else "",
            "runbook": self._runbook is not None,
            "deployed": {
                "account": account.id,
                "region": account.region,
                "identity": account.identity,
                "operates": self._operations.operates,
                "left_out": LEFT_OUT,
            },
        }
        self.url = self._link.start(about, self._site.directory if self._site and pages else None)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the server."""
        self._link.close()

    def run(self, until: Callable[[], bool]) -> None:
        """Reads the account while somebody looks at the page, and carries out commands."""
        while self._link.is_open and not until():
            if not self.tick():
                self._link.wait(_IDLE_S)

    def tick(self) -> bool:
        """Makes the next calls, and carries out commands. Returns whether there was any call."""
        # Without a viewer nothing is read; logs are read later from where they were left.
        busy = self._reader.step() if self._viewers or not self._reader.is_complete else False
        self._operations.follow()
        self._send_news()
        self._link.flush()
        for command in self._link.commands():
            self._answer(command)
        self._send_status()
        self._link.flush()
        return busy

    def _send_news(self) -> None:
        # The past is sent as a whole, so that it is in order.
        if not self._reader.is_complete:
            return
        for each in self._reader.news():
            if isinstance(each, Record):
                self._link.put(b"R", self._link.encode(each))
            else:
                self._link.put(b"S", self._link.encode([each]))

    def _send_status(self) -> None:
        ringing = [each for each in self._reader.alarms.values() if each["state"] == "ALARM"]
        reading = f"reading the last {self._past_s / 60:.0f} minutes …"
        status = self._link.encode(
            {
                "paused": False,
                "speed": 1.0,
                "skips_quiet": False,
                "phase": "" if self._reader.is_complete else reading,
                "now": 0,
                "faults": [],
                "alarms": ringing,
                "discarded": [],
                "moments": [],
                "problems": self._account.problems,
                "operations": self._operations.done,
                "disabled": self._reader.disabled,
                "searched": self._reader.searched,
            }
        )
        if status != self._status:
            self._status = status
            self._link.put(b"T", status)

    # -- commands -------------------------------------------------------------------------

    def _answer(self, command: dict[str, Any]) -> None:
        answer = self.carry_out(command)
        if "id" in command:
            self._send_news()
            self._send_status()
            self._link.answer(command["id"], answer)

    def carry_out(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Carries out a command. Returns its `value`, or an `error` that says what is wrong."""
        arguments = {name: value for name, value in command.items() if name not in {"do", "id"}}
        run = self._commands.get(str(command.get("do")))
        if run is None:
            return {"error": f"there is no command {command.get('do')!r} for what is deployed"}
        try:
            return {"value": run(**arguments)}
        except RehearsalError as error:
            return {"error": str(error)}
        except (TypeError, ValueError, KeyError) as error:
            return {"error": f"the command {command.get('do')!r} has wrong arguments: {error}"}

    def _set_viewers(self, number: int) -> None:
        if number and not self._viewers:
            self._reader.hurry()
        self._viewers = number

    def _operate(self, token: str) -> str:
        result = self._operations.operate(token)
        # The page shows soon what has changed.
        self._reader.hurry()
        return result

    def _runbook_page(self, path: str) -> str:
        """Returns what the application's runbook says about an alarm; empty if it says nothing."""
        says = self._reader.alarms.get(path, {}).get("says", "")
        return self._runbook(says) if self._runbook else ""

    def _settings(self, path: str) -> dict[str, Any]:
        """Returns the settings of a function that explain what it does."""
        reserved = reserved_concurrency(self._account, self._places, path)
        return {"reserved": reserved, "mappings": self._reader.mappings.get(path, [])}

    def _latest_executions(self, path: str) -> dict[str, Any]:
        return self._executions.latest(path, self._reader.log_group_of(path))

    def _alarms(self) -> list[dict[str, Any]]:
        return [*self._reader.alarms.values()]

    def _logs(self, path: str) -> str:
        """Returns the last lines of a log group."""
        group = self._reader.log_group_of(path)
        if group is None:
            raise BadOperation(f"{path} has no log group in the templates")
        now = self._account.now()
        lines: list[str] = []
        # A function that says much has enough lines in the last minutes.
        for seconds in _LOG_SPANS_S:
            pages = self._account.pages(
                "logs",
                "filter_log_events",
                logGroupName=group,
                startTime=int((now - seconds) * 1000),
            )
            for page in islice(pages, _LOG_PAGES):
                lines = [*lines, *(each["message"].rstrip("\n") for each in page["events"])]
            if lines:
                break
        return "\n".join(lines[-_LOG_LINES:])[-_LOG_CHARACTERS:]


def title_of(assembly: Assembly) -> str:
    """Returns the title of a page: what the names of the stacks have in common, or all of them."""
    names = sorted({each.name for each in assembly.stacks if not each.parent})
    common = os.path.commonpath([name.replace("-", "/") for name in names]).replace("/", "-")
    return common or ", ".join(names)[:60]
