"""The permissions in the templates, and how a change widens or narrows them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.assembly import Resource, listed
from cdk_rehearsal.topology.changes import Side, Sides
from cdk_rehearsal.topology.values import table, tables

_POLICIES: Mapping[str, tuple[str, str]] = {
    "AWS::KMS::Key": ("KeyPolicy", ""),
    "AWS::S3::BucketPolicy": ("PolicyDocument", "Bucket"),
    "AWS::SNS::TopicPolicy": ("PolicyDocument", "Topics"),
    "AWS::SQS::QueuePolicy": ("PolicyDocument", "Queues"),
    "AWS::Events::EventBusPolicy": ("Statement", "EventBusName"),
    "AWS::EventsV2::ResourcePolicy": ("PolicyDocument", "EventBusArn"),
    "AWS::SecretsManager::ResourcePolicy": ("ResourcePolicy", "SecretId"),
}
"""Resource policies: the properties of the document and of the resource that it is about."""

_CONDITIONS: Mapping[str, tuple[str, str]] = {
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "SourceAccount": ("StringEquals", "aws:SourceAccount"),
    "SourceArn": ("ArnLike", "aws:SourceArn"),
}
"""The operator and the key of the condition for which a property of a permission stands."""

_OWN_TELEMETRY = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


@dataclass(frozen=True)
class Right:
    """An action that a principal may, or must not, do with a resource."""

    who: str
    effect: str
    action: str
    what: str
    condition: str
    """As JSON; empty if there is none."""

    @property
    def subject(self) -> tuple[str, str, str, str]:
        """All but the condition."""
        return (self.who, self.effect, self.action, self.what)


def rights(side: Side) -> set[Right]:
    """Returns all permissions in the templates."""
    return {right for resource in side.assembly.resources for right in _rights_in(side, resource)}


def _rights_in(side: Side, resource: Resource) -> Iterator[Right]:
    properties = side.properties(resource)
    if resource.type in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
        for role in listed(properties.get("Roles")):
            yield from _stated(side.acts_as(str(role)), properties.get("PolicyDocument"))
    elif resource.type == "AWS::IAM::Role":
        who = side.acts_as(resource.path)
        for policy in tables(properties.get("Policies")):
            yield from _stated(who, policy.get("PolicyDocument"))
        for arn in listed(properties.get("ManagedPolicyArns")):
            yield Right(who, "Allow", "all that is in a managed policy", str(arn), "")
        trust = properties.get("AssumeRolePolicyDocument", {})
        yield from _stated(None, trust, f"the role of {who}")
    elif resource.type in _POLICIES:
        document, about = _POLICIES[resource.type]
        what = ", ".join(map(str, listed(properties[about]))) if about else resource.path
        yield from _stated(None, properties.get(document, {}), what)
    elif resource.type == "AWS::Lambda::Permission":
        yield Right(
            str(properties["Principal"]),
            "Allow",
            str(properties["Action"]),
            str(properties["FunctionName"]),
            json.dumps(condition) if (condition := permission_condition(properties)) else "",
        )
    elif resource.type == "AWS::Lambda::Url":
        signed = properties.get("AuthType") == "AWS_IAM"
        who = "clients that sign their requests" if signed else "anybody"
        yield Right(who, "Allow", "call", resource.path, "")
    elif resource.type == "AWS::ApiGatewayV2::Route":
        authorizer = properties.get("AuthorizerId") or properties.get("AuthorizationType", "NONE")
        open_to_all = authorizer == "NONE"
        who = "anybody" if open_to_all else f"clients with a token for {authorizer}"
        yield Right(who, "Allow", "call", str(properties["RouteKey"]), "")


def permission_condition(properties: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the condition of the statement for which an ``AWS::Lambda::Permission`` stands.

    https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
    """
    condition: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, (operator, key) in _CONDITIONS.items():
        if name in properties:
            condition[operator][key] = properties[name]
    return dict(condition)


def _stated(who: str | None, document: Any, what: str | None = None) -> Iterator[Right]:
    for statement in tables(table(document).get("Statement", document)):
        actors = [who] if who else _principals(statement)
        condition = table(statement.get("Condition"))
        text = json.dumps(condition, sort_keys=True) if condition else ""
        actions = listed(statement.get("Action")) or [
            f"all but {action}" for action in listed(statement.get("NotAction"))
        ]
        objects = [what] if what else listed(statement.get("Resource"))
        objects = objects or [f"all but {each}" for each in listed(statement.get("NotResource"))]
        for actor in actors:
            for action in actions:
                for each in objects:
                    yield Right(actor, str(statement.get("Effect")), str(action), str(each), text)


def _principals(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal", "*")
    if principal == "*":
        return ["anybody"]
    return [
        "anybody" if each == "*" else str(each)
        for values in principal.values()
        for each in listed(values)
    ]


def changes(sides: Sides) -> list[str]:
    """Returns lines on permissions that change, except those that each new resource has."""
    before, after = rights(sides.base), rights(sides.head)
    gained, lost = after - before, before - after
    changed = {right.subject for right in gained} & {right.subject for right in lost}
    new = {resource.path for resource in sides.added}
    gone = {resource.path for resource in sides.removed}
    lines = [
        *_conditions(
            [right for right in lost if right.subject in changed],
            [right for right in gained if right.subject in changed],
        ),
        *_lines(
            (r for r in gained if r.subject not in changed and not _usual(r, new)), gained=True
        ),
        *_lines((r for r in lost if r.subject not in changed and not _idle(r, gone)), gained=False),
    ]
    return sorted(lines, key=lambda line: not line.startswith("widened"))


def _idle(right: Right, gone: set[str]) -> bool:
    """Whether it is lost with its principal or its resource."""
    return right.who in gone or right.what.removeprefix("the role of ") in gone


def _usual(right: Right, fresh: set[str]) -> bool:
    """Whether each new resource of this kind has it."""
    if right.effect == "Deny":
        return right.what in fresh
    own_log = right.action in _OWN_TELEMETRY
    own_role = right.action == "sts:AssumeRole" and right.who.endswith(".amazonaws.com")
    return (right.who in fresh and own_log) or (
        own_role and right.what.removeprefix("the role of ") in fresh
    )


def _lines(found: Iterable[Right], *, gained: bool) -> Iterator[str]:
    grouped: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for right in found:
        grouped[right.who, right.effect, right.what, right.condition].append(right.action)
    for (who, effect, what, condition), actions in sorted(grouped.items()):
        wider = gained == (effect == "Allow")
        verb = "may" if effect == "Allow" else "must not"
        now = "" if gained else " no longer" if effect == "Allow" else " any more (was forbidden)"
        broad = "*" in {what, *actions} or any(action.endswith(":*") for action in actions)
        yield (
            f"{'widened' if wider else 'narrowed'}: `{who}` {verb}{now} "
            f"{', '.join(f'`{action}`' for action in sorted(actions))} on `{what}`"
            f"{_only_if(condition)}{' — a wildcard' if broad and wider else ''}"
        )


def _only_if(condition: str) -> str:
    return f" if {_short(json.loads(condition))}" if condition else ""


def _short(condition: Mapping[str, Any]) -> str:
    return " and ".join(
        f"{key} {operator} {', '.join(map(str, listed(values)))}"
        for operator, keys in condition.items()
        for key, values in keys.items()
    )


def _conditions(before: list[Right], after: list[Right]) -> Iterator[str]:
    old: dict[tuple[str, ...], list[str]] = defaultdict(list)
    new: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for right in before:
        old[right.subject].append(right.condition)
    for right in after:
        new[right.subject].append(right.condition)
    for subject in sorted(old):
        who, effect, action, what = subject
        looser, tighter = _compared(_limits(old[subject]), _limits(new[subject]))
        wider = bool(looser) if effect == "Allow" else bool(tighter)
        verb = "may" if effect == "Allow" else "must not"
        yield (
            f"{'widened' if wider else 'narrowed'}: `{who}` {verb} `{action}` on `{what}` "
            f"{'; '.join([*looser, *tighter])}"
        )


Limits = Mapping[str, set[str]]
"""The values to which conditions limit keys, by key and operator."""


def _limits(conditions: Iterable[str]) -> Limits:
    found: dict[str, set[str]] = defaultdict(set)
    for text in conditions:
        for operator, keys in (json.loads(text) if text else {}).items():
            for key, values in table(keys).items():
                found[f"{key} {operator}"] |= set(map(str, listed(values)))
    return found


def _compared(before: Limits, after: Limits) -> tuple[list[str], list[str]]:
    """The values that conditions admit only now, and those that they admitted only before."""
    looser = [f"whatever {key} is" for key in sorted(before.keys() - after.keys())]
    tighter = [
        f"only if {key} {', '.join(sorted(after[key]))}"
        for key in sorted(after.keys() - before.keys())
    ]
    for key in sorted(before.keys() & after.keys()):
        if more := sorted(after[key] - before[key]):
            looser.append(f"also if {key} {', '.join(more)}")
        if less := sorted(before[key] - after[key]):
            tighter.append(f"no longer if {key} {', '.join(less)}")
    return looser, tighter
