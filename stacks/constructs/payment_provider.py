"""What each payment provider needs in a stack."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.constructs.api_key import ApiKey
from stacks.constructs.platform import Platform
from stacks.constructs.sandbox_table import SandboxTable


@dataclass(frozen=True)
class ProviderResource:
    """The resource through which functions reach a provider."""

    setting: str
    """The value of the setting `provider_resource`."""
    allow: Callable[[lambda_.Function], object]
    """Grants a function everything that calls of the provider need."""


def payment_provider(scope: Construct, *, platform: Platform) -> ProviderResource:
    """Creates the resource of the provider that the stage decided on."""
    return _PROVIDERS[platform.environment.payment_provider](scope, platform)


def _stripe(scope: Construct, platform: Platform) -> ProviderResource:
    key = ApiKey(
        scope,
        "StripeKey",
        platform=platform,
        description="Stripe's secret key of this shop (docs/how-to/deploy.md)",
    )
    return ProviderResource(key.secret_arn, key.allow)


def _sandbox(scope: Construct, platform: Platform) -> ProviderResource:
    table = SandboxTable(scope, "SandboxProvider", platform=platform)
    return ProviderResource(
        table.table_name, lambda function: table.grant(function, "dynamodb:UpdateItem")
    )


_PROVIDERS: Mapping[str, Callable[[Construct, Platform], ProviderResource]] = {
    "stripe": _stripe,
    "sandbox": _sandbox,
}
