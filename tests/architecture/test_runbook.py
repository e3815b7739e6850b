"""The runbook: each page names its alarms and its end, and finds resources that exist."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import jmespath
import pytest

from cdk_rehearsal import Assembly
from tests.support.aws_cli import parse
from tests.support.desk import lay_out, recorded
from tests.support.documents import PAGES
from tools.catalogue.prose import blocks, failures
from workspace.isolation import PROJECT

SECTIONS = {page: document.text for page, document in failures(PROJECT).items()}
EACH = pytest.mark.parametrize("page", SECTIONS)


@EACH
def test_each_page_names_exactly_the_alarms_that_lead_to_it(
    classic: Assembly, custom: Assembly, page: str
) -> None:
    (line,) = re.findall(r"^Alarms?: (.+)$", SECTIONS[page], re.MULTILINE)
    patterns = [name.replace("…", "*") for name in re.findall(r"`([^`]+)`", line)]
    alarms = [
        alarm.path
        for stage in (classic, custom)
        for alarm in stage.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["AlarmDescription"].endswith(f"#{page}")
    ]
    for path in alarms:
        assert any(fnmatchcase(path, pattern) for pattern in patterns), path
    for pattern in patterns:
        assert any(fnmatchcase(path, pattern) for path in alarms), pattern


@EACH
def test_each_page_says_first_what_customers_notice_and_whether_it_can_wait(page: str) -> None:
    first, second = SECTIONS[page].strip().split("\n\n")[:2]
    assert first.startswith(("Alarm: `", "Alarms: `"))
    assert re.fullmatch(r"Customers notice: .*\b(can|cannot) wait until morning\b.*", second)


@EACH
def test_each_page_ends_with_a_command_that_prints_nothing_when_it_is_done(page: str) -> None:
    (last,) = re.findall(r"\bDone when ([^\n]+)\.\n*\Z", SECTIONS[page])
    assert last.endswith(f"`firing {page}` prints nothing")


def matches(shop: Assembly, context: str, query: str) -> list[str]:
    """What a query of the AWS CLI finds among the resources of a stack."""
    summaries = [
        {"LogicalResourceId": name, "ResourceType": one["Type"], "PhysicalResourceId": name}
        for name, one in shop.templates[context]["Resources"].items()
    ]
    found: list[str] = jmespath.search(query, {"StackResourceSummaries": summaries})
    return found


def test_each_resource_that_a_command_looks_up_is_one_of_the_templates(
    classic: Assembly, custom: Assembly, tmp_path: Path
) -> None:
    commands = recorded(lay_out(tmp_path), "\n".join(blocks(PAGES["docs/runbook.md"])))
    parsed = [parse(command) for command in commands]
    looked_up = [each for each in parsed if each.operation == "list-stack-resources"]
    assert len(looked_up) > 20
    for each in looked_up:
        context = each.parameters["StackName"].removeprefix("orderflow-prod-").capitalize()
        found = {*matches(classic, context, query := each.options["--query"])}
        found |= {*matches(custom, context, query)}
        assert len(found) == 1, f"{context}: {query}: {found}"
