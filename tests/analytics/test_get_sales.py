"""Getting sales: staff see sales and activity, minute by minute."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from lambdas.analytics import get_sales, sales_store
from lambdas.eventing import aws
from lambdas.returns.events import OrderReturned
from tests.analytics.context import (
    NOON,
    Analytics,
    added,
    confirmed,
    happened,
    viewed,
)
from tests.support.cloud import Cloud
from tests.support.orders import line

HOUR = {"start": "2026-01-05T12:00:00Z", "end": "2026-01-05T13:00:00Z"}


def row(minute: str, sku: str, **amounts: object) -> dict[str, object]:
    """A row of the response."""
    nothing = {"units": 0, "revenue_minor": {}, "views": 0, "added_to_cart": 0}
    return {"minute": f"2026-01-05T{minute}Z", "sku": sku, **nothing, **amounts}


def sold(analytics: Analytics) -> None:
    """Counts a sale, some activity and a return, around noon."""
    analytics.count(
        happened(confirmed(line("MUG", 2, 1250), line("PEN", 1, 99))),
        happened(confirmed(line("MUG", 1, 1400), currency="CHF"), NOON + timedelta(minutes=1)),
        happened(viewed("PEN"), NOON + timedelta(minutes=59)),
        happened(added("PEN", 4), NOON + timedelta(minutes=60)),
        happened(OrderReturned(order_id="order-0", customer_id="customer-1")),
    )


class TestRows:
    def test_rows_are_per_minute_and_sku_with_totals(self, analytics: Analytics) -> None:
        sold(analytics)
        answer = analytics.sales(**HOUR)
        assert answer.status == 200
        assert answer.json == {
            "sales": [
                row("12:00", "MUG", units=2, revenue_minor={"EUR": 2500}),
                row("12:00", "PEN", units=1, revenue_minor={"EUR": 99}),
                row("12:01", "MUG", units=1, revenue_minor={"CHF": 1400}),
                row("12:59", "PEN", views=1),
            ],
            "totals": {
                "units": 4,
                "revenue_minor": {"CHF": 1400, "EUR": 2599},
                "views": 1,
                "added_to_cart": 0,
                "orders_confirmed": 2,
                "orders_returned": 1,
                "events": {"ItemViewed.v1": 1, "OrderConfirmed.v2": 2, "OrderReturned.v1": 1},
            },
            "next": None,
        }

    def test_rows_of_one_item_have_the_totals_of_this_item(self, analytics: Analytics) -> None:
        sold(analytics)
        answer = analytics.sales(start=HOUR["start"], end="2026-01-05T14:00:00Z", sku="PEN")
        assert answer.json == {
            "sales": [
                row("12:00", "PEN", units=1, revenue_minor={"EUR": 99}),
                row("12:59", "PEN", views=1),
                row("13:00", "PEN", added_to_cart=4),
            ],
            "totals": {
                "units": 1,
                "revenue_minor": {"EUR": 99},
                "views": 1,
                "added_to_cart": 4,
            },
            "next": None,
        }

    def test_there_are_no_rows_without_events(self, analytics: Analytics) -> None:
        answer = analytics.sales(**HOUR)
        assert (answer.status, answer.json["sales"], answer.json["next"]) == (200, [], None)
        assert answer.json["totals"]["orders_confirmed"] == 0
        assert analytics.sales(**HOUR, sku="MUG").json["sales"] == []

    def test_rows_of_an_item_exclude_items_with_the_same_prefix(self, analytics: Analytics) -> None:
        analytics.count(happened(viewed("MUG")), happened(viewed("MUG-BLUE")))
        (found,) = analytics.sales(**HOUR, sku="MUG").json["sales"]
        assert (found["sku"], found["views"]) == ("MUG", 1)


class TestRange:
    @pytest.mark.parametrize(
        ("start", "end", "minutes"),
        [
            ("12:00:00Z", "12:01:00Z", ["12:00"]),
            ("12:00:00Z", "12:01:01Z", ["12:00", "12:01"]),
            ("12:00:01Z", "12:02:00Z", ["12:01"]),
            ("12:59:00Z", "13:00:00Z", ["12:59"]),
            ("12:59:00Z", "13:01:00Z", ["12:59", "13:00"]),
            ("13:59:00+01:00", "14:01:00+01:00", ["12:59", "13:00"]),
            ("12:00:10Z", "12:00:20Z", []),
        ],
    )
    def test_a_range_has_the_minutes_that_begin_in_it(
        self, analytics: Analytics, start: str, end: str, minutes: list[str]
    ) -> None:
        sold(analytics)
        query = {"start": f"2026-01-05T{start}", "end": f"2026-01-05T{end}"}
        for sales in (
            analytics.sales(**query).json["sales"],
            [
                found
                for sku in ("MUG", "PEN")
                for found in analytics.sales(**query, sku=sku).json["sales"]
            ],
        ):
            assert sorted({found["minute"][11:16] for found in sales}) == minutes

    def test_a_range_can_include_midnight(self, analytics: Analytics) -> None:
        midnight = datetime.fromisoformat("2026-01-06T00:00:00+00:00")
        offsets = [timedelta(hours=-12, minutes=-1), timedelta(hours=-12), timedelta(minutes=-1)]
        offsets += [timedelta(), timedelta(hours=12, minutes=-1), timedelta(hours=12)]
        analytics.count(*(happened(confirmed(), midnight + offset) for offset in offsets))
        answer = analytics.sales(start="2026-01-05T12:00:00Z", end="2026-01-06T12:00:00Z")
        assert len(answer.json["sales"]) == answer.json["totals"]["orders_confirmed"] == 4
        assert answer.json["totals"]["units"] == 4

    @pytest.mark.parametrize(
        ("query", "reason"),
        [
            ({}, "required field `from`"),
            ({"start": "2026-01-05T12:00:00Z"}, "required field `to`"),
            ({**HOUR, "end": "yesterday"}, "to: Invalid RFC3339"),
            ({**HOUR, "end": "2026-01-05T13:00:00"}, "to: Expected `datetime` with a timezone"),
            ({**HOUR, "end": "2026-01-05T13:00:00 00:00"}, "to: Invalid RFC3339"),
            ({**HOUR, "end": HOUR["start"]}, "`to` must be later than `from`"),
            ({**HOUR, "end": "2026-01-05T11:00:00Z"}, "`to` must be later than `from`"),
            ({**HOUR, "end": "2026-01-06T12:00:01Z"}, "by 24 hours at most"),
            (
                {"start": "0001-01-01T00:00:00+23:00", "end": "0001-01-01T01:00:00+23:00"},
                "in the years 2000 to 2999",
            ),
            (
                {"start": "9999-12-31T23:00:00Z", "end": "9999-12-31T23:59:59Z"},
                "in the years 2000 to 2999",
            ),
            ({**HOUR, "sku": "no blanks"}, "sku: "),
            ({**HOUR, "sku": "*"}, "sku: "),
            ({**HOUR, "limit": "5"}, "unknown field `limit`"),
            ({**HOUR, "after": "MUG"}, "after: "),
            ({**HOUR, "after": f"2026-01-05T12:00Z,{'M' * 2_000}"}, "after: "),
            ({**HOUR, "after": "2026-99-05T12:00Z,MUG"}, "there is no such minute"),
            ({**HOUR, "after": "2026-01-04T24:00Z,MUG"}, "there is no such minute"),
            ({**HOUR, "after": "2026-01-05T12:00Z,MUG", "sku": "MUG"}, "`after` goes without"),
        ],
    )
    def test_an_invalid_range_is_rejected_with_the_reason(
        self, analytics: Analytics, query: dict[str, str], reason: str
    ) -> None:
        answer = analytics.sales(**query)
        assert (answer.status, answer.json["code"]) == (400, "invalid_request")
        assert reason in answer.json["detail"]


class TestPages:
    def collected(self, analytics: Analytics, **query: str) -> tuple[list[str], int]:
        """The rows of all pages as minute and SKU, and the number of pages."""
        found: list[str] = []
        after: dict[str, str] = {}
        for number in range(1, 100):
            answer = analytics.sales(**query, **after)
            assert len(answer.json["sales"]) <= get_sales.PAGE
            found += [f"{entry['minute'][11:16]} {entry['sku']}" for entry in answer.json["sales"]]
            if answer.json["next"] is None:
                return found, number
            after = {"after": answer.json["next"]}
        raise AssertionError("the last page was not reached")

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 500])
    def test_pages_have_each_row_once_in_order(
        self, analytics: Analytics, cloud: Cloud, size: int
    ) -> None:
        cloud.monkeypatch.setattr(get_sales, "PAGE", size)
        expected = [
            (minute, sku) for minute in (0, 1, 59, 60) for sku in ("A", "A+", "A-1", "A:", "B")
        ]
        analytics.count(
            *(happened(viewed(sku), NOON + timedelta(minutes=m)) for m, sku in expected)
        )
        found, pages = self.collected(analytics, start=HOUR["start"], end="2026-01-05T14:00:00Z")
        names = {0: "12:00", 1: "12:01", 59: "12:59", 60: "13:00"}
        assert found == [f"{names[minute]} {sku}" for minute, sku in sorted(expected)]
        assert pages <= len(expected) // size + 1

    @pytest.mark.parametrize("most", [1, 2, 3])
    def test_pages_have_each_row_once_if_a_query_ends_early(
        self, analytics: Analytics, cloud: Cloud, most: int
    ) -> None:
        """At 1 MB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html."""
        query = aws.dynamodb().query

        def ends_early(**request: Any) -> Any:
            return query(**{**request, "Limit": most})

        skus = sorted(f"ITEM-{number}" for number in range(40))
        analytics.count(*(happened(viewed(sku)) for sku in skus))
        cloud.monkeypatch.setattr(aws.dynamodb(), "query", ends_early)
        found, _ = self.collected(analytics, **HOUR)
        assert found == [f"12:00 {sku}" for sku in skus]

    def test_all_pages_have_the_totals_of_the_whole_range(
        self, analytics: Analytics, cloud: Cloud
    ) -> None:
        cloud.monkeypatch.setattr(get_sales, "PAGE", 2)
        sold(analytics)
        first = analytics.sales(**HOUR)
        second = analytics.sales(**HOUR, after=first.json["next"])
        assert first.json["totals"] == second.json["totals"]
        assert first.json["totals"]["units"] == 4

    @pytest.mark.parametrize("after", ["2001-01-05T12:00Z,MUG", "2026-01-05T11:59Z,\U0001f600"])
    def test_a_page_after_a_row_before_the_range_is_the_first(
        self, analytics: Analytics, after: str
    ) -> None:
        sold(analytics)
        assert analytics.sales(**HOUR, after=after).json == analytics.sales(**HOUR).json

    def test_a_page_after_a_row_behind_the_range_is_empty(self, analytics: Analytics) -> None:
        sold(analytics)
        assert analytics.sales(**HOUR, after="2026-01-07T12:00Z,MUG").json["sales"] == []


class TestPartitions:
    def test_items_of_a_day_are_spread_by_their_sku_alone(self, analytics: Analytics) -> None:
        """One partition takes 1,000 write units a second: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-sharding.html."""
        skus = [f"ITEM-{number}" for number in range(400)]
        for minutes in (0, 59, 60):
            at = NOON + timedelta(minutes=minutes)
            analytics.count(*(happened(viewed(sku), at) for sku in skus))
        places: dict[str, set[str]] = {}
        for stored in analytics.table.items("item"):
            places.setdefault(stored["pk"], set()).add(stored["sk"].partition("#")[2])
        assert len(places) == sales_store.PARTITIONS >= 14
        assert sorted(sku for of_key in places.values() for sku in of_key) == sorted(skus)
        assert max(map(len, places.values())) <= 2 * len(skus) / sales_store.PARTITIONS

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 500])
    def test_rows_of_earlier_releases_are_shown_and_added_to(
        self, analytics: Analytics, cloud: Cloud, size: int
    ) -> None:
        """They had one partition for an hour, and sort keys without it."""
        cloud.monkeypatch.setattr(get_sales, "PAGE", size)
        for hour, minute, sku in ((11, 59, "PEN"), (12, 0, "MUG"), (12, 1, "A"), (13, 0, "PEN")):
            key = {"pk": f"HOUR#2026-01-05T{hour}", "sk": f"{minute:02}#{sku}"}
            analytics.table.put({**key, "kind": "item", "expires_at": 1, "units": 5, "views": 1})
        sold(analytics)
        query = {"start": "2026-01-05T11:00:00Z", "end": "2026-01-05T13:01:00Z"}
        rows: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            page = analytics.sales(**query, **after).json
            rows += page["sales"]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert rows == [
            row("11:59", "PEN", units=5, views=1),
            row("12:00", "MUG", units=7, revenue_minor={"EUR": 2500}, views=1),
            row("12:00", "PEN", units=1, revenue_minor={"EUR": 99}),
            row("12:01", "A", units=5, views=1),
            row("12:01", "MUG", units=1, revenue_minor={"CHF": 1400}),
            row("12:59", "PEN", views=1),
            row("13:00", "PEN", units=5, views=1, added_to_cart=4),
        ]
        (mug, later) = analytics.sales(**query, sku="MUG").json["sales"]
        assert (mug, later) == (rows[1], rows[4])


def test_a_day_of_one_item_is_read_in_few_requests(analytics: Analytics, cloud: Cloud) -> None:
    asked: list[int] = []
    get = aws.dynamodb().batch_get_item

    def batch_get_item(**request: object) -> object:
        asked.append(1)
        return get(**request)  # type: ignore[arg-type]

    cloud.monkeypatch.setattr(aws.dynamodb(), "batch_get_item", batch_get_item)
    sold(analytics)
    answer = analytics.sales(start="2026-01-05T00:00:00Z", end="2026-01-06T00:00:00Z", sku="MUG")
    assert answer.json["totals"]["units"] == 3
    assert len(asked) == 29
