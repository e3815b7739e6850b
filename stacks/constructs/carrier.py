"""What each carrier needs in a stack."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.constructs.api_key import ApiKey
from stacks.constructs.platform import Platform
from stacks.constructs.sandbox_table import SandboxTable


@dataclass(frozen=True)
class CarrierResource:
    """The resource through which functions reach a carrier."""

    setting: str
    """The value of the setting `carrier_resource`."""
    allow: Callable[[lambda_.Function], object]
    """Grants a function everything that calls of the carrier need."""


def carrier_of(scope: Construct, *, platform: Platform) -> CarrierResource:
    """Creates the resource of the carrier that the stage decided on."""
    return _CARRIERS[platform.environment.carrier](scope, platform)


def _easypost(scope: Construct, platform: Platform) -> CarrierResource:
    key = ApiKey(
        scope,
        "EasyPostKey",
        platform=platform,
        description="EasyPost's API key of this shop (docs/how-to/deploy.md)",
    )
    return CarrierResource(key.secret_arn, key.allow)


def _sandbox(scope: Construct, platform: Platform) -> CarrierResource:
    table = SandboxTable(scope, "SandboxCarrier", platform=platform)
    return CarrierResource(
        table.table_name, lambda function: table.grant(function, "dynamodb:UpdateItem")
    )


_CARRIERS: Mapping[str, Callable[[Construct, Platform], CarrierResource]] = {
    "easypost": _easypost,
    "sandbox": _sandbox,
}
