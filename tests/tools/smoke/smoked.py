"""Runs of the smoke test in another process, against the endpoint of a rehearsal."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal
from lambdas.payments.domain import SYNTHETIC_ORDER
from tests.support.assemblies import assembly_directory
from tests.support.desk import beside
from tools.smoke.accounts import totp
from workspace.isolation import PROJECT


@dataclass
class Smoked:
    """What a run of the smoke test has left: its exit code, its output and its report."""

    shop: Rehearsal
    code: int
    output: str
    report: Any

    @property
    def steps(self) -> dict[str, bool]:
        """Returns whether each step was good."""
        return {step["name"]: step["good"] for step in self.report["steps"]}

    @property
    def events(self) -> list[Any]:
        """Returns all published events about the order of the run."""
        published = (record.detail["event"] for record in self.shop.meter.of("published"))
        return [each for each in published if each["detail"]["subject"] == self.report["order_id"]]

    def accounts(self) -> list[Any]:
        """Returns the accounts in both user pools."""
        cognito = self.shop.client("cognito-idp")
        pools = ("Backbone/Api/Customers", "Backbone/Api/Staff")
        return [
            user
            for pool in pools
            for user in cognito.list_users(UserPoolId=self.shop.physical_id(pool))["Users"]
        ]


def smoke(shop: Rehearsal, folder: Path, stage: str, *options: str) -> Smoked:
    """Runs the smoke test in a process of its own, beside the rehearsal."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "tools.smoke", "--stage", stage, "--report", str(report)]
    process = subprocess.Popen(
        [*command, "--endpoint", shop.serve(), *options],
        cwd=PROJECT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AWS_DEFAULT_REGION": shop.region,
            "AWS_ACCESS_KEY_ID": "operator",
            "AWS_SECRET_ACCESS_KEY": "secret",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = beside(shop, process, status=None)
    return Smoked(shop, process.returncode, output, json.loads(report.read_text()))


def opened(assembly: Path) -> Rehearsal:
    """Returns a rehearsal at the time of this machine, on which the smoke test relies."""
    return Rehearsal(assembly, seed=1, start=datetime.now(UTC))


