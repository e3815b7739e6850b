"""Answers to findings of cdk-nag and cfn-lint: which rule does not apply here, and why."""

from typing import cast

from aws_cdk import Acknowledgment, CfnResource, Validations
from constructs import IConstruct

SOLUTIONS = "AwsSolutions::AwsSolutions-"
SERVERLESS = "Serverless::Serverless-"


def acknowledge(construct: IConstruct, reasons: dict[str, str]) -> None:
    """Records for `construct`, and what is in it, why each rule in `reasons` does not apply."""
    Validations.of(construct).acknowledge(
        *(Acknowledgment(id=rule, reason=reason) for rule, reason in reasons.items())
    )


def permit_double_dependency(construct: IConstruct) -> None:
    """Silences cfn-lint where the library has a resource depend on its role in two ways (W3005)."""
    resource = cast(CfnResource, construct.node.default_child)
    resource.add_metadata("cfn-lint", {"config": {"ignore_checks": ["W3005"]}})
