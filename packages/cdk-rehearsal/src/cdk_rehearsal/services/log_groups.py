"""CloudWatch Logs: moto's log groups, with the lines of functions, workflows and HTTP APIs.

The lines are handed to moto when a client asks for them, so that they cost nothing before.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import LogEvent, LogGroup, LogsBackend, logs_backends
from moto.logs.responses import LogsResponse

from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.meter import Record
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.functions import Function
from cdk_rehearsal.services.log_patterns import InvalidPattern, log_filter

_READS = (
    "describe_log_groups",
    "describe_log_streams",
    "get_log_events",
    "start_query",
)
# What moto evaluates of https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
_QUERY_COMMANDS = {"fields", "limit", "sort"}
_QUERY_FIELDS = {"@log", "@logStream", "@message", "@timestamp"}
# https://docs.aws.amazon.com/step-functions/latest/dg/cloudwatch-log-level.html
_BEGINNINGS = {"started": "ExecutionStarted", "redriven": "ExecutionRedriven"}
_ENDS = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "ABORTED": "ExecutionAborted",
}


@dataclass(frozen=True)
class WorkflowLog:
    """Where the executions of a state machine are logged, from which level on."""

    group: str
    level: str
    with_data: bool


@dataclass(frozen=True)
class AccessLog:
    """Where the requests to an HTTP API are logged, and in which format."""

    group: str
    format: str
    api_id: str
    stage: str


def log_group_of(arn: str) -> str:
    """Returns the name of the log group with an ARN, with or without its streams."""
    return arn.rpartition(":log-group:")[2].removesuffix(":*")


class LogGroups:
    """The log groups of an account."""

    def __init__(self, core: Core, functions: Callable[[], Iterable[Function]]) -> None:
        self._core = core
        self._functions = functions
        self._positions: dict[str, int] = {}
        self._seen = 0
        self._numbers: dict[str, int] = {}
        self.workflows: dict[str, WorkflowLog] = {}
        """Logs of state machines, by the machine's ARN."""
        self.accesses: dict[str, AccessLog] = {}
        """Logs of HTTP APIs, by the API's id."""

    def install(self, patches: Patches) -> None:
        """Hands new lines to moto before a client reads."""
        groups = self

        def reading(original: Callable[..., Any]) -> Callable[..., Any]:
            def read(response: LogsResponse) -> Any:
                groups.feed()
                return original(response)

            return read

        for name in _READS:
            patches.set(LogsResponse, name, reading(getattr(LogsResponse, name)))
        start_query = LogsBackend.start_query
        configuration = LambdaFunction.get_configuration

        def filter_log_events(response: LogsResponse) -> str:
            groups.feed()
            return json.dumps(_filtered(response.logs_backend, response._get_param))

        def checked_query(backend: LogsBackend, *args: Any, **options: Any) -> Any:
            _check_query(str(options.get("query_string") or args[-1]))
            return start_query(backend, *args, **options)

        def find(
            backend: LogsBackend, log_group_id: str | None = None, log_group_name: str | None = None
        ) -> LogGroup:
            found: LogGroup = _group(backend, log_group_name, log_group_id)
            return found

        def get_configuration(model: LambdaFunction, on_create: bool = False) -> dict[str, Any]:
            found = configuration(model, on_create=on_create)
            for function in groups._functions():
                if function.name == model.function_name:
                    logging = {"LogFormat": function.log_format, "LogGroup": function.log_group}
                    found["LoggingConfig"] = logging
            return found

        patches.set(LambdaFunction, "get_configuration", get_configuration)
        patches.set(LogsResponse, "filter_log_events", filter_log_events)
        patches.set(LogsBackend, "start_query", checked_query)
        # For an identifier, moto returns its last group, whichever that is.
        patches.set(LogsBackend, "_find_log_group", find)

    def feed(self) -> None:
        """Hands the lines since the last time to moto."""
        functions = {function.path: function for function in self._functions()}
        for function in functions.values():
            position = self._positions.get(function.arn, 0)
            lines, self._positions[function.arn] = function.log.lines(position)
            stream = function.variables["AWS_LAMBDA_LOG_STREAM_NAME"]
            for moment, line in lines:
                self._append(function.log_group, stream, moment, line)
        records = self._core.meter.records
        for number, record in enumerate(records.since(self._seen), self._seen):
            if record.kind == "execution":
                self._log_execution(record)
            elif record.kind == "invocation" and record.target in functions:
                self._log_report(functions[record.target], record)
            elif record.kind == "request":
                self._log_request(record, number)
        self._seen = len(records)

    def _append(self, group: str, stream: str, moment: float, message: str) -> None:
        backend: Any = logs_backends[self._core.account][self._core.region]
        if group not in backend.groups:
            # Lambda creates the group of a function that has no other:
            # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
            backend.create_log_group(group, {})
        streams = backend.groups[group].streams
        if stream not in streams:
            backend.create_log_stream(group, stream)
        milliseconds = int(moment * 1000)
        target = streams[stream]
        target.events.append(
            LogEvent(milliseconds, {"timestamp": milliseconds, "message": message})
        )
        target.stored_bytes += len(message)
        target.last_ingestion_time = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)

    def _log_report(self, function: Function, record: Record) -> None:
        """Logs the report of an invocation, if the function logs in JSON.

        The lines START, END and REPORT of a log in plain text are left out.
        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
        """
        if function.log_format != "JSON" or function.log.muted or not function.logs_reports:
            return
        detail = record.detail
        error = (detail["error"] or {}).get("errorType")
        said: dict[str, Any] = {
            "requestId": detail["request_id"],
            "metrics": {"durationMs": round(detail["duration_s"] * 1000, 3)},
            "status": "timeout" if error == "Sandbox.Timedout" else "error" if error else "success",
        }
        if error:
            said["errorType"] = error
        moment = datetime.fromtimestamp(record.time, UTC).isoformat(timespec="milliseconds")
        time = moment.replace("+00:00", "Z")
        line = json.dumps({"time": time, "type": "platform.report", "record": said})
        stream = function.variables["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._append(function.log_group, stream, record.time, line)

    def _log_execution(self, record: Record) -> None:
        """Logs an event of an execution.

        https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
        """
        detail = record.detail
        log = self.workflows.get(detail["state_machine"])
        if log is None:
            return
        kind = _BEGINNINGS.get(detail["what"]) or _ENDS.get(detail["status"])
        unsuccessful = detail["status"] in _ENDS and detail["status"] != "SUCCEEDED"
        if kind is None or log.level == "OFF" or (log.level != "ALL" and not unsuccessful):
            return
        execution = detail["execution"]
        number = self._numbers[execution] = self._numbers.get(execution, 0) + 1
        details = {"error": detail["error"], "cause": detail["cause"]}
        event = {
            "id": str(number),
            "type": kind,
            "details": details if log.with_data and unsuccessful else {},
            "previous_event_id": str(number - 1),
            "event_timestamp": str(int(record.time * 1000)),
            "execution_arn": execution,
            "redrive_count": str(detail["redrives"]),
        }
        name = detail["state_machine"].rpartition(":")[2]
        self._append(log.group, f"states/{name}", record.time, json.dumps(event))

    def _log_request(self, record: Record, number: int) -> None:
        """Logs a request in the format of its API.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
        """
        log = self.accesses.get(record.detail["api_id"])
        if log is None:
            return
        detail = record.detail
        moment = datetime.fromtimestamp(record.time, UTC)
        values = {
            "apiId": log.api_id,
            "httpMethod": detail["method"],
            "path": detail["path"],
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.UUID(int=number)),
            "requestTime": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": str(int(record.time * 1000)),
            "responseLatency": str(round(detail["latency_s"] * 1000)),
            "routeKey": detail["route"] or "-",
            "stage": log.stage,
            "status": str(detail["status"]),
            **detail["context"],
        }
        line = re.sub(
            r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)",
            lambda match: json.dumps(values.get(match[1], "-"))[1:-1],
            log.format,
        )
        self._append(log.group, log.api_id, record.time, line)


def _group(backend: Any, name: str | None, identifier: str | None) -> Any:
    """Returns a log group by its name, or by an identifier: its name or ARN."""
    if (name is None) == (identifier is None):
        raise InvalidParameterException("Give either logGroupName or logGroupIdentifier.")
    name = name or log_group_of(str(identifier))
    if name not in backend.groups:
        raise ResourceNotFoundException
    return backend.groups[name]


def _filtered(backend: Any, parameter: Callable[..., Any]) -> dict[str, Any]:
    """Returns the answer of FilterLogEvents.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
    """
    group = _group(backend, parameter("logGroupName"), parameter("logGroupIdentifier"))
    names, prefix = parameter("logStreamNames"), parameter("logStreamNamePrefix")
    if names and prefix:
        raise InvalidParameterException("Give either logStreamNames or logStreamNamePrefix.")
    most = LIMITS["logs.found_events"]
    limit = parameter("limit") or most
    if limit > most:
        raise InvalidParameterException(
            constraint=f"Member must have value less than or equal to {most}",
            parameter="limit",
            value=limit,
        )
    try:
        matches = log_filter(parameter("filterPattern"))
    except InvalidPattern as error:
        raise InvalidParameterException(f"Invalid filter pattern: {error}") from None
    start, end = parameter("startTime") or 0, parameter("endTime") or float("inf")
    found = sorted(
        (event.timestamp, event.event_id, name, event)
        for name, stream in group.streams.items()
        if (not names or name in names) and name.startswith(prefix or "")
        for event in stream.events
        if start <= event.timestamp <= end and matches(event.message)
    )
    if parameter("startFromHead") is False:
        found.reverse()
    token = parameter("nextToken") or "0"
    if not token.isdecimal():
        raise InvalidParameterException("The specified nextToken is invalid.")
    first = int(token)
    page = found[first : first + limit]
    answer: dict[str, Any] = {
        "events": [{**event.to_filter_dict(), "logStreamName": name} for *_, name, event in page],
        "searchedLogStreams": [],
    }
    if first + limit < len(found):
        answer["nextToken"] = str(first + limit)
    return answer


def _check_query(query: str) -> None:
    """Refuses what moto would skip in a query of Logs Insights."""
    for command in _commands(query):
        name, _, rest = command.partition(" ")
        fields = {field.strip() for field in rest.split(",")} if name.lower() == "fields" else set()
        unknown = fields - _QUERY_FIELDS
        if name.lower() not in _QUERY_COMMANDS or unknown:
            raise InvalidParameterException(
                f"the rehearsal does not support {', '.join(sorted(unknown)) or name!r} in a "
                f"query: use {', '.join(sorted(_QUERY_COMMANDS))} of "
                f"{', '.join(sorted(_QUERY_FIELDS))}, or FilterLogEvents"
            )


def _commands(query: str) -> Iterator[str]:
    for line in query.split("|"):
        if line.strip():
            yield " ".join(line.split())
