"""The review that each synthesis runs: cdk-nag on every resource, durability on every edge."""

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from topology.plugin import Durability


def review(app: App) -> None:
    """Fails the synthesis on each finding that its construct does not answer."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app), Durability())
