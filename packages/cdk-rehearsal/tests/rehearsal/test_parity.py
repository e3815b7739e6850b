"""`make parity`: rules are found in the tests, with their pages, and replayed at an endpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

import parity
from cdk_rehearsal import Rehearsal
from rehearsal.worlds import World

SOURCES = parity.TESTS.parent / "src"


@pytest.fixture(scope="module")
def rules() -> tuple[parity.Rule, ...]:
    return parity.rules()


def cited_in(folder: Path) -> set[str]:
    """All pages in the texts of a folder's modules, without fragments."""
    texts = (path.read_text() for path in folder.rglob("*.py"))
    return {page.partition("#")[0] for text in texts for page in parity.CITATION.findall(text)}


def test_each_cited_page_has_a_date_and_each_date_a_page(rules: tuple[parity.Rule, ...]) -> None:
    unread = {rule.page for rule in rules if rule.read == "never"}
    assert not unread, "read these pages, and add them to pages.toml"
    assert all(date.fromisoformat(rule.read) for rule in rules)
    dates = parity.Known.read().dates
    assert dates.keys() <= {rule.page.partition("#")[0] for rule in rules}, "remove these dates"


def test_each_rule_is_of_a_known_service(rules: tuple[parity.Rule, ...]) -> None:
    strange = {rule.page for rule in rules if rule.service.islower()}
    assert not strange, "add the services of these pages to parity.py, or cite other pages"


def test_each_page_that_the_sources_cite_is_stated_by_a_test_or_explained(
    rules: tuple[parity.Rule, ...],
) -> None:
    explained = tomllib.loads((parity.TESTS / "unstated.toml").read_text())
    patterns = [pattern for group in explained.values() for pattern in group]
    stated = {rule.page.partition("#")[0] for rule in rules}
    unstated = cited_in(SOURCES) - cited_in(parity.TESTS) - stated
    left = [page for page in unstated if not any(fnmatchcase(page, p) for p in patterns)]
    assert not left, "cite these pages in tests that state their rules, or explain them"
    idle = [p for p in patterns if not any(fnmatchcase(page, p) for page in unstated)]
    assert not idle, "remove these explanations"


MODULE = '''
"""A module."""
import pytest

@pytest.fixture
def shop(aws): return aws()

class TestMessages:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html."""

    def test_a_message_arrives(self, shop):
        shop.client("sns").publish()
        if isinstance(shop, Rehearsal):
            assert shop.meter.records

    def test_a_message_is_recorded(self, shop): assert shop.meter.records

    def test_a_message_waits(self, shop): self.wait(shop)

    def wait(self, shop): shop.run_for(60)

    @pytest.mark.own_behaviour
    def test_the_command_prints(self): pass

@crosses("sqs.delay_s")
def test_a_delay_has_a_limit(rehearse):
    """https://docs.aws.amazon.com/sqs.html"""

def test_nothing(): pass
'''


def test_a_rule_is_a_test_that_cites_a_page_or_crosses_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "test_messages.py"
    file.write_text(MODULE)
    page = "https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html"
    delay = {
        "says": "The delay of a message",
        "value": 900,
        "unit": "seconds",
        "page": "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/x.html",
        "read": date(2026, 11, 29),
    }
    known = parity.Known(tmp_path, {page: "2026-11-25"}, {"sqs": {"delay_s": delay}})
    found = list(parity.Module(file, known).rules())
    assert [(rule.service, rule.statement, rule.read, rule.obstacle) for rule in found] == [
        ("SNS", "A message arrives", "2026-11-25", ""),
        ("SNS", "A message is recorded", "2026-11-25", "reads the rehearsal's records"),
        ("SNS", "A message waits", "2026-11-25", "needs virtual time"),
        ("SQS", "The delay of a message: 900 seconds", "2026-11-29", "uses means of the rehearsal"),
    ]
    assert found[0].test == "test_messages.py::TestMessages::test_a_message_arrives"
    assert found[0].page == page


TABLES = """
DELAYS = {"sqs.delay_s": 900, "sqs.gone": 1}
CALLS = []

def at(limit):
    def register(call):
        CALLS.append((limit, call))
    return register

@at("sns.names")
def _names(shop, n): ...

@at("sns.texts")
def _texts(shop, n): rehearsed(shop)

@pytest.mark.parametrize("limit", DELAYS)
def test_delays(aws, limit): aws()

@pytest.mark.parametrize(("limit", "call"), CALLS)
def test_calls(aws, limit, call): call(aws())

@pytest.mark.parametrize("other", DELAYS)
def test_others(aws, other): aws()
"""


def test_each_row_of_a_table_of_limits_is_a_rule(tmp_path: Path) -> None:
    day = {"value": 900, "unit": "items", "read": "today"}
    limits = {
        "sqs": {"delay_s": {**day, "says": "A delay", "page": "https://a/sqs/b"}},
        "sns": {
            "names": {**day, "says": "A name", "page": "https://a/sns/b"},
            "texts": {**day, "says": "A text", "page": "https://a/sns/b"},
        },
    }
    file = tmp_path / "test_table.py"
    file.write_text(TABLES)
    found = parity.Module(file, parity.Known(tmp_path, {}, limits)).tabulated()
    assert [(rule.statement, rule.test, rule.obstacle) for rule in found] == [
        ("A delay: 900 items", "test_table.py::test_delays[sqs.delay_s]", ""),
        ("A name: 900 items", "test_table.py::test_calls[sns.names]", ""),
        (
            "A text: 900 items",
            "test_table.py::test_calls[sns.texts]",
            "uses means of the rehearsal",
        ),
    ]


def test_a_rehearsal_is_a_world(rehearse: Any, template: Any) -> None:
    world: World = rehearse()
    assert isinstance(world, Rehearsal)


# -- the command --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_rules_are_listed_by_service_and_page(
    rules: tuple[parity.Rule, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    parity.main(["--rules", "null_matches"])
    lines = capsys.readouterr().out.splitlines()
    page = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-null-values"
    assert lines == [
        "EventBridge: 1 rules, 1 of them can be replayed",
        f"  {page}.html, read {lines[1].rpartition(' ')[2]}",
        "    Null matches null only",
        "      rehearsal/test_patterns.py::TestNullAndEmpty::test_null_matches_null_only: "
        "can be replayed",
        "1 rules of 1 services; 1 can be replayed",
    ]
    parity.main(["--json"])
    assert len(json.loads(capsys.readouterr().out)) == len(rules)


@pytest.mark.filterwarnings("ignore")
def test_a_replay_reports_what_agrees_and_differs_and_was_not_tried(moto_server: str) -> None:
    rules = "another_topic_gets_nothing|null_matches|a_message_has_256|after_23_days"
    replay = ["--endpoint", moto_server, "--patience", "0.2", "--rules", rules]
    command = [sys.executable, str(parity.TESTS / "parity.py"), *replay]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "agrees   SNS: A queue that admits another topic gets nothing"
    assert "differs  SNS: A message has 256 kilobytes at most" in lines
    assert any(line.endswith("DID NOT RAISE InvalidParameterException") for line in lines)
    name = "After 23 days a message goes to the subscriptions dead letter queue"
    assert f"not tried  SNS: {name}: injects faults" in lines
    assert lines[-1] == "1 agree, 2 differ, 1 were not tried"


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("http://127.0.0.1:9", "Could not connect to the endpoint URL"),
        ("aws", "no region: set AWS_REGION or AWS_PROFILE"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_an_error(endpoint: str, message: str) -> None:
    with pytest.raises(SystemExit, match=f"error: .*{message}"):
        parity.main(["--endpoint", endpoint, "--rules", "null_matches"])
