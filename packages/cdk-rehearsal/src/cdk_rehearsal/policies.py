"""Policies: how AWS decides whether a principal may do an action on a resource.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from operator import eq, ge, gt, le, lt
from typing import Any, Literal

from cdk_rehearsal.assembly import listed
from cdk_rehearsal.errors import UnsupportedTemplateError

Value = str | Sequence[str]
Context = Mapping[str, Value | Callable[[], Value]]
"""Condition keys in lower case, with one value, or with a sequence if AWS allows several.

A function is called for the value only when a condition needs it.
"""

NOT_IN_ASSEMBLY: Mapping[str, str] = {
    f"aws:{name.lower()}": f"aws:{name}"
    for name in (
        *("SourceIp", "VpcSourceIp", "SourceVpc", "SourceVpcArn", "SourceVpce"),
        *("VpceAccount", "VpceOrgID", "VpceOrgPaths", "Referer", "UserAgent"),
        *("PrincipalOrgID", "PrincipalOrgPaths", "ResourceOrgID", "ResourceOrgPaths"),
        *("SourceOrgID", "SourceOrgPaths"),
    )
}
"""Condition keys whose values depend on the network, the client or the organization, by their name
in lower case.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""

_ACCOUNT_ROOT = re.compile(r"(?:arn:aws[\w-]*:iam::)?(\d{12})(?::root)?")
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True, eq=False)
class Principal:
    """The sender of a request: a service by itself, or a session of a role; one object each."""

    account: str
    service: str = ""
    """A service principal, such as `events.amazonaws.com`; empty for a role."""
    role: str = ""
    """The ARN of the role."""
    session: str = ""
    """The ARN of the session, which error messages show."""

    def __str__(self) -> str:
        """The session's ARN or the service."""
        return self.session or self.service


@dataclass(frozen=True)
class Request:
    """An action on a resource, with the values of condition keys."""

    action: str
    resource: str
    context: Context = field(default_factory=dict, hash=False)


def condition_keys(properties: Any) -> set[str]:
    """Returns the keys of all conditions in the policies among a resource's properties."""
    if isinstance(properties, str) and '"Condition"' in properties:
        try:
            properties = json.loads(properties)
        except ValueError:
            return set()
    if isinstance(properties, list):
        return {key for each in properties for key in condition_keys(each)}
    found: set[str] = set()
    if isinstance(properties, Mapping):
        for name, value in properties.items():
            if name == "PrincipalOrgID":
                found.add("aws:PrincipalOrgID")
            elif name == "Condition" and isinstance(value, Mapping):
                found |= {
                    key for each in value.values() if isinstance(each, Mapping) for key in each
                }
            else:
                found |= condition_keys(value)
    return found


class Statement:
    """A statement of a policy, prepared for many evaluations."""

    def __init__(self, raw: Mapping[str, Any], *, variables: bool) -> None:
        """`variables`: whether the policy's version has variables such as `${aws:username}`."""
        self.raw = raw
        self.denies = raw["Effect"] == "Deny"
        self._variables = variables
        self._actions = _Element(raw, "Action", ignore_case=True)
        self._resources = _Element(raw, "Resource")
        self._conditions = [
            _Condition(operator, key, [str(each) for each in listed(expected)])
            for operator, tests in raw.get("Condition", {}).items()
            for key, expected in tests.items()
        ]

    @cached_property
    def depends_on(self) -> set[str]:
        """The keys, in lower case, that its conditions and variables depend on."""
        texts = [*self._resources.patterns] if self._variables else []
        for condition in self._conditions:
            texts += condition.expected if self._variables else []
        found = {name for text in texts for name in _VARIABLE.findall(text)}
        return self.condition_keys | {name.partition(",")[0].strip().lower() for name in found}

    @property
    def condition_keys(self) -> set[str]:
        """The keys of its conditions, in lower case."""
        return {condition.key for condition in self._conditions}

    def concerns(self, action: str, resource: str) -> bool:
        """Whether it is about an action on a resource, if its variables have the right values."""
        variable = self._variables and any("${" in each for each in self._resources.patterns)
        return self._actions.matches(action, None) and (
            variable or self._resources.matches(resource, None)
        )

    def applies(self, request: Request) -> bool:
        """Whether it is about a request, and its conditions hold."""
        context = request.context if self._variables else None
        return (
            self._actions.matches(request.action, None)
            and self._resources.matches(request.resource, context)
            and all(each.holds(request.context, context) for each in self._conditions)
        )

    def matched_values(self, context: Context) -> list[tuple[str, str]]:
        """Returns the condition keys with the expected values that a context matches."""
        return [(each.key, value) for each in self._conditions for value in each.matched(context)]

    def names(self, principal: Principal) -> Literal["", "account", "directly"]:
        """Whether a resource's policy names a principal, or the account that it belongs to.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
        """
        if "NotPrincipal" in self.raw:
            return "" if _named(self.raw["NotPrincipal"], principal) else "directly"
        return _named(self.raw.get("Principal"), principal)


def _named(stated: Any, principal: Principal) -> Literal["", "account", "directly"]:
    if stated == "*":
        return "directly"
    if not isinstance(stated, Mapping):
        return ""
    if principal.service in listed(stated.get("Service")) and principal.service:
        return "directly"
    names = listed(stated.get("AWS"))
    if "*" in names or (principal.role and {principal.role, principal.session} & {*names}):
        return "directly"
    accounts = {match[1] for name in names if (match := _ACCOUNT_ROOT.fullmatch(str(name)))}
    return "account" if principal.role and principal.account in accounts else ""


_LITERAL = str.maketrans("*?", "\ue000\ue001")
_PLAIN = str.maketrans("\ue000\ue001", "*?")
"""What variables stand for has no wildcards: private characters keep their place."""


@lru_cache(1 << 12)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    escaped = escaped.replace("\ue000", r"\*").replace("\ue001", r"\?")
    return re.compile(escaped, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _like(value: str, pattern: str) -> bool:
    return _compiled(pattern, ignore_case=False).fullmatch(value) is not None


class _Element:
    """`Action`, `NotAction`, `Resource` or `NotResource`; without either, anything matches."""

    def __init__(self, raw: Mapping[str, Any], name: str, *, ignore_case: bool = False) -> None:
        self._excludes = f"Not{name}" in raw
        self._ignore_case = ignore_case
        self.patterns = [str(each) for each in listed(raw.get(f"Not{name}", raw.get(name, "*")))]

    def matches(self, value: str, context: Context | None) -> bool:
        found = any(
            _compiled(text, self._ignore_case).fullmatch(value)
            for pattern in self.patterns
            if (text := _replaced(pattern, context)) is not None
        )
        return found != self._excludes


def _replaced(text: str, context: Context | None) -> str | None:
    """Returns a text with its variables replaced, None if one has no single value.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    if context is None or "${" not in text:
        return text
    parts = _VARIABLE.split(text)
    for index in range(1, len(parts), 2):
        name, _, default = parts[index].partition(",")
        value = value_of(context, name.strip().lower()) or default.strip().strip("'")
        if name in {"*", "?", "$"}:
            value = name
        if not value or not isinstance(value, str):
            return None
        parts[index] = value.translate(_LITERAL)
    return "".join(parts)


# -- conditions -----------------------------------------------------------------------------


def _arn_like(value: str, pattern: str) -> bool:
    parts, patterns = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) and all(map(_like, parts, patterns))


def _equal(value: str, expected: str) -> bool:
    return value == expected.translate(_PLAIN)


def _fold(value: str, expected: str) -> bool:
    return value.lower() == expected.translate(_PLAIN).lower()


def _date(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _in_network(value: str, network: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)


def _converted(
    convert: Callable[[str], float], compare: Callable[[float, float], bool]
) -> Callable[[str, str], bool]:
    def converted(value: str, expected: str) -> bool:
        try:
            return compare(convert(value), convert(expected))
        except ValueError:
            return False

    return converted


_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "Equals": eq,
    "LessThan": lt,
    "LessThanEquals": le,
    "GreaterThan": gt,
    "GreaterThanEquals": ge,
}
_COMPARE: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _fold,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "BinaryEquals": _equal,
    "Bool": _fold,
    "IpAddress": _in_network,
    **{f"Numeric{name}": _converted(float, compare) for name, compare in _ORDER.items()},
    **{f"Date{name}": _converted(_date, compare) for name, compare in _ORDER.items()},
}
_NEGATED: Mapping[str, str] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}


class _Condition:
    """One operator on one key.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """

    def __init__(self, operator: str, key: str, expected: Sequence[str]) -> None:
        self.key = key.lower()
        self.expected = expected
        quantifier, _, name = operator.rpartition(":")
        self._quantifier = quantifier.lower()
        self._if_exists = name.endswith("IfExists")
        name = name.removesuffix("IfExists")
        self._is_null = name == "Null"
        self._negated = name in _NEGATED
        compare = _COMPARE.get(_NEGATED.get(name, name))
        known = compare is not None or self._is_null
        if not known or self._quantifier not in {"", "forallvalues", "foranyvalue"}:
            raise UnsupportedTemplateError(
                f"a policy uses the unknown condition operator {operator}"
            )
        self._compare: Callable[[str, str], bool] = compare or eq

    def holds(self, context: Context, variables: Context | None) -> bool:
        values = _values(context, self.key)
        if self._is_null:
            return all((not values) == (each.lower() == "true") for each in self.expected)
        if not values:
            return self._if_exists or (
                self._quantifier == "forallvalues"
                or (self._negated and self._quantifier != "foranyvalue")
            )
        expected = [text for each in self.expected if (text := _replaced(each, variables))]
        results = [any(self._compare(value, each) for each in expected) for value in values]
        if self._negated:
            results = [not result for result in results]
        every = self._quantifier == "forallvalues" or (self._negated and not self._quantifier)
        return all(results) if every else any(results)

    def matched(self, context: Context) -> list[str]:
        values = _values(context, self.key)
        if self._is_null:
            return [str(not values)]
        return [each for each in self.expected if any(self._compare(v, each) for v in values)]


def _values(context: Context, key: str) -> Sequence[str]:
    value = value_of(context, key)
    return (value,) if isinstance(value, str) else value


def value_of(context: Context, key: str) -> Value:
    """Returns the value of a key, an empty sequence if there is none."""
    value = context.get(key, ())
    return value() if callable(value) else value


# -- decisions ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Policies:
    """The statements of one kind of policy, such as all policies of a role."""

    kind: str
    """As AWS's messages name it: identity-based policy, resource-based policy, …"""
    statements: Sequence[Statement]

    @classmethod
    def read(cls, kind: str, documents: Iterable[Mapping[str, Any] | None]) -> "Policies":
        """Reads policies. Raises UnsupportedTemplateError for an unknown condition operator."""
        return cls(
            kind,
            [
                # Policies without a version, or with the older one, have no variables.
                Statement(raw, variables=document.get("Version") == "2012-10-17")
                for document in documents
                if document
                for raw in listed(document.get("Statement"))
            ],
        )

    def about(self, action: str, resource: str) -> "Policies":
        """Returns the statements about one action on one resource."""
        found = [each for each in self.statements if each.concerns(action, resource)]
        return Policies(self.kind, found)

    def naming(self, principal: Principal) -> "Policies":
        """Returns the statements of a resource's policy that name a principal or its account."""
        return Policies(self.kind, [each for each in self.statements if each.names(principal)])

    @property
    def depends_on(self) -> set[str]:
        """The keys, in lower case, on which the statements depend."""
        return {key for each in self.statements for key in each.depends_on}

    def applying(self, request: Request) -> list[Statement]:
        """Returns the statements that apply to a request."""
        return [each for each in self.statements if each.applies(request)]


NO_POLICIES = Policies("resource-based policy", ())


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed, and why not."""

    refusal: str = ""
    """The end of AWS's message, with `{action}` in it; empty if it is allowed.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""
    allowing: Sequence[Statement] = ()
    """The statements that allow it."""

    @property
    def allowed(self) -> bool:
        """Whether the request is allowed."""
        return not self.refusal


def decide(
    principal: Principal,
    request: Request,
    *,
    identity: Policies | None = None,
    resource: Policies = NO_POLICIES,
    boundary: Policies | None = None,
    key_policy: bool = False,
) -> Decision:
    """Decides about a request within one account.

    `identity` are the policies of the principal's role, `resource` those of the resource, and
    `boundary` the permissions boundary of the role. A service by itself has neither role nor
    boundary. With `key_policy` the policies of a role count only if the resource's policy names
    its account, as with KMS keys and roles:
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
    """
    mine = identity.applying(request) if identity else []
    limits = boundary.applying(request) if boundary else []
    theirs = [(s, how) for s in resource.applying(request) if (how := s.names(principal))]
    for policies, applying in (
        (identity, mine),
        (resource, [statement for statement, _ in theirs]),
        (boundary, limits),
    ):
        if policies and any(statement.denies for statement in applying):
            return Decision(f"with an explicit deny in {_a(policies.kind)}")
    direct = [statement for statement, how in theirs if how == "directly"]
    delegated = not key_policy or any(how == "account" for _, how in theirs)
    allowing = [*direct, *(mine if delegated else [])]
    if not allowing:
        lacking = identity if identity is not None and delegated else resource
        return Decision(f"because no {lacking.kind} allows the {{action}} action")
    # A boundary does not limit what a resource's policy grants to the session itself.
    of_session = any(principal.session in _names_of(statement) for statement in direct)
    if boundary is not None and not limits and not of_session:
        return Decision(f"because no {boundary.kind} allows the {{action}} action")
    return Decision(allowing=[*allowing, *limits])


def identity_allows(
    policies: Iterable[Mapping[str, Any]], *, action: str, resource: str, context: Context
) -> bool:
    """Returns whether the policies of a role by themselves let it do an action on a resource.

    `context` has condition keys in lower case. Raises UnsupportedTemplateError for an unknown
    condition operator.
    """
    principal = Principal("", role="role")
    own = Policies.read("identity-based policy", policies)
    return decide(principal, Request(action, resource, context), identity=own).allowed


def _names_of(statement: Statement) -> list[Any]:
    stated = statement.raw.get("Principal")
    return listed(stated.get("AWS")) if isinstance(stated, Mapping) else []


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
