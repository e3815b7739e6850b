"""The table of limits: each row is enforced, and crossed by a test."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from cdk_rehearsal.limits import TABLE, Limit
from cdk_rehearsal.topology.template_limits import MEASURES
from rehearsal.crossing import CROSSED

SOURCES = Path(__file__).parents[2] / "src/cdk_rehearsal"


@pytest.fixture(scope="module")
def read_by_code() -> set[str]:
    code = [file.read_text(encoding="utf-8") for file in SOURCES.rglob("*.py")]
    found = set(re.findall(r"""["']([a-z0-9-]+\.\w+)["']""", "\n".join(code)))
    both = re.findall(r"""f["']\{service\}\.(\w+)["']""", "\n".join(code))
    return found | {f"{api}.{name}" for api in ("apigateway", "apigatewayv2") for name in both}


def test_a_test_crosses_each_limit() -> None:
    """Others name a limit that is not in the table when they are imported."""
    for file in Path(__file__).parent.glob("test_*.py"):
        if re.search(r"^from rehearsal\.crossing", file.read_text(encoding="utf-8"), re.MULTILINE):
            import_module(f"rehearsal.{file.stem}")
    assert sorted(TABLE.keys() - CROSSED) == []


@pytest.mark.parametrize(("name", "limit"), TABLE.items(), ids=TABLE)
def test_each_row_is_enforced_somewhere(name: str, limit: Limit, read_by_code: set[str]) -> None:
    generated = name.startswith(("cloudformation.", "stepfunctions.")) or name in MEASURES
    declared = limit.template or limit.counted or limit.calls or limit.of
    assert declared or name in read_by_code or generated


@pytest.mark.parametrize(("name", "limit"), TABLE.items(), ids=TABLE)
def test_each_row_says_what_is_limited_and_where_aws_says_so(name: str, limit: Limit) -> None:
    assert re.fullmatch(r"https://docs\.aws\.amazon\.com/\S+\.html", limit.page)
    assert limit.value > 0
    assert limit.says[0].isupper()
    assert not limit.says.endswith(".")
    assert limit.ceiling is None or (limit.adjustable and limit.ceiling > limit.value)
