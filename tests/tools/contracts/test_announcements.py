"""Consumers outside learn from the documents until when an older version is published."""

import json
from datetime import UTC, date, datetime
from typing import ClassVar

import pytest

from lambdas.eventing.event import Event
from lambdas.orders.events import OrderRejected, OrderRejectedV1
from stacks.schemas.events import DEFINED, PUBLISHED, RETIRED, announcements, successor_of
from workspace.isolation import PROJECT

ASYNCAPI = json.loads((PROJECT / "docs/asyncapi.json").read_text(encoding="utf-8"))
TYPES = (PROJECT / "docs/events/events.d.ts").read_text(encoding="utf-8")
OLD = [event for event in PUBLISHED.values() if successor_of(event)]
TODAY = date(2026, 12, 1)


def test_no_version_is_published_after_the_day_that_was_announced() -> None:
    assert [*announcements(DEFINED.values(), datetime.now(UTC).date())] == []


def test_a_version_whose_day_has_passed_is_named_with_its_publishers() -> None:
    ends = date.fromisoformat(OrderRejectedV1.ends or "")
    assert [*announcements([OrderRejectedV1], ends)] == []
    (message,) = announcements([OrderRejectedV1], date(ends.year + 1, 1, 1))
    assert message.startswith(f"OrderRejectedV1 was to end on {ends}: remove it from")
    assert "orders.reject_order" in message


def test_an_older_version_has_to_announce_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderRejectedV1, "ends", None)
    (message,) = announcements([OrderRejectedV1], TODAY)
    assert message.startswith("OrderRejectedV1 is published beside OrderRejected")
    assert "state the last day in `ends`" in message


def test_the_newest_version_has_no_end() -> None:
    class OrderAdmired(OrderRejected, frozen=True, kw_only=True):
        """Nothing supersedes it."""

        ends: ClassVar[str | None] = "2027-12-31"

    (message,) = announcements([OrderAdmired], TODAY)
    assert message.endswith("is no older version that is published: remove it")


def test_a_retired_version_announces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (retired, *_) = RETIRED.values()
    assert [*announcements([retired], TODAY)] == []
    monkeypatch.setattr(retired, "ends", "2027-12-31")
    (message,) = announcements([retired], TODAY)
    assert message.startswith(f"{retired.__name__} states `ends`, but is no older version")


@pytest.mark.parametrize("event", OLD, ids=lambda event: event.__name__)
def test_the_documents_for_consumers_state_the_day(event: type[Event]) -> None:
    newer = successor_of(event)
    assert newer
    messages, schemas = ASYNCAPI["components"]["messages"], ASYNCAPI["components"]["schemas"]
    message = messages[event.detail_type()]
    assert message["x-superseded-by"] == newer.detail_type()
    assert message["x-published-until"] == event.ends
    assert schemas[event.detail_type()]["deprecated"] is True
    assert "deprecated" not in schemas[newer.detail_type()]
    assert f"@deprecated in favour of {newer.detail_type()}; published until {event.ends}" in TYPES
