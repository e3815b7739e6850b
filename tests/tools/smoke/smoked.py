"""Runs of the smoke test in another process, against the endpoint of a rehearsal."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdk_rehearsal import Rehearsal
from tests.support.desk import beside
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
    code, output = _run(shop, folder, stage, "--report", str(report), *options)
    assert report.exists(), output
    return Smoked(shop, code, output, json.loads(report.read_text()))


def cleaned(shop: Rehearsal, folder: Path, stage: str) -> str:
    """Cleans up after stopped runs; returns what is printed. Asserts success."""
    code, output = _run(shop, folder, stage, "--clean")
    assert code == 0, output
    return output


def _run(shop: Rehearsal, folder: Path, stage: str, *options: str) -> tuple[int, str]:
    process = started(shop, folder, "tools.smoke", "--stage", stage, *options)
    output = beside(shop, process, status=None)
    return process.returncode, output


def started(shop: Rehearsal, folder: Path, module: str, *options: str) -> "subprocess.Popen[str]":
    """Starts a command in a process that has an operator's credentials for the endpoint alone."""
    return subprocess.Popen(
        [sys.executable, "-m", module, "--endpoint", shop.serve(), *options],
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


def opened(assembly: Path) -> Rehearsal:
    """Returns a rehearsal at the time of this machine, on which the smoke test relies."""
    return Rehearsal(assembly, seed=1, start=datetime.now(UTC))
