"""The journal of what was done from the page, and by whom: a file, and lines on the page."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdk_rehearsal.console.deployed.account import Account
from cdk_rehearsal.errors import RehearsalError


class Journal:
    """A file with a line of JSON before each operation, and one with its result after it."""

    def __init__(self, file: Path, account: Account) -> None:
        """Opens the file to append to it. Raises RehearsalError if it cannot be written."""
        self._file = file
        self._account = account
        self.operations: list[dict[str, Any]] = []
        """What was done from this page."""
        self._append({"what": "opened the console"})

    def begin(self, what: str, queue: str, details: Mapping[str, Any]) -> dict[str, Any]:
        """Writes down an operation before it is carried out. Raises RehearsalError."""
        operation = {
            "number": len(self.operations) + 1,
            "time": self._account.now(),
            "who": self._account.identity,
            "what": what,
            "queue": queue,
            "reason": details.get("reason", ""),
            "result": "…",
        }
        self._append({**operation, **details, "result": None})
        self.operations.append(operation)
        return operation

    def end(self, operation: dict[str, Any], result: str) -> None:
        """Writes down the result of an operation."""
        operation["result"] = result
        self._append(operation)

    def _append(self, entry: Mapping[str, Any]) -> None:
        account = self._account
        moment = datetime.fromtimestamp(account.now(), UTC).isoformat(timespec="seconds")
        written = {
            **entry,
            "time": moment,
            "who": account.identity,
            "account": account.id,
            "region": account.region,
        }
        try:
            with self._file.open("a") as file:
                file.write(json.dumps(written, default=str) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RehearsalError(
                f"{self._file} cannot be written, and nothing is done without a journal: {error}: "
                "choose another file with --journal"
            ) from error
