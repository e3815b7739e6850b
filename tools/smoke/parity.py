"""The rules of AWS that can be compared in the account of the stage, as `make parity` does."""

import subprocess
import sys
import time
from collections.abc import Iterator

from tools.smoke.report import StepResult
from workspace.isolation import PROJECT

_COMMAND = PROJECT / "packages/cdk-rehearsal/tests/parity.py"
_RESULTS = {"agrees": True, "differs": False}


def compared(rules: str, endpoint: str | None) -> list[StepResult]:
    """Replays the rules that match a regular expression in the account, or at an endpoint.

    Returns a step for each rule that was tried, and one for the command. It creates stacks of its
    own, and deletes them: docs/how-to/check-the-rehearsal-against-aws.md.
    """
    begun = time.monotonic()
    chosen = ["--rules", rules, "--endpoint", endpoint or "aws"]
    done = subprocess.run(
        [sys.executable, str(_COMMAND), *chosen], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    said = lines[-1] if lines else (done.stderr.strip().splitlines() or ["no output"])[-1]
    seconds = time.monotonic() - begun
    agreed = any(line.startswith("agrees") for line in lines)
    good = done.returncode == 0 and agreed
    return [*_tried(lines), StepResult(f"rules of AWS ({rules})", good, seconds, said)]


def _tried(lines: list[str]) -> Iterator[StepResult]:
    for number, line in enumerate(lines):
        result, _, rule = line.partition(" ")
        if result in _RESULTS:
            why = "" if _RESULTS[result] else lines[number + 1].strip()
            yield StepResult(rule.strip(), _RESULTS[result], 0.0, why)
