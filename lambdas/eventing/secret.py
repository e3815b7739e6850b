"""Secrets: read on first use, and again after some minutes, so that they can rotate."""

from datetime import UTC, datetime, timedelta
from functools import cache

from lambdas.eventing import aws
from lambdas.eventing.misconfiguration import Misconfigured

KEPT_S = 300
"""How long a secret is used before it is read again."""


def secret(arn: str) -> str:
    """Returns the current value of the secret `arn`. Raises Misconfigured if it is not a text."""
    kept, now = _kept(), datetime.now(UTC)
    if arn not in kept or now >= kept[arn][1]:
        answer = aws.secrets().get_secret_value(SecretId=arn)
        if "SecretString" not in answer:
            raise Misconfigured(f"the secret {arn} is binary: store it as a text (SecretString)")
        kept[arn] = answer["SecretString"], now + timedelta(seconds=KEPT_S)
    return kept[arn][0]


@cache
def _kept() -> dict[str, tuple[str, datetime]]:
    """Returns the secrets that this execution environment has read, and when each expires."""
    return {}
