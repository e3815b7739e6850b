"""Executions of state machines: names, starts, results and reports."""

import copy
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from moto.core.exceptions import AWSError
from moto.stepfunctions.exceptions import (
    ExecutionAlreadyExists,
    InvalidExecutionInput,
    InvalidName,
)
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.eval.program_state import ProgramTimedOut
from moto.stepfunctions.parser.backend.execution import Execution

from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.mixing import Blend, Mixing
from cdk_rehearsal.services.deliveries import THROTTLED
from cdk_rehearsal.services.texts import iso_milliseconds
from cdk_rehearsal.virtual_time.processes import Process

_STARTS = {
    "EXPRESS": "stepfunctions.express_starts_per_second",
    "STANDARD": "stepfunctions.standard_starts_per_second",
}
_NAME = re.compile(r'[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}')


@dataclass(frozen=True, slots=True)
class ExecutionEvent:
    """Something that an execution did, at virtual ``time`` (epoch seconds).

    ``duration_s`` is the virtual time since the execution started. ``input`` is set when it starts,
    and ``state`` when one is entered; ``status`` (SUCCEEDED, FAILED, TIMED_OUT, ABORTED), ``error``
    and ``cause`` at the end.
    ``release`` names the release of the definition, if it has a name.
    ``status_change`` is the event that a Standard execution publishes when it starts or ends.
    """

    kind: Literal["started", "redriven", "entered", "ended"]
    time: float
    state_machine_arn: str
    execution_arn: str
    type: str
    duration_s: float = 0.0
    input: str | None = None
    state: str | None = None
    status: str | None = None
    error: str | None = None
    cause: str | None = None
    redrives: int = 0
    release: str | None = None
    status_change: dict[str, Any] | None = None


@dataclass(frozen=True)
class Definition:
    """The definition of a state machine, and the name of the release that it comes from."""

    text: str
    release: str


class Executions:
    """Starts executions as processes."""

    def __init__(self, core: Core, report: Callable[[ExecutionEvent], None]) -> None:
        self._core = core
        self._report = report
        self._named: dict[tuple[str, str], Any] = {}
        self._blends: dict[str, Blend[Definition]] = {}
        self._latest: dict[str, Definition] = {}
        """The definitions of updated state machines."""
        self._releases: dict[str, str] = {}
        """The names of the releases of versions, by their ARNs."""
        self.release = ""
        """The name of the release of all others."""

    def update(self, arn: str, former: str, latest: Definition, mixing: Mixing) -> None:
        """Lets executions that start from now on have one of two definitions for a while.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateStateMachine.html
        """
        before = self._latest.get(arn, Definition(former, self.release))
        parts = [(before, 1 - mixing.share), (latest, mixing.share)]
        until = self._core.scheduler.now() + mixing.seconds
        self._blends[arn] = Blend(parts, until)
        self._latest[arn] = latest

    def published(self, version: str, machine: str) -> None:
        """Notes from which release a version comes, unless from that of all others."""
        if latest := self._latest.get(machine):
            self._releases[version] = latest.release

    def start(
        self, backend: Any, arn: str, name: str | None, text: str | None, trace: str | None
    ) -> Any:
        """Starts an execution and returns it; for a Standard workflow at most once for a name.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
        """
        started = self._found(backend, arn)
        machine = started.machine
        if not self._core.rates.take(_STARTS[machine.type]):
            raise AWSError("Rate exceeded", exception_type=THROTTLED)
        text = _checked(name, text)
        existing = self._named.get((machine.arn, name)) if name is not None else None
        if existing is not None:
            if existing.status == "RUNNING" and existing.execution_input == text:
                return existing
            raise ExecutionAlreadyExists(f"Execution Already Exists: '{existing.exec_arn}'")
        execution = self._create(backend, started, name, text, trace)
        if machine.type != "EXPRESS":
            # Only Standard executions can be listed, described and stopped afterwards.
            machine.executions.append(execution)
            self._named[machine.arn, execution.name] = execution
        self._launch(execution, critical=True)
        return execution

    def start_sync(
        self, backend: Any, arn: str, name: str | None, text: str | None, trace: str | None
    ) -> dict[str, Any]:
        """Runs an Express execution to its end and returns the answer of StartSyncExecution.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html
        """
        started = self._found(backend, arn)
        if started.machine.type != "EXPRESS":
            raise AWSError(
                "This operation is not supported by this type of state machine",
                exception_type="StateMachineTypeNotSupported",
            )
        execution = self._create(backend, started, name, _checked(name, text), trace)
        process = self._launch(execution, critical=False)
        scheduler = self._core.scheduler
        if scheduler.is_foreign_thread():
            scheduler.wait_as_guest(process)
        process.result()
        return _sync_answer(execution)

    def _definition(self, arn: str) -> Definition | None:
        """Returns the definition for an execution that starts now; None if there was no update."""
        blend, scheduler = self._blends.get(arn), self._core.scheduler
        if blend is None:
            return None
        return blend.draw(scheduler.random, scheduler.now()) or self._latest[arn]

    def redrive(self, execution: Any, resume: Callable[[], None]) -> None:
        """Lets ``resume`` continue an execution that has ended, as a process."""
        self._launch(execution, critical=True, resume=resume)

    def _found(self, backend: Any, arn: str) -> "_Started":
        """Returns what an ARN starts: a state machine, a version, or a version drawn by weight.

        https://docs.aws.amazon.com/step-functions/latest/dg/execution-alias-version-associate.html
        https://docs.aws.amazon.com/step-functions/latest/dg/concepts-state-machine-alias.html
        """
        parts = arn.split(":")
        base, qualifier = ":".join(parts[:7]), "".join(parts[7:])
        if not qualifier:
            machine = backend.describe_state_machine(arn)
            return _Started(machine, machine)
        alias = None
        if not qualifier.isdecimal():
            alias = backend.describe_state_machine_alias(arn)
            routes = alias.routing_configuration
            weights = [each["weight"] for each in routes]
            (drawn,) = (
                self._core.scheduler.random.choices(routes, weights) if routes[1:] else routes
            )
            arn = drawn["stateMachineVersionArn"]
        version = backend.describe_state_machine(arn)
        machine = backend.describe_state_machine(base)
        return _Started(machine, version, version.arn, alias.arn if alias else None)

    def _create(
        self, backend: Any, started: "_Started", name: str | None, text: str, trace: str | None
    ) -> Any:
        machine = started.machine
        name = name or self._core.new_id()
        express = machine.type == "EXPRESS"
        prefix = machine.arn.replace(":stateMachine:", ":express:" if express else ":execution:")
        # A later change of the state machine leaves its running executions alone.
        snapshot = copy.copy(started.revision)
        snapshot.arn, snapshot.sm_type = machine.arn, machine.type
        definition = None if started.version_arn else self._definition(machine.arn)
        if definition is not None:
            snapshot.definition = definition.text
        execution: Any = Execution(
            name=name,
            sm_type=machine.type,
            role_arn=machine.roleArn,
            exec_arn=f"{prefix}:{name}" + (f":{self._core.new_id()}" if express else ""),
            account_id=backend.account_id,
            region_name=backend.region_name,
            state_machine=snapshot,
            start_date=datetime.now(UTC),
            cloud_watch_logging_session=None,
            input_data=text,
            trace_header=trace,
            activity_store={},
        )
        execution.version_arn, execution.alias_arn = started.version_arn, started.alias_arn
        published = self._releases.get(started.version_arn or "", self.release)
        release = definition.release if definition is not None else published
        execution.release = release or None
        # The environment is there from the start: call-backs and stops look for it.
        worker = execution.exec_worker = execution._get_start_execution_worker()
        worker.env = worker._get_evaluation_environment()
        worker._get_evaluation_environment = lambda: worker.env
        context = worker.env.states.context_object.context_object_data["Execution"]
        context["StartTime"] = iso_milliseconds(self._core.scheduler.now())
        if not express:
            context["RedriveCount"] = 0
        execution.exec_status = ExecutionStatus.RUNNING
        return execution

    def _launch(
        self, execution: Any, *, critical: bool, resume: Callable[[], None] | None = None
    ) -> Process:
        return self._core.scheduler.spawn(
            self._run,
            execution,
            resume,
            name=f"execution {execution.exec_arn}",
            daemon=True,
            critical=critical,
        )

    def _run(self, execution: Any, resume: Callable[[], None] | None) -> None:
        scheduler = self._core.scheduler
        started = scheduler.now()
        facts = (execution.state_machine_arn, execution.exec_arn, execution.sm_type)
        change = _status_change(execution)
        redrives = redrive_count(execution)
        begun: Literal["started", "redriven"] = "redriven" if resume else "started"
        self._report(
            ExecutionEvent(
                *(begun, started, *facts),
                input=execution.execution_input,
                redrives=redrives,
                release=execution.release,
                status_change=change,
            )
        )
        worker = execution.exec_worker
        (resume or worker._execution_logic)()
        # Of a Standard execution, the status alone says that it timed out.
        if not worker.env.is_standard_workflow() and isinstance(
            worker.env.program_state(), ProgramTimedOut
        ):
            execution.error = "States.Timeout"
        now = scheduler.now()
        self._report(
            ExecutionEvent(
                "ended",
                now,
                *facts,
                now - started,
                status=execution.status,
                error=execution.error,
                cause=execution.cause,
                redrives=redrives,
                release=execution.release,
                status_change=_status_change(execution),
            )
        )


@dataclass(frozen=True)
class _Started:
    """What an execution is started of."""

    machine: Any
    revision: Any
    """The machine itself, or the version whose definition and role count."""
    version_arn: str | None = None
    alias_arn: str | None = None


def _checked(name: str | None, text: str | None) -> str:
    if name is not None and not _NAME.fullmatch(name):
        raise InvalidName(f"Invalid Name: '{name}'")
    text = "{}" if text is None else text
    problem = ""
    if len(text.encode()) > LIMITS["stepfunctions.data_bytes"]:
        problem = f"more than {LIMITS['stepfunctions.data_bytes']} bytes"
    try:
        json.loads(text)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{problem}'")
    return text


def _status_change(execution: Any) -> dict[str, Any] | None:
    """Returns the detail of the event about a Standard execution's new status.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    if execution.sm_type == "EXPRESS":
        return None
    status = execution.status
    succeeded = status == "SUCCEEDED"
    redrive_status, reason = redrivable(execution)
    return {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": _milliseconds(execution.stop_date),
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "output": _output(execution) if succeeded else None,
        "outputDetails": {"included": True} if succeeded else None,
        "stateMachineVersionArn": execution.version_arn,
        "stateMachineAliasArn": execution.alias_arn,
        "redriveCount": redrive_count(execution),
        "redriveDate": _milliseconds(redrive_date(execution)),
        "redriveStatus": redrive_status,
        "redriveStatusReason": reason,
        "error": execution.error,
        "cause": execution.cause,
    }


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def redrive_count(execution: Any) -> int:
    """Returns how often an execution was redriven."""
    return len(vars(execution).get("redrives", ()))


def redrive_date(execution: Any) -> datetime | None:
    """Returns when an execution was last redriven."""
    redrives: dict[str, datetime] = vars(execution).get("redrives", {})
    return max(redrives.values(), default=None)


def redrivable(execution: Any) -> tuple[str, str | None]:
    """Returns whether RedriveExecution would accept an execution, and if not, the reason.

    https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html#redrive-eligibility
    """
    now = datetime.now(UTC)
    history = execution.exec_worker.env.event_manager.get_event_history()
    if execution.status in {"RUNNING", "SUCCEEDED"}:
        reason = f"Execution is {execution.status} and cannot be redriven"
    elif now - execution.start_date > timedelta(seconds=LIMITS["stepfunctions.standard_s"]):
        reason = "Execution has exceeded the max execution time"
    elif now - execution.stop_date > timedelta(seconds=LIMITS["stepfunctions.redrivable_s"]):
        reason = "Execution redrivable period exceeded"
    elif len(history) >= LIMITS["stepfunctions.history_events"] - 1:
        reason = "Execution history event limit exceeded"
    else:
        return "REDRIVABLE", None
    return "NOT_REDRIVABLE", reason


def described(execution: Any) -> dict[str, Any]:
    """Returns the answer of DescribeExecution.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    """
    redrive_status, reason = redrivable(execution)
    answer = {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "startDate": execution.start_date,
        "stopDate": execution.stop_date,
        "status": execution.status,
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "traceHeader": execution.trace_header,
        "error": execution.error,
        "cause": execution.cause,
    }
    if execution.sm_type != "EXPRESS":
        answer["stateMachineVersionArn"] = execution.version_arn
        answer["stateMachineAliasArn"] = execution.alias_arn
        answer["redriveCount"] = redrive_count(execution)
        answer["redriveDate"] = redrive_date(execution)
        answer["redriveStatus"] = redrive_status
        answer["redriveStatusReason"] = reason
    if execution.exec_status == ExecutionStatus.SUCCEEDED:
        answer["output"] = _output(execution)
        answer["outputDetails"] = {"included": True}
    return {key: value for key, value in answer.items() if value is not None}


def _sync_answer(execution: Any) -> dict[str, Any]:
    duration = (execution.stop_date - execution.start_date).total_seconds()
    # Billed in steps of 100 ms and 64 MB: https://aws.amazon.com/step-functions/pricing/
    billed = {
        "billedDurationInMilliseconds": max(1, math.ceil(duration * 10)) * 100,
        "billedMemoryUsedInMB": 64,
    }
    return {**described(execution), "billingDetails": billed}


def _output(execution: Any) -> str:
    return json.dumps(execution.output, separators=(",", ":"))
