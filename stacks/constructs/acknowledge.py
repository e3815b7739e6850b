"""Acknowledged findings of cdk-nag and cfn-lint: why a rule does not apply."""

from typing import cast

from aws_cdk import Acknowledgment, CfnResource, Validations
from constructs import IConstruct

SOLUTIONS = "AwsSolutions::AwsSolutions-"
SERVERLESS = "Serverless::Serverless-"
NO_XRAY = (
    "Handlers record each unit of work in the log, with W3C trace context, for all orders. X-Ray "
    "would sample, and end at each queue."
)


def acknowledge(construct: IConstruct, reasons: dict[str, str]) -> None:
    """Records why each rule in `reasons` does not apply to `construct` and its children."""
    Validations.of(construct).acknowledge(
        *(Acknowledgment(id=rule, reason=reason) for rule, reason in reasons.items())
    )


def permit_double_dependency(construct: IConstruct) -> None:
    """Silences cfn-lint W3005: the library makes a resource depend on its role in two ways."""
    resource = cast(CfnResource, construct.node.default_child)
    resource.add_metadata("cfn-lint", {"config": {"ignore_checks": ["W3005"]}})
