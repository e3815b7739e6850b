"""The summary shows findings and parked messages."""

from tests.tools.demo.printed import printed
from tools.demo.audit import Check
from tools.demo.customers import Journal
from tools.demo.evidence import Evidence
from tools.demo.hops import HopCounts
from tools.demo.run import DemoRun
from tools.demo.timeline import Timelines


def summary_of(evidence: Evidence, *checks: Check) -> str:
    return printed(
        DemoRun(evidence, list(checks), Journal(), HopCounts(), Timelines({}), 1.0, []), 80
    )


def test_the_first_findings_of_each_check_are_shown() -> None:
    findings = tuple(f"MUG-{number}: 3 removed, 2 for customers" for number in range(15))

    text = summary_of(
        Evidence(),
        Check("Money held", {"": 1}, {"": 1}, ()),
        Check("Stock removed", {"": 3}, {"": 2}, findings),
    )

    assert "✓  Money held" in text
    assert "✗  Stock removed" in text
    assert "MUG-0: 3 removed, 2 for customers" in text
    assert "MUG-10" not in text
    assert "and 5 more" in text
    assert "The audit fails: 1 of 2 checks have findings." in text


def test_parked_messages_are_listed_with_their_reason() -> None:
    parked = {"body": '{"detail": {}}', "attributes": {"Reason": "cannot read it"}}
    spent = {"body": "other", "attributes": {}}
    evidence = Evidence(dead_letters={"A/DeadLetters": [parked, spent], "B/DeadLetters": []})

    text = summary_of(evidence)

    assert "A/DeadLetters holds 2:" in text
    assert 'cannot read it: {"detail": {}}' in text
    assert "received too often: other" in text
    assert "B/DeadLetters" not in text
    assert "All 2 dead-letter queues are empty" not in text
