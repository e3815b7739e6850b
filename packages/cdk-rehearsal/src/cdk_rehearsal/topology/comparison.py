"""Compares two versions of an application: a comment for the reviewer of the change."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cdk_rehearsal.assembly import Assembly, Resource, listed
from cdk_rehearsal.topology import permissions, values
from cdk_rehearsal.topology.changes import (
    MISSING,
    Difference,
    Side,
    Sides,
    brief,
)
from cdk_rehearsal.topology.locations import moves
from cdk_rehearsal.topology.messaging import Edge, edges
from cdk_rehearsal.topology.refusals import Refusal, refusals
from cdk_rehearsal.topology.replacements import STATEFUL, Replacement, replacements
from cdk_rehearsal.topology.routes import Filter, filters, leaves

_MOST_LINES = 25
"""The limit of lines in a section; the rest is counted."""

_KEPT = {
    "RetentionInDays": "days",
    "RetentionDays": "days",
    "RetentionPeriodHours": "hours",
    "RetentionPeriodInDays": "days",
    "MessageRetentionPeriod": "s",
    "RecoveryPeriodInDays": "days",
    "PointInTimeRecoveryEnabled": "",
    "DeletionProtectionEnabled": "",
    "DeletionPolicy": "",
    "UpdateReplacePolicy": "",
}
"""Properties that say how long, and how safely, data is kept; each with its unit."""
_DELETED = {"Delete", "false", "False", "0"}

_ALARM = "AWS::CloudWatch::Alarm"
_ELSEWHERE = {
    "AWS::Events::Rule": r"EventPattern|Targets\[0\]\.(RetryPolicy|DeadLetterConfig)",
    "AWS::Events::Archive": r"EventPattern",
    "AWS::EventsV2::Subscriber": r"FilterConfiguration|RetryPolicy|OnFailureConfiguration",
    "AWS::SNS::Subscription": r"FilterPolicy|RedrivePolicy",
    "AWS::Lambda::EventSourceMapping": r"FilterCriteria|MaximumR|DestinationConfig",
    "AWS::SQS::Queue": r"RedrivePolicy",
    "AWS::KMS::Key": r"KeyPolicy",
    "AWS::Lambda::Function": r"Code\.|Layers",
    "AWS::Lambda::LayerVersion": r"Content\.",
    "AWS::ApiGatewayV2::Route": r"Authoriz",
}
"""Properties that other sections report, and hashes of code."""
_SILENT = {
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::S3::BucketPolicy",
    "AWS::Lambda::Permission",
    "AWS::CloudWatch::Dashboard",
    _ALARM,
}
_NAMED = {
    "AWS::Lambda::Function": "function",
    "AWS::ApiGatewayV2::Route": "route",
    "AWS::Scheduler::Schedule": "schedule",
    **dict.fromkeys(STATEFUL, ""),
}
"""Types that are named when they are added or removed; the others are counted."""


class Blocking(Protocol):
    """A finding that fails the review unless it is acknowledged."""

    @property
    def path(self) -> str:
        """The path for an acknowledgement."""

    @property
    def advice(self) -> Sequence[str]:
        """How to avoid it."""


Reasons = Mapping[str, Mapping[str, str]]
"""The reasons of acknowledged findings, by kind and path."""

_HEADINGS = {
    "replacement": "Replaced or deleted",
    "refused": "Refused by CloudFormation",
    "breaking": "Breaks clients of the API",
}
"""Headings of the comment, by kind of finding."""


@dataclass(frozen=True)
class Comparison:
    """The findings and the lines of a comment on a change."""

    replacements: Sequence[Replacement] = ()
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Lines by the heading of their section."""
    refusals: Sequence[Refusal] = ()
    breaks: Sequence[Blocking] = ()
    """Changes of interfaces that break clients."""

    def as_json(self) -> dict[str, Any]:
        """Returns all findings and lines as plain values."""
        findings = {
            kind: [{"path": each.path, "says": str(each), "fix": [*each.advice]} for each in found]
            for kind, found in self.blocking.items()
        }
        return {"blocking": findings, "sections": {k: [*v] for k, v in self.sections.items()}}

    @property
    def blocking(self) -> dict[str, Sequence[Blocking]]:
        """All findings that have to be acknowledged, by kind."""
        return {"replacement": self.replacements, "refused": self.refusals, "breaking": self.breaks}

    def unexcused(self, acknowledged: Reasons) -> dict[str, list[Blocking]]:
        """The findings that are not acknowledged, by kind."""
        found = {
            kind: [each for each in blocking if each.path not in acknowledged.get(kind, {})]
            for kind, blocking in self.blocking.items()
        }
        return {kind: open_ for kind, open_ in found.items() if open_}

    def markdown(self, title: str, acknowledged: Reasons, how: str) -> str:
        """Returns the comment on a pull request. `how` explains how to acknowledge findings."""
        blocking, open_ = self.blocking, self.unexcused(acknowledged)
        if not any(blocking.values()) and not any(self.sections.values()):
            return f"**{title}**: no change to events, API, templates or permissions.\n"
        parts = [f"### {title}"]
        for kind, heading in _HEADINGS.items():
            if blocking[kind]:
                here = open_.get(kind, [])
                parts.append(f"#### {heading}" + (" — not acknowledged" if here else ""))
                parts.append(_bullets(_marked(blocking[kind], here, acknowledged.get(kind, {}))))
                parts += dict.fromkeys(line for each in here for line in each.advice)
        if open_:
            parts.append(how)
        for heading, lines in self.sections.items():
            if lines:
                parts += [f"#### {heading}", _bullets(lines)]
        return "\n\n".join(parts) + "\n"


def compare_assemblies(
    base: Assembly,
    head: Assembly,
    *,
    interfaces: Mapping[str, Sequence[str]] | None = None,
    breaks: Sequence[Blocking] = (),
) -> Comparison:
    """Compares the assemblies before and after a change.

    Two inputs are not in the templates: lines about `interfaces`, by heading, and changes of them
    that break clients.
    """
    sides = Sides(Side(base), Side(head))
    lost = replacements(sides)
    return Comparison(
        lost,
        {
            **(interfaces or {}),
            "Moved": list(moves(base, head).lines()),
            "Edges": [*_edges(sides), *_patterns(sides)],
            "Permissions": permissions.changes(sides),
            "Alarms": list(_alarms(sides)),
            "Retention": list(_retention(sides)),
            "Besides": list(_besides(sides, {loss.path for loss in lost})),
        },
        refusals(sides),
        breaks,
    )


def _marked(
    blocking: Sequence[Blocking], open_: Sequence[Blocking], reasons: Mapping[str, str]
) -> Iterator[str]:
    for each in blocking:
        if each in open_:
            yield f"❌ {each}"
        else:
            yield f"☑️ {each} (acknowledged: {reasons[each.path]})"


def _edges(sides: Sides) -> Iterator[str]:
    before, after = _by_ends(sides.base), _by_ends(sides.head)
    passing = {filter_.path: filter_ for filter_ in filters(sides.head.assembly)}
    for ends in sorted(after.keys() - before.keys()):
        edge = after[ends]
        on = passing.get(edge.source)
        missing = ", ".join(_missing(edge))
        lacks = f" **It lacks {missing}.**" if missing else ""
        yield (
            f"new {edge.kind}: `{edge.source}` → `{edge.target}`{_wanted(on)} "
            f"(retries: {_bound(edge.retries)}; parks in {_bound(edge.parking)}).{lacks}"
        )
    for ends in sorted(before.keys() - after.keys()):
        yield f"gone {ends[0]}: `{ends[1]}` → `{ends[2]}`"
    for ends in sorted(before.keys() & after.keys()):
        was, now = before[ends], after[ends]
        for what, old, new in (
            ("retries", was.retries, now.retries),
            ("parks in", was.parking, now.parking),
        ):
            if old != new:
                yield (
                    f"{now.kind} `{now.source}` → `{now.target}`: {what} {_bound(old)} → "
                    f"{_bound(new)}"
                )


def _missing(edge: Edge) -> Iterator[str]:
    """The basics that an edge lacks; synthesis checks more."""
    if not edge.retries:
        yield "a limit of its retries"
    if not edge.parking:
        yield "a dead-letter queue"
    if not edge.alarms:
        yield "an alarm with an action"


def _bound(value: str | None) -> str:
    return "**nothing**" if value is None else value


def _by_ends(side: Side) -> dict[tuple[str, str, str], Edge]:
    return {(edge.kind, edge.source, edge.target): edge for edge in edges(side.assembly)}


def _wanted(filter_: Filter | None) -> str:
    if filter_ is None:
        return ""
    names = [name for pattern in filter_.patterns for name in pattern.get("detail-type", [])]
    return f" for {', '.join(map(str, names))}" if names else " for all that its pattern matches"


def _patterns(sides: Sides) -> Iterator[str]:
    before = {filter_.path: filter_ for filter_ in filters(sides.base.assembly)}
    after = {filter_.path: filter_ for filter_ in filters(sides.head.assembly)}
    for path in sorted(before.keys() & after.keys()):
        old, new = _leaves(before[path].patterns), _leaves(after[path].patterns)
        for name in sorted(old.keys() | new.keys()):
            was, now = old.get(name), new.get(name)
            if was == now:
                continue
            lines = [
                f"no longer asks for {name}" if now is None else "",
                f"asks for {name} {_values(now, set())} now" if was is None and now else "",
                f"also takes {name} {_values(now, was)}" if was and now and now - was else "",
                f"no longer takes {name} {_values(was, now)}" if was and now and was - now else "",
            ]
            yield f"{after[path].kind} `{path}` {', '.join(filter(None, lines))}"


def _values(more: set[str], less: set[str]) -> str:
    return ", ".join(sorted(more - less))


def _leaves(patterns: Iterable[Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pattern in patterns:
        for path, rules in leaves(pattern or {}):
            found.setdefault(".".join(path), set()).update(
                rule if isinstance(rule, str) else json.dumps(rule) for rule in listed(rules)
            )
    return found


def _alarms(sides: Sides) -> Iterator[str]:
    gone = {resource.path for resource in sides.removed if resource.type != _ALARM}
    lost = [alarm for alarm in sides.removed if alarm.type == _ALARM]
    for alarm in lost:
        if _parent(alarm) not in gone:
            yield f"**lost**: `{alarm.path}` ({_metric(alarm)})"
    for parent, number in _counted(_parent(alarm) for alarm in lost if _parent(alarm) in gone):
        yield f"gone, with their resources: {number} of `{parent}`"
    for parent, number in _counted(_parent(alarm) for alarm in sides.added if alarm.type == _ALARM):
        yield f"gained: {number} of `{parent}`"
    for difference in sides.differences:
        if difference.resource.type == _ALARM and not _is_prose(difference):
            silent = difference.name == "AlarmActions" and difference.after in (MISSING, [])
            yield f"{difference}" + (" — **it has no action any more**" if silent else "")


def _parent(resource: Resource) -> str:
    return resource.path.rpartition("/")[0]


def _counted(names: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(names).items())


def _metric(alarm: Resource) -> str:
    return str(alarm.properties.get("MetricName", "of several metrics"))


def _retention(sides: Sides) -> Iterator[str]:
    for difference in sides.differences:
        name = difference.name.rpartition(".")[2]
        if name in _KEPT:
            before, after = difference.before, difference.after
            unit = f" {_KEPT[name]}".rstrip()
            if _KEPT[name]:
                verb = "shortened" if _is_less(name, before, after) else "extended"
            else:
                verb = "loosened" if str(after) in {*_DELETED, MISSING} else "tightened"
            change = f"{name} {brief(before)} → {brief(after)}{unit}"
            yield f"{verb}: `{difference.resource.path}` {change}"


def _is_less(name: str, before: Any, after: Any) -> bool:
    # Without such a property, data is kept for ever; only messages have a default.
    endless = float("inf") if name != "MessageRetentionPeriod" else 4 * 24 * 3600
    was, now = (endless if value == MISSING else values.number(value) for value in (before, after))
    return was is not None and now is not None and now < was


def _besides(sides: Sides, lost: set[str]) -> Iterator[str]:
    for verb, resources in (("new", sides.added), ("gone", sides.removed)):
        for resource in resources:
            if resource.type in _NAMED and not (verb == "gone" and resource.path in lost):
                kind = _NAMED[resource.type] or resource.type
                yield f"{verb} {kind}: `{resource.path}`"
        others = _counted(
            resource.type.rpartition("::")[2]
            for resource in resources
            if resource.type not in _NAMED and resource.type not in {_ALARM, "AWS::CDK::Metadata"}
        )
        if others:
            yield f"{verb} besides: {', '.join(f'{number} {kind}' for kind, number in others)}"
    for difference in sides.differences:
        if difference.resource.path not in lost and not _is_reported_elsewhere(difference):
            yield str(difference)


def _is_reported_elsewhere(difference: Difference) -> bool:
    resource = difference.resource
    if resource.type in _SILENT or difference.name.rpartition(".")[2] in _KEPT:
        return True
    if _is_prose(difference):
        return True
    elsewhere = _ELSEWHERE.get(resource.type)
    return bool(elsewhere and re.match(elsewhere, difference.name))


def _is_prose(difference: Difference) -> bool:
    """Whether it is a description, which changes nothing."""
    return difference.name in {"Description", "AlarmDescription"}


def _bullets(lines: Iterable[str]) -> str:
    all_lines = list(lines)
    more = len(all_lines) - _MOST_LINES
    shown = all_lines[:_MOST_LINES] + ([f"and {more} more"] if more > 0 else [])
    return "\n".join(f"- {line}" for line in shown)
