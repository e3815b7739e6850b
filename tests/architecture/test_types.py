"""mypy reads exactly the CDK modules that this project imports."""

import ast
import tomllib
from collections.abc import Iterator

from workspace.isolation import PROJECT

MYPY = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["mypy"]
ITS_OWN = {"aws_cdk", "aws_cdk._jsii", "aws_cdk.interfaces"}
"""Modules that other modules of the library import."""


def imported() -> Iterator[str]:
    """The modules of the CDK that this project imports."""
    for top in MYPY["files"]:
        place = PROJECT / top
        for file in [place] if place.is_file() else place.rglob("*.py"):
            source = file.read_bytes()
            if b"aws_cdk" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ImportFrom) and node.module == "aws_cdk":
                    yield from (
                        f"aws_cdk.{alias.name}"
                        for alias in node.names
                        if alias.name.startswith("aws_")
                    )
                elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aws_cdk"):
                    yield str(node.module)
                elif isinstance(node, ast.Import):
                    yield from (each.name for each in node.names if each.name.startswith("aws_cdk"))


def test_no_module_of_the_cdk_is_used_without_its_types() -> None:
    """For a module that is not listed, mypy would silently assume `Any`."""
    (read,) = (
        set(each["module"]) for each in MYPY["overrides"] if each.get("follow_imports") == "normal"
    )
    assert read - ITS_OWN == set(imported()) - ITS_OWN
