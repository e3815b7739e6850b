"""`make parity`: rules are found in the tests, with their pages, and replayed at an endpoint."""

from __future__ import annotations

from datetime import date

import pytest

import parity


@pytest.fixture(scope="module")
def rules() -> list[parity.Rule]:
    return parity.rules()


def test_each_cited_page_has_a_date_and_each_date_a_page(rules: list[parity.Rule]) -> None:
    dates = parity.Known.read().dates
    assert {rule.page.partition("#")[0] for rule in rules} == dates.keys()
    assert all(date.fromisoformat(read) for read in dates.values())


def test_each_rule_is_of_a_known_service(rules: list[parity.Rule]) -> None:
    strange = {rule.page for rule in rules if rule.service.islower()}
    assert not strange, "add the services of these pages to parity.py, or cite other pages"
