"""Roles: what a service may do with a role that it assumes."""

import json
from functools import lru_cache
from typing import Any

from moto.iam.models import iam_backends

from cdk_rehearsal.policies import allows, identity_allows


def role_allows(
    account: str, arn: str, *, service: str, action: str, resource: str, source_arn: str = ""
) -> bool:
    """Whether a service can assume a role, and its inline policies let it do an action.

    ``source_arn`` is on whose behalf the service acts.
    """
    return is_assumable(account, arn, service=service, source_arn=source_arn) and identity_allows(
        [_document(text) for text in _role(account, arn).policies.values()],
        action=action,
        resource=resource,
        context=_context(account),
    )


def is_assumable(account: str, arn: str, *, service: str, source_arn: str = "") -> bool:
    """Whether there is a role that a service can assume on behalf of ``source_arn``."""
    role = _role(account, arn)
    return role is not None and allows(
        _document(role.assume_role_policy_document),
        service=service,
        action="sts:AssumeRole",
        resource=arn,
        context={**_context(account), **({"aws:SourceArn": source_arn} if source_arn else {})},
    )


def _role(account: str, arn: str) -> Any:
    name = arn.rpartition("/")[2]
    roles = iam_backends[account]["aws"].roles.values()
    for role in roles:
        if role.name == name and role.arn == arn:
            return role
    return None


def _context(account: str) -> dict[str, str]:
    return {"aws:SecureTransport": "true", "aws:SourceAccount": account}


def _document(text: str | dict[str, Any]) -> dict[str, Any]:
    return _read(text) if isinstance(text, str) else text


@lru_cache(1024)
def _read(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    return document
