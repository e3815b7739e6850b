"""Each failure mode has an alarm, a page of the runbook and proofs; each alarm has a mode."""

import ast
import re
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from tests.support.documents import anchors
from tools.faults.kinds import KINDS
from workspace.isolation import PROJECT

MODES: list[dict[str, Any]] = tomllib.loads(
    (PROJECT / "docs" / "failure-modes.toml").read_text(encoding="utf-8")
)["mode"]
EACH = pytest.mark.parametrize("mode", MODES, ids=[mode.get("name") for mode in MODES])
FIELDS = {"name", "happens", "alarms", "page", "proofs"}


def page_of(description: str) -> str:
    return description.rpartition("#")[2]


@pytest.fixture
def alarms(shop: Assembly, classic: Assembly, custom: Assembly) -> dict[str, str]:
    """The page of each alarm by its path, in the stage and on either kind of bus."""
    return {
        alarm.path: page_of(alarm.properties["AlarmDescription"])
        for each in (shop, classic, custom)
        for alarm in each.of_type("AWS::CloudWatch::Alarm")
    }


@cache
def proofs_in(path: Path) -> frozenset[str]:
    """The tests of a module, as pytest names them."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{e.name}" for e in node.body if isinstance(e, ast.FunctionDef)}
    return frozenset(name for name in found if re.search(r"(^|::)test_", name))


@EACH
def test_each_mode_has_all_fields(mode: dict[str, Any]) -> None:
    assert mode.keys() - {"faults"} == FIELDS
    assert all(mode.values()), mode


@EACH
def test_each_mode_has_alarms_that_name_its_page(
    alarms: dict[str, str], mode: dict[str, Any]
) -> None:
    pages = {
        pattern: {page for path, page in alarms.items() if fnmatchcase(path, pattern)}
        for pattern in mode["alarms"]
    }
    assert all(pages.values()), pages
    assert mode["page"] in set.union(*pages.values()), pages


@EACH
def test_each_mode_has_a_page_in_the_runbook(mode: dict[str, Any]) -> None:
    assert mode["page"] in anchors((PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8"))


@EACH
def test_each_mode_names_tests_and_faults_that_exist(mode: dict[str, Any]) -> None:
    for proof in mode["proofs"]:
        path, _, name = proof.partition("::")
        assert name in proofs_in(PROJECT / path), proof
    assert set(mode.get("faults", [])) <= KINDS.keys()


def test_each_alarm_names_the_page_of_a_mode_that_lists_it(alarms: dict[str, str]) -> None:
    listed = [(pattern, mode["page"]) for mode in MODES for pattern in mode["alarms"]]
    unlisted = [
        path
        for path, page in alarms.items()
        if not any(page == other and fnmatchcase(path, pattern) for pattern, other in listed)
    ]
    assert unlisted == []


def test_the_pages_of_alarms_are_the_pages_of_modes(alarms: dict[str, str]) -> None:
    assert set(alarms.values()) == {mode["page"] for mode in MODES}
