"""What a change does to the bill, in the comment of a review."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from tools.contracts import bill, review
from tools.contracts.review import ReviewError


def assembly(*types: str) -> Assembly:
    resources = {f"R{number}": {"Type": type_} for number, type_ in enumerate(types)}
    return Assembly({"Shop": {"Resources": resources}})


def report(unpriced: Mapping[str, float] | None = None, **usd: float) -> dict[str, Any]:
    """A report with dollars for a million orders, by service."""
    charges = [{"service": name, "usd": each / 1e6} for name, each in usd.items()]
    return {"order": {"charges": charges[1:], "polls": charges[:1], "unpriced": unpriced or {}}}


def test_an_idle_month_is_compared_by_type() -> None:
    before = assembly("AWS::KMS::Key", "AWS::CloudWatch::Dashboard")
    after = assembly("AWS::KMS::Key", "AWS::SecretsManager::Secret")
    assert bill.idle(before, after) == [
        "idle: 4.00 → 1.40 USD a month (-2.60)",
        "`AWS::CloudWatch::Dashboard`: 3.00 → 0.00 USD a month (-3.00)",
        "`AWS::SecretsManager::Secret`: 0.00 → 0.40 USD a month (+0.40)",
    ]
    assert bill.idle(after, after) == []


def test_a_new_type_without_a_price_is_named() -> None:
    before, after = assembly("AWS::KMS::Key"), assembly("AWS::KMS::Key", "AWS::New::Thing")
    assert bill.idle(before, after) == ["no price is known for AWS::New::Thing"]


def test_orders_are_compared_by_service() -> None:
    before = report(SQS=20, DynamoDB=100, Lambda=36)
    after = report(SQS=20.004, DynamoDB=80.5, SNS=1, Lambda=36, unpriced={"custom_bus": 2.0})
    assert bill.used(before, after) == [
        "in use: 156.00 → 137.50 USD per million orders (-18.50)",
        "DynamoDB: 100.00 → 80.50 USD per million orders (-19.50)",
        "SNS: 0.00 → 1.00 USD per million orders (+1.00)",
        "no price is known for custom_bus",
    ]


def test_the_comment_has_a_section_about_the_bill(tmp_path: Path) -> None:
    shop = assembly("AWS::KMS::Key")
    comment, fine = review.comment(shop, shop, tmp_path, tmp_path, "Title", costs=["idle: more"])
    assert fine
    assert "#### Bill\n\n- idle: more\n" in comment


def test_a_bill_comes_from_the_trees_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], Path]] = []

    def run(command: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        asked.append((command, cwd))
        Path(command[-1]).write_text(json.dumps(report(SQS=1)))
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert review._bill(tmp_path / "base", tmp_path / "out", "dev") == report(SQS=1)
    ((command, where),) = asked
    assert command[:5] == [sys.executable, "-m", "tools.cost", "--stage", "dev"]
    assert where == tmp_path / "base"


def test_a_bill_that_cannot_be_metered_is_an_error_that_names_the_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 2, "", "error: no units")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ReviewError, match=r"the bill of the base .*: error: no units\nLeave out"):
        review._bill(tmp_path / "base", tmp_path / "out", "dev")
