"""Secrets: read on first use, and again after some minutes, so that they can rotate."""

from functools import cache

from aws_lambda_powertools.utilities.parameters import SecretsProvider

from lambdas.eventing import aws

KEPT_S = 300
"""How long a secret is used before it is read again."""


def secret(arn: str) -> str:
    """Returns the current value of the secret `arn`."""
    return str(_provider().get(arn, max_age=KEPT_S))


@cache
def _provider() -> SecretsProvider:
    return SecretsProvider(boto3_client=aws.secrets())
