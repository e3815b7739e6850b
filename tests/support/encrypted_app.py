"""The app with stage `dev` under a customer-managed key, checked against NIST 800-53 only."""

import runpy
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from aws_cdk import App, Validations
from cdk_nag import NIST80053R5Checks

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))  # As a script, this file does not find `stacks` otherwise.

from stacks import environment, validation  # noqa: E402


def validate(app: App) -> None:
    """Reports all findings of the pack, which fails the synthesis and leaves a report."""
    Validations.of(app).add_plugins(NIST80053R5Checks(app))


with (
    patch.object(
        environment, "_ENVIRONMENTS", {"dev": replace(environment.DEV, customer_managed_key=True)}
    ),
    patch.object(validation, "validate", validate),
):
    runpy.run_path(str(PROJECT / "app.py"), run_name="__main__")
