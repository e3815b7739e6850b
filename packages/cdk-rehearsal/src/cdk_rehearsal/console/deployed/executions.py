"""Executions of a workflow of a deployed application: their states, and the steps that failed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.console.deployed.account import Account
from cdk_rehearsal.console.deployed.lines import EXECUTIONS
from cdk_rehearsal.console.deployed.places import Places
from cdk_rehearsal.errors import RehearsalError

_MOST = 50
_EVENTS = 200
"""How many of the last events of a history are read."""
_LOG_S = 3600
_LOG_PAGES = 10

_STANDARD = "The last executions, as Step Functions has them: it keeps them for 90 days."
_EXPRESS = (
    "Step Functions keeps no list of an Express workflow's executions. These are those of the last "
    "hour in its log."
)
_UNLOGGED = (
    "Step Functions keeps no list of an Express workflow's executions, and this one logs none."
)


class Executions:
    """What is asked about workflows, when somebody looks at them."""

    def __init__(self, account: Account, places: Places) -> None:
        self._account = account
        self._places = places

    def latest(self, path: str, log_group: str | None) -> dict[str, Any]:
        """Returns the last executions of a workflow, those of an Express one from its log.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
        """
        machine, arn = self._machine(path)
        if machine.properties.get("StateMachineType") == "EXPRESS":
            found = [*self._logged(log_group)] if log_group else []
            return {"says": _EXPRESS if log_group else _UNLOGGED, "executions": found}
        answer = self._account.require(
            "stepfunctions", "list_executions", stateMachineArn=arn, maxResults=_MOST
        )
        found = [
            {
                "arn": each["executionArn"],
                "name": each["name"],
                "status": each["status"],
                "started": _seconds(each["startDate"]),
                "ended": _seconds(each.get("stopDate")),
            }
            for each in answer["executions"]
        ]
        return {"says": _STANDARD, "executions": found}

    def about(self, path: str, arn: str) -> dict[str, Any]:
        """Returns the error of an execution of a workflow, and the step where it failed or is.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html
        """
        self._require_own(path, arn)
        events = self._account.require(
            "stepfunctions",
            "get_execution_history",
            executionArn=arn,
            reverseOrder=True,
            maxResults=_EVENTS,
            includeExecutionData=True,
        )["events"]
        step, error, cause = _failing(events)
        return {"step": step, "error": error, "cause": cause}

    def input(self, path: str, arn: str) -> str:
        """Returns the input of an execution, which may have personal data.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
        """
        self._require_own(path, arn)
        answer = self._account.require("stepfunctions", "describe_execution", executionArn=arn)
        return str(answer.get("input", ""))

    def _machine(self, path: str) -> tuple[Resource, str]:
        for machine, arn in self._places.of("AWS::StepFunctions::StateMachine"):
            if machine.path == path:
                return machine, arn
        raise RehearsalError(f"there is no workflow {path}")

    def _require_own(self, path: str, arn: str) -> None:
        _, machine = self._machine(path)
        if not arn.startswith(f"{machine.replace(':stateMachine:', ':execution:')}:"):
            raise RehearsalError(f"{arn} is no execution of {path}: choose one of its list")

    def _logged(self, group: str) -> Iterator[dict[str, Any]]:
        """Yields the executions of a log, the last first.

        https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
        """
        found: dict[str, dict[str, Any]] = {}
        pages = self._account.pages(
            "logs",
            "filter_log_events",
            logGroupName=group,
            startTime=int((self._account.now() - _LOG_S) * 1000),
        )
        for page in islice(pages, _LOG_PAGES):
            for event in page["events"]:
                _take(found, event["timestamp"] / 1000, event["message"])
        yield from sorted(found.values(), key=lambda each: -each["started"])[:_MOST]


def _take(found: dict[str, dict[str, Any]], time: float, message: str) -> None:
    """Adds what a line says about its execution."""
    try:
        line = json.loads(message)
        arn, kind = str(line["execution_arn"]), str(line["type"])
    except (ValueError, KeyError, TypeError):
        return
    details = line.get("details") or {}
    each = found.setdefault(
        arn,
        {
            "arn": arn,
            "name": arn.split(":", 7)[-1],
            "status": "RUNNING",
            "started": time,
            "ended": 0.0,
            "step": "",
        },
    )
    if kind.endswith("StateEntered"):
        each["at"] = details.get("name", "")
    if said := EXECUTIONS.get(kind):
        each["status"] = said[1]
        each["ended"] = time if said[0] == "ended" else 0.0
        if said[1] not in ("RUNNING", "SUCCEEDED"):
            more = {"error": details.get("error"), "cause": details.get("cause")}
            each.update(more, step=each.get("at", ""))


def _failing(events: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    """Returns the step, error and cause of a failure; without one, the step that is running."""
    by_id = {each["id"]: each for each in events}
    latest = sorted(events, key=lambda each: -int(each["id"]))
    failed = [each for each in latest if each["type"].endswith(("Failed", "TimedOut", "Aborted"))]
    details = [_details(each) for each in failed]
    error = next((each["error"] for each in details if each.get("error")), "")
    cause = next((each["cause"] for each in details if each.get("cause")), "")
    inside = [each for each in failed if not each["type"].startswith("Execution")]
    at: Mapping[str, Any] | None = next(iter([*inside, *failed, *latest]), None)
    ended = latest and latest[0]["type"] == "ExecutionSucceeded"
    while at is not None and not ended:
        if at["type"].endswith("StateEntered"):
            return str(_details(at).get("name", "")), error, cause
        at = by_id.get(at.get("previousEventId", 0))
    return "", error, cause


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the details of an event, which are under a name that depends on its type."""
    return next((each for name, each in event.items() if name.endswith("EventDetails")), {})


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
