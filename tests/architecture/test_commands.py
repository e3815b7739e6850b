"""Commands in the documents work: a shell runs them against stand-ins for `aws` and `make`."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import outlives
from tests.support.aws_cli import parse
from tests.support.desk import SHELLS, inline, lay_out, recorded, run
from tests.support.documents import PAGES
from tools.catalogue.prose import blocks
from workspace.isolation import PROJECT

TARGETS = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
TAKE_DOWN = (PROJECT / "docs/how-to/take-a-stage-down.md").read_text()
EACH_PAGE = pytest.mark.parametrize("page", PAGES)
OPERATIONAL = [
    page
    for page, text in PAGES.items()
    # tests/architecture/test_deploy_guide.py runs that one against a rehearsal.
    if any("aws " in block for block in blocks(text)) and page != "docs/how-to/deploy.md"
]


def test_the_operational_pages_contain_commands() -> None:
    long = {"docs/runbook.md", "docs/how-to/take-a-stage-down.md"}
    assert long | {"docs/how-to/set-up-the-pipeline.md"} <= set(OPERATIONAL)
    for page in long:
        assert sum("aws " in block for block in blocks(PAGES[page])) > 5, page


@pytest.mark.parametrize("page", OPERATIONAL)
def test_a_page_can_be_run_from_its_first_command_to_its_last(page: str, tmp_path: Path) -> None:
    """Words in capitals are placeholders that the reader replaces; variables have to be set."""
    for command in recorded(lay_out(tmp_path), "\n".join(blocks(PAGES[page]))):
        parse(command)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("page", OPERATIONAL)
def test_each_shell_can_parse_a_page(page: str, shell: str, tmp_path: Path) -> None:
    run(lay_out(tmp_path), shell, "\n".join(["set -n", *blocks(PAGES[page])]))


@EACH_PAGE
def test_blocks_have_no_comments_which_zsh_does_not_accept_from_a_keyboard(page: str) -> None:
    for block in blocks(PAGES[page]):
        assert not re.search(r"(^|\s)#|!", block, re.MULTILINE), block


@EACH_PAGE
def test_each_aws_command_in_a_sentence_exists(page: str) -> None:
    for command in inline(PAGES[page]):
        words = shlex.split(command)[1:] if command.startswith("aws ") else []
        if words and words[:2] != ["sso", "login"]:  # in version 2 only, and in no model
            parse([*words, "…"] if len(words) == 2 else words)


@EACH_PAGE
def test_each_make_target_exists(page: str) -> None:
    code = [*inline(PAGES[page]), *blocks(PAGES[page])]
    named = {target for each in code for target in re.findall(r"\bmake ([a-z]+)", each)}
    assert named <= TARGETS, f"{page} names {named - TARGETS}"


def test_the_guide_to_take_a_stage_down_lists_each_retained_type(
    classic: Assembly, custom: Assembly
) -> None:
    kept = {each.type for shop in (classic, custom) for each in shop.resources if outlives(each)}
    assert kept
    for type_ in kept:
        assert f"`{type_}`" in TAKE_DOWN, type_


def test_the_guide_to_take_a_stage_down_names_stacks_and_outputs_that_exist(
    templates: Mapping[str, Assembly],
) -> None:
    prod = templates["prod"]
    (named,) = re.findall(r'^STACKS="(.*)"$', TAKE_DOWN, re.MULTILINE)
    assert set(named.split()) == prod.templates.keys()
    for stack in named.split():
        assert prod.stack_names[stack] == f"orderflow-prod-{stack}".lower()
    outputs = {name for template in prod.templates.values() for name in template.get("Outputs", {})}
    for beginning in re.findall(r"starts_with\(OutputKey, '(\w+)'\)", TAKE_DOWN):
        assert any(name.startswith(beginning) for name in outputs), beginning
    machines = prod.of_type("AWS::StepFunctions::StateMachine")
    for name in re.findall(r"name=='orderflow-\$STAGE-([\w-]+)'", TAKE_DOWN):
        assert f"orderflow-prod-{name}" in [m.properties["StateMachineName"] for m in machines]
