"""Permissions: which of them a rehearsal has used, and whether it needs each part of a policy."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from cdk_rehearsal.assembly import listed
from cdk_rehearsal.authorization import stored_policies
from cdk_rehearsal.authorization.api_actions import names_any
from cdk_rehearsal.authorization.decisions import Recorded
from cdk_rehearsal.policies import Policies, Request, Statement
from cdk_rehearsal.rehearsal import Rehearsal
from cdk_rehearsal.weakening import remove, weaken

_PARTS = {
    "statement": ["Statement", "*"],
    "action": ["Statement", "*", "Action", "*"],
    "excluded action": ["Statement", "*", "NotAction", "*"],
    "resource": ["Statement", "*", "Resource", "*"],
    "excluded resource": ["Statement", "*", "NotResource", "*"],
    "condition": ["Statement", "*", "Condition", "*", "*"],
    "value": ["Statement", "*", "Condition", "*", "*", "*"],
}
"""The parts of a policy that are removed, one at a time, as paths of `weakening.weaken`."""

_SCOPES = ("events:source", "events:detail-type", "iam:passedtoservice", "ses:fromaddress")
"""Keys that limit an action to what a function does, besides the keys that other roles limit."""

_Documents = Sequence[Mapping[str, Any]]

_UNUSED = "never used:"
_FOREIGN = "somebody-elses"
"""A value that no policy names."""


@dataclass(frozen=True, order=True)
class Permission:
    """An action on a resource, as a policy of a role states them."""

    action: str
    resource: str

    def __str__(self) -> str:
        """The action and the resource."""
        return f"{self.action} on {self.resource}"


@dataclass
class RolePermissions:
    """The permissions of a role."""

    who: str
    """The path of the function that has the role, else of the role."""
    used: set[Permission] = field(default_factory=set)
    unused: set[Permission] = field(default_factory=set)
    wildcards: set[Permission] = field(default_factory=set)
    """Used permissions that a policy grants for all actions, or for all resources of a type."""
    unlimited: set[str] = field(default_factory=set)
    """What the role could do beyond its use, because no condition limits a key."""
    denied: set[Permission] = field(default_factory=set)
    """Requests that were refused."""


@dataclass(frozen=True)
class Removal:
    """A part of a policy of a role or table, whose removal changes no decision of a rehearsal."""

    who: str
    kind: str
    part: str
    taken: frozenset[Permission]
    """The permissions that the removal takes away."""

    def __str__(self) -> str:
        """The role, the kind of part, and the part."""
        return f"{self.who} | {self.kind} | {self.part}"


@dataclass(frozen=True)
class _Role:
    who: str
    arn: str
    documents: Sequence[Mapping[str, Any]]
    recorded: Sequence[Recorded]
    effect = "Allow"

    def notices(self, rehearsal: Rehearsal) -> Callable[[_Documents], bool]:
        """Returns whether other policies would decide otherwise."""
        foreign = list(_foreign(self, rehearsal))
        return lambda changed: _noticed(
            self, foreign, Policies.read("identity-based policy", changed)
        )


@dataclass(frozen=True)
class _Table:
    who: str
    documents: Sequence[Mapping[str, Any]]
    recorded: Sequence[Recorded]
    """The requests about the table and its indexes."""
    effect = "Deny"

    def notices(self, rehearsal: Rehearsal) -> Callable[[_Documents], bool]:
        """Returns whether other policies would decide otherwise."""

        def noticed(changed: _Documents) -> bool:
            policies = Policies.read("resource-based policy", changed)
            return any(
                each.decided_with(policies.naming(each.principal)).allowed != each.decision.allowed
                for each in self.recorded
            )

        return noticed


def permissions(rehearsal: Rehearsal) -> list[RolePermissions]:
    """Returns what each role may do, and what it has done so far."""
    return [_of_role(role, rehearsal) for role in _roles(rehearsal)]


def _roles(rehearsal: Rehearsal) -> list[_Role]:
    access = rehearsal.access
    functions = {function.role: function.path for function in rehearsal.functions}
    recorded: dict[str, list[Recorded]] = {}
    for each in access.recorded.values():
        recorded.setdefault(each.principal.role, []).append(each)
    arns = [str(r.attributes["Arn"]) for r in rehearsal.resources if r.type == "AWS::IAM::Role"]
    return [
        _Role(
            functions.get(arn) or rehearsal.path_of(arn),
            arn,
            stored_policies.of_role(access.account, arn),
            recorded.get(arn, []),
        )
        for arn in arns
    ]


def _tables(rehearsal: Rehearsal) -> Iterator[_Table]:
    """The tables that have a policy."""
    access = rehearsal.access
    for resource in rehearsal.resources:
        arn = str(resource.attributes.get("Arn"))
        if resource.type in ("AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"):
            documents = stored_policies.of_resource(access.account, access.region, arn)
            recorded = [
                each
                for each in access.recorded.values()
                if each.request.resource.partition("/index/")[0] == arn
            ]
            if documents:
                yield _Table(resource.path, documents, recorded)


def _of_role(role: _Role, rehearsal: Rehearsal) -> RolePermissions:
    def named(resource: str) -> str:
        return _named(rehearsal, resource)

    found = RolePermissions(role.who)
    for statement, action, resource in _stated(role.documents):
        permission = Permission(action, named(resource))
        single = Statement({**statement, **_only(statement, action, resource)}, variables=True)
        used = [
            r.request for r in role.recorded if r.decision.allowed and single.applies(r.request)
        ]
        (found.used if used else found.unused).add(permission)
        broad = "*" in action or resource.startswith("all but")
        if used and (broad or names_any(used[0].action, resource)):
            found.wildcards.add(permission)
    for each in role.recorded:
        if not each.decision.allowed:
            found.denied.add(Permission(each.request.action, named(each.request.resource)))
    for each, request, how in _foreign(role, rehearsal):
        if each.decided(request, each.plan.identity).allowed:
            request_on = Permission(request.action, named(request.resource))
            found.unlimited.add(f"{request_on}, {how}")
    return found


def _named(rehearsal: Rehearsal, resource: str) -> str:
    """Returns the path of the resource that an ARN names, with what follows its own ARN."""
    for end in (len(resource), *(i for i, each in enumerate(resource) if each in "/:")):
        path = rehearsal.path_of(resource[:end])
        if path != resource[:end]:
            return path + resource[end:]
    return resource


def _stated(
    documents: Sequence[Mapping[str, Any]], effect: str = "Allow"
) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    for document in documents:
        for statement in listed(document["Statement"]):
            if statement["Effect"] == effect:
                actions = listed(statement.get("Action")) or ["all but NotAction"]
                resources = listed(statement.get("Resource")) or [
                    f"all but {each}" for each in listed(statement.get("NotResource"))
                ]
                for action, resource in product(actions, resources):
                    yield statement, action, resource


def _only(statement: Mapping[str, Any], action: str, resource: str) -> dict[str, Any]:
    """Returns one action and one resource of a statement, unless it excludes some."""
    return {
        **({"Action": action} if "Action" in statement else {}),
        **({"Resource": resource} if "Resource" in statement else {}),
    }


# -- removals -------------------------------------------------------------------------------


def needless(rehearsal: Rehearsal) -> tuple[int, list[Removal]]:
    """Removes each part of the policies of roles and tables, one at a time, and decides again.

    Returns the number of removals, and those that change nothing: all that the roles did would
    still be allowed, and nothing beyond it would be.
    """
    count, survivors = 0, []
    subjects: list[_Role | _Table] = [*_roles(rehearsal), *_tables(rehearsal)]
    for role in subjects:
        noticed = role.notices(rehearsal)
        for index, document in enumerate(role.documents):
            for kind, path in _PARTS.items():
                for location, weakened in weaken(document, path, remove()):
                    count += 1
                    changed = [*role.documents]
                    changed[index] = weakened
                    if not noticed(changed):
                        part = _part(document, location)
                        taken = _permissions(rehearsal, document, role.effect)
                        taken -= _permissions(rehearsal, weakened, role.effect)
                        survivors.append(Removal(role.who, kind, part, frozenset(taken)))
    return count, survivors


def _permissions(rehearsal: Rehearsal, document: Mapping[str, Any], effect: str) -> set[Permission]:
    return {
        Permission(action, _named(rehearsal, resource))
        for _, action, resource in _stated([document], effect)
    }


def _noticed(
    role: _Role, foreign: Sequence[tuple[Recorded, Request, str]], policies: Policies
) -> bool:
    requests = [(each, each.request) for each in role.recorded]
    requests += [(each, request) for each, request, _ in foreign]
    return any(
        each.decided(request, policies).allowed != each.decided(request, each.plan.identity).allowed
        for each, request in requests
    )


def _part(document: Mapping[str, Any], location: str) -> str:
    value: Any = document
    names = location.split(".")
    for position, name in enumerate(names):
        if name == "Condition":
            return f"{' '.join(names[position + 1 :])} of {_actions(document, names[1])}"
        value = value[int(name)] if isinstance(value, list) else value[name]
    if len(names) == 2:
        return _actions(document, names[1])
    return f"{value} of {_actions(document, names[1])}"


def _actions(document: Mapping[str, Any], statement: str) -> str:
    raw = listed(document["Statement"])[int(statement)]
    return ", ".join(listed(raw.get("Action", raw.get("NotAction"))))


def _foreign(role: _Role, rehearsal: Rehearsal) -> Iterator[tuple[Recorded, Request, str]]:
    """Yields requests that the role never made: those it made, with one key changed or missing.

    The keys are those by which some role limits the same action on the same resource.
    """
    limits = _limits(rehearsal)
    for each in role.recorded:
        action, resource, context = each.request.action, each.request.resource, each.request.context
        keys = {*_SCOPES, *limits.get((action, resource), ())} & context.keys()
        for key in sorted(keys) if each.decision.allowed else ():
            values = _FOREIGN if isinstance(context[key], str) else [_FOREIGN]
            yield each, Request(action, resource, {**context, key: values}), f"any {key}"
            rest = {name: value for name, value in context.items() if name != key}
            yield each, Request(action, resource, rest), f"without {key}"


def _limits(rehearsal: Rehearsal) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for each in rehearsal.access.recorded.values():
        for statement in each.decision.allowing:
            keys = found.setdefault((each.request.action, each.request.resource), set())
            keys |= statement.condition_keys
    return found


# -- the report -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Explanation:
    """The reason why a permission may stay that a rehearsal has not used; two patterns."""

    role: str
    permission: str
    why: str
    tested: bool = False
    """Whether another rehearsal uses the permission, such as a test."""

    def matches(self, who: str, permission: object) -> bool:
        """Whether it explains a finding about a role."""
        return fnmatchcase(who, self.role) and fnmatchcase(str(permission), self.permission)


def read_explanations(path: Path) -> list[Explanation]:
    """Reads a TOML file with entries `[[permission]]`: `permission` and `why`.

    An entry may have a `role`, and `tested = true`. Raises ValueError if an entry
    lacks a key or has an unknown one.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("permission", [])
    for entry in entries:
        if entry.keys() - {"role", "tested"} != {"permission", "why"}:
            raise ValueError(
                f"{path}: wrong entry {entry}: give a permission and a why, and optionally a role "
                "and tested"
            )
    return [Explanation(**{"role": "*", **entry}) for entry in entries]


@dataclass
class PermissionReport:
    """What the roles have used of their permissions, and what nobody would miss."""

    roles: Sequence[RolePermissions]
    removals: int
    needless: Sequence[Removal]
    explanations: Sequence[Explanation] = ()

    def why(self, who: str, what: str, permission: object) -> str:
        """Returns the explanation of a finding, empty if there is none."""
        for each in self.explanations:
            if each.matches(who, permission) and (what == _UNUSED or not each.tested):
                return each.why
        return ""

    @property
    def findings(self) -> list[str]:
        """Findings without an explanation, and explanations without a finding."""
        needless = [
            f"{each}: its removal changes nothing"
            for each in self.needless
            if not each.taken or not all(self.why(each.who, _UNUSED, one) for one in each.taken)
        ]
        return [*self.unexplained, *needless, *self._stale()]

    @property
    def unexplained(self) -> list[str]:
        """Permissions that are neither used nor explained, too wide, or missing."""
        return [
            f"{role.who}: {what} {each}"
            for role in self.roles
            for what, items in _sections(role)
            for each in items
            if not self.why(role.who, what, each)
        ]

    def _stale(self) -> Iterator[str]:
        items = [(r.who, each) for r in self.roles for _, items in _sections(r) for each in items]
        items += [(removal.who, each) for removal in self.needless for each in removal.taken]
        for each in self.explanations:
            if not any(each.matches(who, item) for who, item in items):
                yield f"{each.permission} of {each.role} is explained, but there is no such finding"

    def as_json(self) -> dict[str, Any]:
        """Returns the report for JSON."""
        names = ("used", "unused", "wildcards", "unlimited", "denied")
        roles = {r.who: {n: sorted(map(str, getattr(r, n))) for n in names} for r in self.roles}
        return {"roles": roles, "removals": self.removals, "findings": self.findings}

    def lines(self) -> Iterator[str]:
        """Yields the report as text."""
        for role in sorted(self.roles, key=lambda role: role.who):
            yield f"{role.who}: {len(role.used)} granted and used"
            for what, items in _sections(role):
                for each in sorted(map(str, items)):
                    why = self.why(role.who, what, each)
                    yield f"  {what} {each}{f': {why}' if why else ''}"
        used, unused = (sum(len(getattr(r, n)) for r in self.roles) for n in ("used", "unused"))
        yield (
            f"{len(self.roles)} roles with {used + unused} permissions: {used} used, {unused} not; "
            f"{self.removals} parts of policies removed, one at a time: "
            f"{self.removals - len(self.needless)} change a decision"
        )


def _sections(role: RolePermissions) -> list[tuple[str, Sequence[Any]]]:
    return [
        (_UNUSED, sorted(role.unused)),
        ("used through a wildcard:", sorted(role.wildcards)),
        ("not limited:", sorted(role.unlimited)),
        ("refused:", sorted(role.denied)),
    ]


def permission_report(
    rehearsal: Rehearsal, explanations: Sequence[Explanation] = ()
) -> PermissionReport:
    """Returns a report of what the rehearsal has used so far."""
    return PermissionReport(permissions(rehearsal), *needless(rehearsal), explanations)
