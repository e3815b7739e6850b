"""Pending items: the oldest are found across all shards, as long as they are pending."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.eventing import aws, pending
from lambdas.eventing.settings import TableSettings
from tests.support.cloud import Cloud, Table

SETTINGS = TableSettings(table_name="things", inbox_days=1)
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture
def things(cloud: Cloud) -> Table:
    return cloud.table(SETTINGS.table_name, pending_index=True)


def wait(things: Table, *minutes: float) -> None:
    """Stores a pending item for each of these minutes."""
    for minute in minutes:
        waits = pending.waiting(f"thing-{minute}", START + timedelta(minutes=minute))
        things.put({"pk": f"THING#{minute}", "sk": "THING", **waits})


def found(limit: int = 100, before: float | None = None) -> list[str]:
    bound = None if before is None else START + timedelta(minutes=before)
    items = pending.oldest(SETTINGS, limit=limit, before=bound)
    return [item["pk"].removeprefix("THING#") for item in items]


def test_the_oldest_items_of_all_shards_come_first(things: Table) -> None:
    wait(things, *[(number * 37) % 100 + 1 for number in range(100)])
    assert found() == [str(minute) for minute in range(1, 101)]
    assert len({item[pending.SHARD] for item in things.items()}) == pending.SHARDS


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_at_most_the_limit_of_items_is_found_and_they_are_the_oldest(
    things: Table, limit: int
) -> None:
    wait(things, *range(9, -1, -1))
    assert found(limit) == [str(minute) for minute in range(limit)]


def test_only_items_pending_since_before_a_time_are_found(things: Table) -> None:
    wait(things, 0, 1, 2, 3)
    assert found(before=2) == ["0", "1"]
    assert found(before=0) == []


def test_fractions_of_seconds_sort_correctly(things: Table) -> None:
    wait(things, 0, 0.0001, 0.01, 1)
    assert found() == ["0", "0.0001", "0.01", "1"]
    assert found(before=0.01) == ["0", "0.0001"]


def test_an_item_that_is_not_pending_is_not_found(things: Table) -> None:
    wait(things, 1)
    things.put({"pk": "THING#2", "sk": "THING"})
    assert found() == ["1"]


def test_an_item_that_is_pending_only_in_the_index_is_not_found(
    things: Table, cloud: Cloud
) -> None:
    """A secondary index lags behind its table."""
    wait(things, 1, 2)
    query: Any = aws.dynamodb().query

    def left_meanwhile(**request: Any) -> Any:
        answer = query(**request)
        if "THING#1" in str(answer["Items"]):
            things.put({"pk": "THING#1", "sk": "THING"})
        return answer

    cloud.monkeypatch.setattr(aws.dynamodb(), "query", left_meanwhile)
    assert found() == ["2"]


def batches(size: int, before: float | None = None) -> list[list[str]]:
    bound = None if before is None else START + timedelta(minutes=before)
    return [
        [item["pk"].removeprefix("THING#") for item in batch]
        for batch in pending.batches(SETTINGS, before=bound, size=size, page=2)
    ]


def test_batches_contain_every_pending_item_once_in_order(things: Table) -> None:
    wait(things, *range(9, -1, -1))
    assert batches(4) == [list("0123"), list("4567"), list("89")]
    assert batches(4, before=5) == [list("0123"), list("4")]


def test_a_batch_that_is_pending_only_in_the_index_does_not_end_the_search(
    things: Table, cloud: Cloud
) -> None:
    wait(things, *range(4))
    query: Any = aws.dynamodb().query

    def left_meanwhile(**request: Any) -> Any:
        answer = query(**request)
        for number in range(2):
            things.put({"pk": f"THING#{number}", "sk": "THING"})
        return answer

    cloud.monkeypatch.setattr(aws.dynamodb(), "query", left_meanwhile)
    assert batches(1)[-2:] == [["2"], ["3"]]


def test_items_that_leave_between_batches_hide_no_others(things: Table) -> None:
    wait(things, *range(10))
    seen = []
    for batch in pending.batches(SETTINGS, size=2, page=2):
        for item in batch:
            seen.append(item["pk"])
            things.put({"pk": item["pk"], "sk": "THING"})
    assert seen == [f"THING#{number}" for number in range(10)]


def test_an_empty_table_has_no_pending_items(things: Table) -> None:
    assert found() == []
