"""The end: what does not balance and what was parked is shown, with where to look."""

from tests.tools.demo.printed import printed
from tools.demo.books import Check
from tools.demo.customers import Journal
from tools.demo.evidence import Evidence
from tools.demo.run import Run
from tools.demo.story import Stories
from tools.demo.tally import Tally


def shown(evidence: Evidence, *checks: Check) -> str:
    return printed(Run(evidence, list(checks), Journal(), Tally(), Stories({}), 1.0, []), 80)


def test_each_fault_is_shown_under_the_books_until_there_are_many() -> None:
    faults = tuple(f"MUG-{number}: 3 taken, 2 in confirmed orders" for number in range(15))

    text = shown(
        Evidence(),
        Check("Money held", {"": 1}, {"": 1}, ()),
        Check("Stock taken", {"": 3}, {"": 2}, faults),
    )

    assert "✓  Money held" in text
    assert "✗  Stock taken" in text
    assert "MUG-0: 3 taken, 2 in confirmed orders" in text
    assert "MUG-10" not in text
    assert "and 5 more" in text
    assert "The books do not balance: 1 of 2 checks fail." in text


def test_parked_messages_are_listed_with_their_reason() -> None:
    parked = {"body": '{"detail": {}}', "attributes": {"Reason": "cannot read it"}}
    spent = {"body": "other", "attributes": {}}
    evidence = Evidence(dead_letters={"A/DeadLetters": [parked, spent], "B/DeadLetters": []})

    text = shown(evidence)

    assert "A/DeadLetters holds 2:" in text
    assert 'cannot read it: {"detail": {}}' in text
    assert "received too often: other" in text
    assert "B/DeadLetters" not in text
    assert "All 2 dead-letter queues are empty" not in text
