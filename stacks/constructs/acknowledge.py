"""Answers to findings of cdk-nag: which rule does not apply here, and why."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

SOLUTIONS = "AwsSolutions::AwsSolutions-"
SERVERLESS = "Serverless::Serverless-"


def acknowledge(construct: IConstruct, reasons: dict[str, str]) -> None:
    """Records for `construct`, and what is in it, why each rule in `reasons` does not apply."""
    Validations.of(construct).acknowledge(
        *(Acknowledgment(id=rule, reason=reason) for rule, reason in reasons.items())
    )
