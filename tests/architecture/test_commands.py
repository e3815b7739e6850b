"""AWS commands in the docs exist, have all required options, and have no unknown ones."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import botocore.session
import jmespath
import pytest
from botocore import xform_name

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import outlives
from stacks.constructs.packaging import PROJECT

PAGES = sorted((PROJECT / "docs").glob("*.md")) + sorted((PROJECT / "docs/contexts").glob("*.md"))
DOWN_AND_UP = PROJECT / "docs" / "stage-down-and-up.md"
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])

GLOBAL = {"cli-input-json", "output", "profile", "query", "region"}
"""https://docs.aws.amazon.com/cli/latest/reference/#global-options"""
S3_COMMANDS = {"cp", "ls", "mb", "mv", "presign", "rb", "rm", "sync", "website"}
S3_OPTIONS = {"metadata-directive", "recursive"}
"""https://docs.aws.amazon.com/cli/latest/reference/s3/cp.html"""

_COMMAND = re.compile(r"\baws (?P<service>[a-z0-9-]+) (?P<operation>[a-z0-9-]+)(?P<rest>[^`]*)")
_OPTION = re.compile(r"(?<=\s)--([a-z0-9-]+)")
_QUERY = re.compile(r"""--query ('[^']*'|"(?:\$\([^)]*\)|[^"])*"|\S+)""")
_BLOCK = re.compile(r"^( *)```\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command on a page."""

    service: str
    operation: str
    rest: str

    @property
    def options(self) -> set[str]:
        return set(_OPTION.findall(self.rest))

    @property
    def is_whole(self) -> bool:
        return "…" not in self.rest and "cli-input-json" not in self.options

    def __str__(self) -> str:
        return f"aws {self.service} {self.operation}{self.rest}"


def commands(page: Path) -> Iterator[Command]:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        # A line may contain several commands: each ends where the next begins.
        for part in re.split(r"(?=\baws [a-z])", line):
            if found := _COMMAND.match(part):
                yield Command(**found.groupdict())


@cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def input_of(command: Command) -> Any:
    """The operation's input shape, or None if it has no input."""
    operations = {xform_name(name, "-"): name for name in model(command.service).operation_names}
    assert command.operation in operations, f"no such operation: {command}"
    return model(command.service).operation_model(operations[command.operation]).input_shape


@EACH_PAGE
def test_each_command_exists_in_the_aws_cli(page: Path) -> None:
    for command in commands(page):
        if command.service == "s3":
            assert command.operation in S3_COMMANDS, command
            assert command.options <= S3_OPTIONS, command
            continue
        if command.operation == "wait":
            waiter = command.rest.split()[0]
            waiters = botocore.session.get_session().get_waiter_model(command.service)
            operation = {xform_name(name, "-"): name for name in waiters.waiter_names}[waiter]
            check(
                Command(
                    command.service,
                    xform_name(waiters.get_waiter(operation).operation, "-"),
                    command.rest,
                )
            )
            continue
        check(
            command
            if command.service != "s3api"
            else Command("s3", command.operation, command.rest)
        )


def check(command: Command) -> None:
    shape = input_of(command)
    members: Mapping[str, Any] = shape.members if shape else {}
    known = {xform_name(name, "-") for name in members}
    flags = {
        f"no-{xform_name(name, '-')}"
        for name, member in members.items()
        if member.type_name == "boolean"
    }
    assert command.options <= known | flags | GLOBAL, f"unknown options: {command}"
    if command.is_whole:
        given = {option.removeprefix("no-") for option in command.options}
        needed = {xform_name(name, "-") for name in (shape.required_members if shape else ())}
        assert needed <= given, f"{needed - given} is missing: {command}"


@EACH_PAGE
def test_each_query_can_be_read(page: Path) -> None:
    for command in commands(page):
        for query in _QUERY.findall(command.rest):
            text = query.strip("'\"") if query[0] == query[-1] else query
            jmespath.compile(re.sub(r"\$\([^)]*\)", "x", text))


@EACH_PAGE
def test_a_shell_can_parse_each_block_of_commands(page: Path) -> None:
    for _, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if "aws " in block:
            done = subprocess.run(
                ["sh", "-n"], input=dedent(block), capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{done.stderr}\n{block}"


def test_the_operational_pages_contain_commands() -> None:
    for name in ("runbook.md", "stage-down-and-up.md"):
        assert sum(1 for _ in commands(PROJECT / "docs" / name)) > 5, name


def test_the_page_lists_each_retained_type(
    templates: Mapping[str, Assembly],
) -> None:
    page = DOWN_AND_UP.read_text(encoding="utf-8")
    kept = {each.type for each in templates["prod"].resources if outlives(each)}
    assert kept
    for type_ in kept:
        assert f"`{type_}`" in page, type_


def test_the_page_names_stacks_and_outputs_that_exist(
    templates: Mapping[str, Assembly],
) -> None:
    page = DOWN_AND_UP.read_text(encoding="utf-8")
    prod = templates["prod"]
    (named,) = re.findall(r'^STACKS="(.*)"$', page, re.MULTILINE)
    assert set(named.split()) == prod.templates.keys()
    for stack in named.split():
        assert prod.stack_names[stack] == f"orderflow-prod-{stack}".lower()
    outputs = {name for template in prod.templates.values() for name in template.get("Outputs", {})}
    for beginning in re.findall(r"starts_with\(OutputKey, '(\w+)'\)", page):
        assert any(name.startswith(beginning) for name in outputs), beginning
    machines = prod.of_type("AWS::StepFunctions::StateMachine")
    for name in re.findall(r"name=='orderflow-\$STAGE-([\w-]+)'", page):
        assert f"orderflow-prod-{name}" in [m.properties["StateMachineName"] for m in machines]
