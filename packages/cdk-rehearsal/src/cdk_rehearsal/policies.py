"""Policies: whether a service, or a role, may do something to a resource.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any

from cdk_rehearsal.assembly import listed
from cdk_rehearsal.errors import UnsupportedTemplateError


def allows(
    policy: dict[str, Any] | None,
    *,
    service: str,
    action: str,
    resource: str,
    context: dict[str, str],
) -> bool:
    """Whether ``policy`` lets the AWS service do ``action`` on ``resource``.

    ``context`` holds condition keys such as ``aws:SourceArn``. Raises UnsupportedTemplateError
    for a condition operator that is not known.
    """
    statements = [
        statement
        for statement in listed((policy or {}).get("Statement"))
        if _principal_matches(statement.get("Principal"), service)
    ]
    return _decide(statements, action, resource, context)


def admits(
    policy: dict[str, Any] | None,
    *,
    service: str,
    action: str,
    resource: str,
    account: str,
    source_arn: str,
) -> bool:
    """Whether a resource's policy lets a service act on behalf of ``source_arn`` in an account."""
    context = {
        "aws:SourceArn": source_arn,
        "aws:SourceAccount": account,
        "aws:SecureTransport": "true",
    }
    return allows(policy, service=service, action=action, resource=resource, context=context)


def identity_allows(
    policies: Iterable[dict[str, Any]], *, action: str, resource: str, context: dict[str, str]
) -> bool:
    """Whether the ``policies`` of a role let it do ``action`` on ``resource``.

    Raises as ``allows`` does.
    """
    statements = [part for policy in policies for part in listed(policy.get("Statement"))]
    return _decide(statements, action, resource, context)


def _decide(
    statements: list[dict[str, Any]], action: str, resource: str, context: dict[str, str]
) -> bool:
    allowed = False
    for statement in statements:
        if (
            any(_like(action.lower(), a.lower()) for a in listed(statement.get("Action")))
            and any(_like(resource, r) for r in listed(statement.get("Resource", resource)))
            and _conditions_hold(statement.get("Condition", {}), context)
        ):
            if statement["Effect"] == "Deny":
                return False
            allowed = True
    return allowed


def _principal_matches(principal: Any, service: str) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, dict):
        return False
    return principal.get("AWS") == "*" or service in listed(principal.get("Service"))


def _conditions_hold(conditions: dict[str, dict[str, Any]], context: dict[str, str]) -> bool:
    for operator, tests in conditions.items():
        compare = _COMPARE.get(operator)
        if compare is None:
            raise UnsupportedTemplateError(
                f"a policy uses the condition operator {operator}, which the rehearsal "
                "does not know"
            )
        for key, expected in tests.items():
            value = context.get(key)
            if value is None or not any(compare(value, str(item)) for item in listed(expected)):
                return False
    return True


@lru_cache(1 << 16)
def _like(value: str, pattern: str) -> bool:
    return _wildcards(pattern).fullmatch(value) is not None


@cache
def _wildcards(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "ArnEquals": _like,
    "ArnLike": _like,
    "StringEquals": str.__eq__,
    "StringLike": _like,
    "Bool": lambda value, pattern: value.lower() == pattern.lower(),
}
