"""The threat model names tests that exist, for every attack."""

import ast
import re

import pytest

from workspace.isolation import PROJECT

PAGE = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
MODEL = PAGE.partition("## Threat model")[2].partition("### A dependency")[0]
ATTACKS = re.findall(r"^\| (?!attack|-)(.+?) \| .+? \| (.+?) \|$", MODEL, flags=re.MULTILINE)


def test_no_attack_is_missed_by_the_test_below() -> None:
    rows = [line for line in MODEL.splitlines() if line.startswith("| ")]
    headings = [line for line in rows if line.startswith("| attack |")]
    assert len(ATTACKS) == len(rows) - len(headings) > 20


@pytest.mark.parametrize(("attack", "tests"), ATTACKS, ids=[attack for attack, _ in ATTACKS])
def test_each_attack_is_tried_by_tests_that_exist(attack: str, tests: str) -> None:
    names = re.findall(r"`([^`]+)`", tests)
    assert names, f"no test tries this: {attack}"
    for name in names:
        path, _, function = name.partition("::")
        tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert any(each.startswith("test_") for each in functions)
        assert not function or function in functions, f"{path} has no {function}"
