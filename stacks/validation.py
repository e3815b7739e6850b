"""Checks that run in each synthesis: cdk-nag, durability of edges, retention of resources."""

import sys
from pathlib import Path

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

# Hash-locked requirements cannot name a folder, so the package is used from its sources.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packages" / "cdk-rehearsal" / "src"))

from cdk_rehearsal.validation import Durability, Retention


def validate(app: App) -> None:
    """Makes the synthesis fail on each finding that is not acknowledged."""
    Validations.of(app).add_plugins(
        AwsSolutionsChecks(app), ServerlessChecks(app), Durability(), Retention()
    )
