"""The review that each synthesis runs: the rules of cdk-nag on every resource."""

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks


def review(app: App) -> None:
    """Fails the synthesis on each finding that its construct does not answer."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
