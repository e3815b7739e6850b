"""The checks that each synthesis runs: cdk-nag, durability of edges, retention of resources."""

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from topology.plugin import Durability, Retention


def review(app: App) -> None:
    """Fails the synthesis on each finding that its construct does not answer."""
    Validations.of(app).add_plugins(
        AwsSolutionsChecks(app), ServerlessChecks(app), Durability(), Retention()
    )
