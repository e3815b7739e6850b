"""The partners of a stage, the payment provider and the carrier: real, or sandboxes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.constructs.api_key import ApiKey
from stacks.constructs.platform import Platform
from stacks.constructs.sandbox_table import SandboxTable
from stacks.environment import SANDBOX


@dataclass(frozen=True)
class Partner:
    """The resource through which functions reach a partner."""

    setting: str
    """Its name for the functions: the ARN of the secret with the key, or the sandbox's table."""
    allow: Callable[[lambda_.Function], object]
    """Grants a function everything that calls of the partner need."""


_KEYS: Mapping[str, tuple[str, str]] = {
    "stripe": ("StripeKey", "Stripe's secret key of this shop (docs/how-to/deploy.md)"),
    "easypost": ("EasyPostKey", "EasyPost's API key of this shop (docs/how-to/deploy.md)"),
}
"""The id and the description of each real partner's key."""


def payment_provider(scope: Construct, *, platform: Platform) -> Partner:
    """Creates the resource of the payment provider that the stage decided on."""
    return _partner(
        scope, platform.environment.payment_provider, "SandboxProvider", platform=platform
    )


def carrier(scope: Construct, *, platform: Platform) -> Partner:
    """Creates the resource of the carrier that the stage decided on."""
    return _partner(scope, platform.environment.carrier, "SandboxCarrier", platform=platform)


def _partner(scope: Construct, name: str, sandbox: str, *, platform: Platform) -> Partner:
    if name == SANDBOX:
        table = SandboxTable(scope, sandbox, platform=platform)
        return Partner(
            table.table_name, lambda function: table.grant(function, "dynamodb:UpdateItem")
        )
    id_, description = _KEYS[name]
    key = ApiKey(scope, id_, platform=platform, description=description)
    return Partner(key.secret_arn, key.allow)
