"""Reads a deployed application, a call at a time, and says what is new since the last time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.console.deployed.account import Account, CallFailed
from cdk_rehearsal.console.deployed.functions import mapping_of
from cdk_rehearsal.console.deployed.lines import LineReader, Writer
from cdk_rehearsal.console.deployed.places import Places
from cdk_rehearsal.console.map import ApplicationMap
from cdk_rehearsal.meter import Record
from cdk_rehearsal.topology import edges

Sample = tuple[float, str, str, float, float]

_ALARMS_AT_ONCE = 100
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html"""
_METRICS_AT_ONCE = 500
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""
_LATE_S = 90.0
"""How late a line may come to its log group. So much is read again, without known lines."""
_MINUTE_S = 60
_ID = re.compile(r"[\w.:@/+-]+")
_LONGEST_SEARCH_H = 30 * 24
_MOST_JOINED = 8
_SEARCH_PAGES = 50
"""The most answers about a log group. AWS also answers, with a token, before it has found any."""
_AGE = "ApproximateAgeOfOldestMessage"
_CONTEXT = re.compile(r"^\$context\.([\w.]+)$")

_DEPTHS, _ALARMS = "depths of queues", "states of alarms"
_MAPPINGS, _OLDER = "event source mappings", "older log lines"
_METRICS, _LOGS = "ages of messages and counts of topics", "invocations, events and traces"
"""What is missing if calls fail."""

_NOTIFIED = (("NumberOfNotificationsDelivered", False), ("NumberOfNotificationsFailed", True))
"""What topics deliver and do not deliver: no log counts it.
https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html"""


@dataclass
class _Group:
    """A log group, and how far it has been read."""

    name: str
    writers: list[Writer]
    since: float
    seen: dict[str, float] = field(default_factory=dict)
    """Lines that may be read again, with their times."""


@dataclass
class Poll:
    """Something that is read again and again.

    `read` yields after each call, and False while it waits until it may make one.
    """

    name: str
    every_s: float
    read: Callable[[], Iterator[bool]]
    due: float = 0.0
    running: Iterator[bool] | None = None
    ran: bool = False


class Reader:
    """All that is read of a deployed application. `step` makes one call."""

    def __init__(
        self,
        account: Account,
        places: Places,
        map_: ApplicationMap,
        *,
        since: float,
        monotonic: Callable[[], float],
        log_calls_per_s: float = 4.0,
    ) -> None:
        """Reads logs from the time ``since`` on, at a rate that leaves calls for others.

        https://docs.aws.amazon.com/general/latest/gr/cwl_region.html
        """
        self._account = account
        self._places = places
        self._map = map_
        self._monotonic = monotonic
        self._log_every_s = 1 / log_calls_per_s
        self._log_call_at = 0.0
        self._since = since
        self._lines = LineReader()
        self._groups = [_Group(name, writers, since) for name, writers in self._writers().items()]
        self._depths: dict[str, tuple[float, float]] = {}
        self._ages: dict[str, float] = {}
        self._counted_to = since // _MINUTE_S * _MINUTE_S
        self.alarms: dict[str, dict[str, Any]] = {}
        """The alarms of the templates, by path."""
        self.mappings: dict[str, list[dict[str, Any]]] = {}
        """The event source mappings of functions, by the function's path."""
        self._search: Iterator[bool] | None = None
        self.searched: dict[str, Any] = {}
        """What is looked for in older logs, and how far that is."""
        self._older: dict[str, set[str]] = {}
        """The older lines that have been found, with the correlation ids that they name."""
        self._records: list[Record] = []
        self._samples: list[Sample] = []
        self.polls = [
            Poll("queues", 5.0, self._read_depths),
            Poll("alarms", 15.0, self._read_alarms),
            Poll("mappings", 30.0, self._read_mappings),
            Poll("metrics", 60.0, self._read_metrics),
            Poll("logs", 3.0, self._read_logs),
        ]

    @property
    def is_complete(self) -> bool:
        """Whether everything has been read once."""
        return all(poll.ran for poll in self.polls)

    def step(self) -> bool:
        """Makes the next call of each poll that is due. Returns whether there was any."""
        now, busy = self._monotonic(), False
        for poll in self.polls:
            if poll.name == "logs" and self._search is not None and poll.ran:
                # One reader of logs at a time: AWS permits few calls per second.
                continue
            if poll.running is None:
                if now < poll.due:
                    continue
                poll.running = poll.read()
            called = next(poll.running, None)
            busy = busy or called is True
            if called is None:
                poll.running, poll.ran = None, True
                poll.due = self._monotonic() + poll.every_s
        if self._search is not None:
            called = next(self._search, None)
            busy = busy or called is True
            if called is None:
                self._search = None
        return busy

    def hurry(self) -> None:
        """Lets everything be read again now."""
        for poll in self.polls:
            poll.due = 0.0

    def news(self) -> Iterator[Record | Sample]:
        """Yields what has been read since the last time, by its time."""
        news: list[tuple[float, Record | Sample]] = [
            *((each.time, each) for each in self._records),
            *((each[0], each) for each in self._samples),
        ]
        self._records, self._samples = [], []
        yield from (each for _, each in sorted(news, key=lambda pair: pair[0]))

    # -- queues ---------------------------------------------------------------------------

    def _read_depths(self) -> Iterator[bool]:
        names = [
            *("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"),
            "ApproximateNumberOfMessagesDelayed",
        ]
        asked = {"AttributeNames": names}
        with self._account.attempts(_DEPTHS) as attempts:
            for path, url in self._places.queues.items():
                with attempts.at(path):
                    call = self._account.require
                    answer = call("sqs", "get_queue_attributes", QueueUrl=url, **asked)
                    depth = sum(int(answer["Attributes"].get(name, 0)) for name in names)
                    self._sample_depth(path, depth)
                yield True

    def _sample_depth(self, path: str, depth: float) -> None:
        age = self._ages.get(path, 0.0) if depth else 0.0
        if self._depths.get(path, (0.0, 0.0)) == (depth, age):
            return
        self._depths[path] = (depth, age)
        self._samples.append((self._account.now(), "depth", path, depth, round(age * 1000)))

    def depth(self, path: str) -> float:
        """Returns the number of messages in a queue when it was read last."""
        return self._depths.get(path, (0.0, 0.0))[0]

    # -- alarms ---------------------------------------------------------------------------

    def _read_alarms(self) -> Iterator[bool]:
        paths = {
            name: resource.path
            for resource, name in self._places.of(
                "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"
            )
        }
        names = [*paths]
        with self._account.attempts(_ALARMS) as attempts:
            for first in range(0, len(names), _ALARMS_AT_ONCE):
                with attempts.at():
                    for page in self._account.pages(
                        "cloudwatch",
                        "describe_alarms",
                        AlarmNames=names[first : first + _ALARMS_AT_ONCE],
                        AlarmTypes=["MetricAlarm", "CompositeAlarm"],
                        MaxRecords=_ALARMS_AT_ONCE,
                    ):
                        found = (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
                        for alarm in found:
                            self._take_alarm(paths[alarm["AlarmName"]], alarm)
                yield True

    def _take_alarm(self, path: str, alarm: Mapping[str, Any]) -> None:
        known = self.alarms.get(path, {}).get("state")
        ringing = alarm["StateValue"] == "ALARM"
        if ringing != (known == "ALARM"):
            at = self._account.now()
            if changed := alarm.get("StateUpdatedTimestamp"):
                at = min(max(changed.timestamp(), self._since), at)
            self._samples.append((at, "alarm", path, float(ringing), 0.0))
        self.alarms[path] = {
            "path": path,
            "name": alarm["AlarmName"],
            "state": alarm["StateValue"],
            "reason": alarm.get("StateReason", ""),
            "says": alarm.get("AlarmDescription", ""),
        }

    # -- search ---------------------------------------------------------------------------

    def search(self, text: str, hours: float) -> None:
        """Begins to look for an id in all logs of the time before those that are read anyway.

        It takes the place of a search that goes on. Raises CallFailed if the text is no id.
        """
        if not _ID.fullmatch(text):
            raise CallFailed(f"{text!r} is no id: give letters, digits and . _ : @ / + -")
        if not 0 < hours <= _LONGEST_SEARCH_H:
            raise CallFailed(f"{hours:g} hours: choose at most {_LONGEST_SEARCH_H}")
        begin = self._account.now() - hours * 3600
        if begin >= self._since:
            raise CallFailed(f"the last {hours:g} hours are read already: choose a longer time")
        self.searched = {"text": text, "done": 0, "of": len(self._groups), "found": 0}
        self._search = self._search_logs(text, begin)

    def _search_logs(self, text: str, begin: float) -> Iterator[bool]:
        """Looks for the text first, and then for the correlation ids of what has it."""
        matched: set[str] = set()
        found = yield from self._search_for([text], begin, matched)
        if also := sorted(found - {text})[:_MOST_JOINED]:
            yield from self._search_for(also, begin, matched)
        self.searched |= {"done": len(self._groups)}

    def _search_for(
        self, texts: list[str], begin: float, matched: set[str]
    ) -> Generator[bool, None, set[str]]:
        """Reads the lines that have one of these texts, and returns their correlation ids.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
        """
        correlations: set[str] = set()
        pattern = " ".join(f'?"{each}"' for each in texts)
        with self._account.attempts(_OLDER) as attempts:
            for number, group in enumerate(self._groups):
                self.searched |= {"done": number}
                yield from self._pace()
                with attempts.at(group.name):
                    correlations |= yield from self._search_group(group, pattern, begin, matched)
                yield True
        return correlations

    def _search_group(
        self, group: _Group, pattern: str, begin: float, matched: set[str]
    ) -> Generator[bool, None, set[str]]:
        correlations: set[str] = set()
        pages = self._account.pages(
            "logs",
            "filter_log_events",
            logGroupName=group.name,
            filterPattern=pattern,
            startTime=int(begin * 1000),
            endTime=int(self._since * 1000) - 1,
        )
        for page in islice(pages, _SEARCH_PAGES):
            self._log_call_at = self._monotonic() + self._log_every_s
            for line in page["events"]:
                if line["eventId"] not in self._older:
                    records = self._records_of(group, line)
                    self._older[line["eventId"]] = {*filter(None, map(_correlation, records))}
                correlations |= self._older[line["eventId"]]
                matched.add(line["eventId"])
                self.searched |= {"found": len(matched)}
            yield from self._pace()
        return correlations

    # -- mappings -------------------------------------------------------------------------

    def _read_mappings(self) -> Iterator[bool]:
        """Reads all mappings of the account at once: their list cannot be limited to a stack."""
        found: dict[str, list[dict[str, Any]]] = {}
        with self._account.attempts(_MAPPINGS) as attempts:
            with attempts.at():
                for page in self._account.pages("lambda", "list_event_source_mappings"):
                    for each in page["EventSourceMappings"]:
                        if path := self._places.path_of(each.get("FunctionArn", "")):
                            found.setdefault(path, []).append(mapping_of(self._places, each))
                self.mappings = found
            yield True

    @property
    def disabled(self) -> list[dict[str, Any]]:
        """The mappings that read nothing, each with its function."""
        return [
            {"function": path, **each}
            for path, mappings in sorted(self.mappings.items())
            for each in mappings
            if not each["reads"]
        ]

    # -- metrics --------------------------------------------------------------------------

    def _read_metrics(self) -> Iterator[bool]:
        """Reads ages of queues, and counts of what no log counts, for the minutes that are over."""
        end = self._account.now() // _MINUTE_S * _MINUTE_S
        ages = {
            url.rpartition("/")[2]: path
            for path, url in self._places.queues.items()
            if self._depths.get(path, (0.0, 0.0))[0]
        }
        topics = {topic.path: arn for topic, arn in self._places.of("AWS::SNS::Topic")}
        asked = [
            *(
                (("age", path, False), _query("AWS/SQS", _AGE, "QueueName", name, "Maximum"))
                for name, path in ages.items()
            ),
            *(
                (
                    ("count", path, failed),
                    _query("AWS/SNS", metric, "TopicName", arn.rpartition(":")[2], "Sum"),
                )
                for path, arn in topics.items()
                for metric, failed in _NOTIFIED
            ),
        ]
        with self._account.attempts(_METRICS) as attempts:
            for first in range(0, len(asked), _METRICS_AT_ONCE):
                with attempts.at():
                    self._take_metrics(asked[first : first + _METRICS_AT_ONCE], end)
                yield True
        self._counted_to = max(end, self._counted_to)

    def _take_metrics(
        self, asked: list[tuple[tuple[str, str, bool], dict[str, Any]]], end: float
    ) -> None:
        queries = [{**query, "Id": f"m{number}"} for number, (_, query) in enumerate(asked)]
        # A metric of a minute may come some minutes after it.
        start = min(self._counted_to, end - 5 * _MINUTE_S)
        for page in self._account.pages(
            "cloudwatch",
            "get_metric_data",
            MetricDataQueries=queries,
            StartTime=self._account.moment(start),
            EndTime=self._account.moment(end),
            ScanBy="TimestampAscending",
        ):
            for result in page["MetricDataResults"]:
                what, path, failed = asked[int(result["Id"][1:])][0]
                values = [
                    (moment.timestamp(), value)
                    for moment, value in zip(result["Timestamps"], result["Values"], strict=True)
                ]
                if what == "age":
                    self._ages[path] = values[-1][1] if values else 0.0
                    self._sample_depth(path, self.depth(path))
                    continue
                for moment, value in values:
                    if value and moment >= self._counted_to:
                        counts = (0.0, value) if failed else (value, 0.0)
                        self._samples.append((moment + _MINUTE_S, "count", path, *counts))

    # -- logs -----------------------------------------------------------------------------

    def _writers(self) -> dict[str, list[Writer]]:
        """Returns the names of all log groups, with what writes to each."""
        found: dict[str, list[Writer]] = {}
        invokers: dict[str, set[str]] = {}
        for edge in edges(self._places.assembly):
            invokers.setdefault(edge.target, set()).add(edge.source)
        for function, name in self._places.of("AWS::Lambda::Function"):
            logging = function.properties.get("LoggingConfig") or {}
            group = self._group(function, logging.get("LogGroup")) or f"/aws/lambda/{name}"
            sources = invokers.get(function.path, set())
            source = next(iter(sources)) if len(sources) == 1 else ""
            source = self._map.aliases.get(source, source)
            reports = logging.get("SystemLogLevel", "INFO") != "WARN"
            writer = Writer(function.path, "function", name, source, reports)
            found.setdefault(group, []).append(writer)
        for machine, _ in self._places.of("AWS::StepFunctions::StateMachine"):
            logging = machine.properties.get("LoggingConfiguration") or {}
            for destination in logging.get("Destinations") or ():
                stated = (destination.get("CloudWatchLogsLogGroup") or {}).get("LogGroupArn")
                if log := self._group(machine, stated):
                    found.setdefault(log, []).append(Writer(machine.path, "workflow"))
        for group, writer in self._access_logs():
            found.setdefault(group, []).append(writer)
        buses = [node.path for node in self._map.nodes if node.kind == "bus"]
        for _, name in self._places.of("AWS::Logs::LogGroup"):
            if name not in found and buses:
                found[name] = [Writer(buses[0], "bus")]
        return found

    def _access_logs(self) -> Iterator[tuple[str, Writer]]:
        stages = {
            "AWS::ApiGatewayV2::Stage": ("AccessLogSettings", "ApiId"),
            "AWS::ApiGateway::Stage": ("AccessLogSetting", "RestApiId"),
        }
        for type_, (setting, api_id) in stages.items():
            for stage, _ in self._places.of(type_):
                logging = stage.properties.get(setting) or {}
                api = self._places.assembly.find(stage.stack, stage.properties.get(api_id))
                group = self._group(stage, logging.get("DestinationArn"))
                access = _variables(logging.get("Format"))
                if api is not None and group and access:
                    yield group, Writer(api.path, "api", access=access)

    def _group(self, owner: Resource, stated: Any) -> str | None:
        """Returns the name of the log group that a property names."""
        found = self._places.assembly.find(owner.stack, stated)
        if found is not None and found.type == "AWS::Logs::LogGroup":
            return self._places.id_of(found)
        return stated if isinstance(stated, str) else None

    def _read_logs(self) -> Iterator[bool]:
        with self._account.attempts(_LOGS) as attempts:
            for group in self._groups:
                yield from self._pace()
                self._log_call_at = self._monotonic() + self._log_every_s
                with attempts.at(group.name):
                    yield from self._read_group(group)
                yield True

    def _read_group(self, group: _Group) -> Iterator[bool]:
        now = self._account.now()
        start = max(self._since, group.since - _LATE_S)
        for page in self._account.pages(
            "logs", "filter_log_events", logGroupName=group.name, startTime=int(start * 1000)
        ):
            self._log_call_at = self._monotonic() + self._log_every_s
            for line in page["events"]:
                self._take_line(group, line)
            yield from self._pace()
        horizon = now - 2 * _LATE_S
        group.seen = {id_: time for id_, time in group.seen.items() if time > horizon}
        group.since = max(group.since, now)

    def _pace(self) -> Iterator[bool]:
        """Waits until logs may be read again."""
        while self._monotonic() < self._log_call_at:
            yield False

    def _take_line(self, group: _Group, line: Mapping[str, Any]) -> None:
        if line["eventId"] in group.seen:
            return
        group.seen[line["eventId"]] = line["timestamp"] / 1000
        self._records_of(group, line)

    def _records_of(self, group: _Group, line: Mapping[str, Any]) -> list[Record]:
        writer = _writer_of(group.writers, line.get("logStreamName", ""))
        records = [*self._lines.records(writer, line["timestamp"] / 1000, line["message"])]
        self._records += records
        return records

    def log_group_of(self, path: str) -> str | None:
        """Returns the name of the log group of a function or workflow."""
        for group in self._groups:
            if any(writer.path == path for writer in group.writers):
                return group.name
        return None


def _writer_of(writers: list[Writer], stream: str) -> Writer:
    """Returns what has written to a stream: in a shared group, streams have names of functions.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
    """
    parts = re.split(r"[/\[\]]+", stream)
    named = [each for each in writers if each.name in parts]
    return named[0] if named else writers[0]


def _correlation(record: Record) -> str:
    detail = (record.detail.get("event") or {}).get("detail") or {}
    return str(detail.get("correlationid") or "")


def _query(
    namespace: str, metric: str, dimension: str, name: str, statistic: str
) -> dict[str, Any]:
    return {
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": dimension, "Value": name}],
            },
            "Period": _MINUTE_S,
            "Stat": statistic,
        }
    }


def _variables(format_: Any) -> dict[str, str]:
    """Returns the variables of an access log in JSON, by the names that its lines give them."""
    try:
        stated = json.loads(format_)
    except (TypeError, ValueError):
        return {}
    if not isinstance(stated, dict):
        return {}
    found = {name: _CONTEXT.match(str(value)) for name, value in stated.items()}
    return {name: match[1] for name, match in found.items() if match}
