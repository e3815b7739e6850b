"""Aggregating sales: each event counts once in its own minute, despite retries."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, structs

from lambdas.analytics import domain, sales_store
from lambdas.eventing.event import CloudEvent
from lambdas.eventing.transaction import MAX_OPERATIONS
from lambdas.inventory.events import StockDepleted
from lambdas.returns.events import OrderReturned
from tests.analytics.context import (
    NOON,
    Analytics,
    Window,
    added,
    confirmed,
    happened,
    plain_sum,
    records,
    viewed,
)
from tests.support.cloud import Commits, Crash, crash
from tests.support.cloud import cloud as account
from tests.support.messages import failed
from tests.support.orders import line, placed

MINUTE = "2026-01-05T12:00"


def many(count: int) -> list[CloudEvent]:
    """Views of `count` items."""
    return [happened(viewed(f"SKU-{number:03}")) for number in range(count)]


class TestCounting:
    def test_units_and_revenue_of_an_order_are_counted_by_item_and_currency(
        self, analytics: Analytics
    ) -> None:
        analytics.count(
            happened(confirmed(line("MUG", 2, 1250), line("PEN", 3, 99))),
            happened(confirmed(line("MUG", 1, 1400), currency="CHF")),
        )
        assert analytics.rows() == {
            (MINUTE, "MUG"): {"units": 3, "revenue_minor#EUR": 2500, "revenue_minor#CHF": 1400},
            (MINUTE, "PEN"): {"units": 3, "revenue_minor#EUR": 297},
            (MINUTE, None): {
                "units": 6,
                "revenue_minor#EUR": 2797,
                "revenue_minor#CHF": 1400,
                "events#OrderConfirmed.v2": 2,
            },
        }

    def test_an_item_on_two_lines_of_an_order_is_added_up(self, analytics: Analytics) -> None:
        analytics.count(happened(confirmed(line("MUG", 2, 1250), line("MUG", 1, 1000))))
        assert analytics.rows()[MINUTE, "MUG"] == {"units": 3, "revenue_minor#EUR": 3500}

    def test_views_and_carts_are_counted_by_item(self, analytics: Analytics) -> None:
        analytics.count(happened(viewed()), happened(viewed()), happened(added(quantity=5)))
        assert analytics.rows()[MINUTE, "MUG"] == {"views": 2, "added_to_cart": 5}

    def test_an_event_counts_in_its_own_minute_whenever_it_arrives(
        self, analytics: Analytics
    ) -> None:
        times = (NOON - timedelta(days=3), NOON, NOON + timedelta(seconds=29, microseconds=999999))
        analytics.count(*(happened(viewed(), at) for at in times))
        views = {place: row["views"] for place, row in analytics.rows().items() if place[1]}
        assert views == {("2026-01-02T12:00", "MUG"): 1, (MINUTE, "MUG"): 2}

    def test_other_events_are_counted_by_their_type(self, analytics: Analytics) -> None:
        unknown = structs.replace(happened(viewed()), type="ItemPraised.v7", data=Raw(b"[1]"))
        analytics.count(
            happened(placed()),
            happened(StockDepleted(sku="MUG")),
            happened(OrderReturned(order_id="order-1", customer_id="customer-1")),
            unknown,
        )
        assert analytics.rows() == {
            (MINUTE, None): {
                "events#OrderPlaced.v2": 1,
                "events#StockDepleted.v1": 1,
                "events#OrderReturned.v1": 1,
                "events#ItemPraised.v7": 1,
            }
        }

    def test_rows_and_inbox_entries_expire(self, analytics: Analytics) -> None:
        analytics.count(happened(viewed()))
        minute = NOON.replace(second=0)
        for kind in ("item", "shop"):
            expected = (minute + timedelta(days=sales_store.KEPT_DAYS)).timestamp()
            assert analytics.table.one(kind)["expires_at"] == expected
        assert analytics.table.one("inbox")["expires_at"] > 0

    def test_rows_are_written_once_per_transaction_and_not_once_per_event(
        self, analytics: Analytics, commits: Commits
    ) -> None:
        analytics.count(*(happened(viewed()) for _ in range(98)))
        assert commits.sizes == [98 + 2]
        assert analytics.rows()[MINUTE, "MUG"] == {"views": 98}


class TestDuplicates:
    def test_duplicates_within_a_batch_count_once(self, analytics: Analytics) -> None:
        event = happened(viewed())
        analytics.count(event, event, event)
        assert analytics.rows() == plain_sum([event])

    def test_duplicates_in_different_transactions_of_a_batch_count_once(
        self, analytics: Analytics
    ) -> None:
        events = [*many(60), *many(60)]
        analytics.count(*events, *events)
        assert analytics.rows() == plain_sum(events)

    def test_duplicates_across_batches_and_windows_count_once(self, analytics: Analytics) -> None:
        events = [happened(confirmed()), happened(viewed())]
        window = Window()
        window.drain(records(*events))
        window.drain(records(events[1], first=3))
        window.close()
        Window().drain(records(*reversed(events), first=4))
        assert analytics.rows() == plain_sum(events)

    def test_a_duplicate_with_another_time_counts_in_the_first_minute(
        self, analytics: Analytics
    ) -> None:
        """A customer repeats a request: the activity has the same id and a later time."""
        event = happened(viewed())
        later = structs.replace(event, time=NOON + timedelta(minutes=5))
        analytics.count(event, later)
        analytics.count(later)
        assert analytics.rows() == plain_sum([event])

    def test_duplicates_do_not_prevent_new_events_from_counting(self, analytics: Analytics) -> None:
        events = many(40)
        analytics.count(*events[::2])
        analytics.count(*events)
        assert analytics.rows() == plain_sum(events)

    def test_duplicates_are_counted_separately_in_the_state(self, analytics: Analytics) -> None:
        events = many(3)
        analytics.count(events[0])
        window = Window()
        window.invoke(records(*events, events[1]))
        assert window.state["amounts"]["duplicates"] == 2
        assert window.state["amounts"]["views"] == 2


class TestRetries:
    EVENTS = tuple(many(130))
    """More events than two transactions can hold."""

    @pytest.mark.parametrize("number", [1, 2, 3])
    @pytest.mark.parametrize("when", [Commits.before, Commits.after])
    def test_a_batch_that_crashes_at_any_commit_counts_once(
        self,
        analytics: Analytics,
        commits: Commits,
        number: int,
        when: Callable[[Commits, int, Callable[[], None]], None],
    ) -> None:
        when(commits, number, crash)
        window = Window()
        with pytest.raises(Crash):
            window.invoke(records(*self.EVENTS))
        window.invoke(records(*self.EVENTS))
        assert analytics.rows() == plain_sum(self.EVENTS)

    def test_the_first_uncounted_record_is_reported(
        self, analytics: Analytics, commits: Commits
    ) -> None:
        commits.before(2, refuse)
        window = Window()
        answer = window.invoke(records(*self.EVENTS))
        (identifier,) = failed(answer)
        counted = int(identifier.removeprefix("s")) - 1
        assert 0 < counted < len(self.EVENTS)
        assert analytics.rows() == plain_sum(self.EVENTS[:counted])
        window.invoke(records(*self.EVENTS[counted:], first=counted + 1))
        assert analytics.rows() == plain_sum(self.EVENTS)

    def test_an_error_at_the_first_record_is_raised_so_that_it_is_a_lambda_error(
        self, analytics: Analytics, commits: Commits
    ) -> None:
        commits.before(1, refuse)
        with pytest.raises(ClientError):
            analytics.count(*self.EVENTS)
        assert analytics.rows() == {}

    def test_a_conflict_with_another_shard_on_a_row_is_retried(
        self, analytics: Analytics, commits: Commits
    ) -> None:
        others = many(3)
        commits.before(1, lambda: analytics.count(*others[:2]))
        analytics.count(*others)
        assert analytics.rows() == plain_sum(others)

    @pytest.mark.parametrize("keeps", [True, False])
    def test_the_counts_do_not_depend_on_the_state_of_a_failed_batch(
        self, analytics: Analytics, commits: Commits, *, keeps: bool
    ) -> None:
        window = Window(keeps_state_of_failures=keeps)
        commits.before(2, refuse)
        window.drain(records(*self.EVENTS))
        window.close()
        assert analytics.rows() == plain_sum(self.EVENTS)

    def test_a_window_whose_state_is_lost_has_still_counted(self, analytics: Analytics) -> None:
        Window().invoke(records(*self.EVENTS))
        assert analytics.rows() == plain_sum(self.EVENTS)


def refuse() -> None:
    """Raises the error of a table that does not respond."""
    raise ClientError({"Error": {"Code": "InternalServerError"}}, "TransactWriteItems")


class TestWindows:
    def test_the_final_invocation_emits_the_metrics_of_the_window_and_clears_the_state(
        self, analytics: Analytics, capsys: pytest.CaptureFixture[str]
    ) -> None:
        window = Window()
        window.invoke(records(happened(confirmed(line("MUG", 2))), happened(viewed())))
        window.invoke(records(happened(added(quantity=4)), first=3))
        capsys.readouterr()
        window.invoke([], final=True)
        span, metrics = map(json.loads, capsys.readouterr().out.splitlines())
        assert span["type"] == "span"
        assert metrics["ProcessedEvents"] == [3]
        assert metrics["UnitsSold"] == [2]
        assert metrics["ItemsViewed"] == [1]
        assert metrics["UnitsAddedToCart"] == [4]
        assert window.state == {"amounts": {}}

    def test_a_repeated_final_invocation_changes_no_row(self, analytics: Analytics) -> None:
        window = Window()
        events = [happened(confirmed()), happened(viewed())]
        window.invoke(records(*events))
        state = window.state
        for _ in range(2):
            window.state = state
            window.invoke([], final=True)
        assert analytics.rows() == plain_sum(events)

    def test_records_of_the_final_invocation_count(self, analytics: Analytics) -> None:
        events = [happened(viewed())]
        Window().invoke(records(*events), final=True)
        assert analytics.rows() == plain_sum(events)

    def test_the_state_does_not_grow_with_the_number_of_events(self, analytics: Analytics) -> None:
        window = Window()
        sizes = []
        for _ in range(3):
            window.invoke(records(*many(50)))
            sizes.append(len(json.dumps(window.state)))
        assert max(sizes) < 1_000
        assert sizes[1] - sizes[0] <= 4

    def test_a_state_of_another_version_does_not_stop_the_processing(
        self, analytics: Analytics
    ) -> None:
        events = [happened(viewed())]
        Window(state={"amounts": [1, 2]}).invoke(records(*events))
        assert analytics.rows() == plain_sum(events)


class TestPoison:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x00",
            b"\xff\xfe",
            b"not json",
            b"[" * 100_000,
            b'{"detail": {}}',
            b'{"detail-type": "Something", "detail": "of AWS"}',
        ],
    )
    def test_an_unreadable_record_is_parked_and_the_others_are_counted(
        self, analytics: Analytics, data: bytes
    ) -> None:
        events = [happened(viewed("A")), happened(viewed("B"))]
        answer = Window().invoke(records(events[0], data, events[1]))
        assert failed(answer) == []
        assert analytics.rows() == plain_sum(events)
        (message,) = analytics.parking.messages()
        attributes = message["MessageAttributes"]
        assert attributes["EventId"]["StringValue"] == "shardId-000000000001:s2"
        assert "analytics.aggregate_sales cannot read it" in attributes["Reason"]["StringValue"]

    @pytest.mark.parametrize(("data", "body"), [(b"\x00", "AA=="), (b"\xff\xfe", "//4=")])
    def test_data_that_a_queue_rejects_as_text_is_parked_in_base64(
        self, analytics: Analytics, data: bytes, body: str
    ) -> None:
        Window().invoke(records(data))
        (message,) = analytics.parking.messages()
        assert message["Body"] == body

    def test_an_invalid_event_is_parked_with_its_data(self, analytics: Analytics) -> None:
        wrong = structs.replace(happened(confirmed()), data=Raw(b'{"order_id":"order-1"}'))
        (poison,) = records(wrong)
        Window().invoke([poison])
        (message,) = analytics.parking.messages()
        assert json.loads(message["Body"])["detail"]["id"] == wrong.id
        assert analytics.rows() == {}

    @pytest.mark.parametrize(
        "change",
        [{"id": "x" * 3_000}, {"id": "𝄞" * 256}, {"type": "x" * 3_000}],
    )
    def test_an_event_that_is_too_long_for_a_key_is_parked(
        self, analytics: Analytics, change: dict[str, str]
    ) -> None:
        analytics.count(structs.replace(happened(viewed()), **change))
        assert len(analytics.parking.messages()) == 1

    def test_an_event_whose_time_cannot_be_converted_to_utc_is_parked(
        self, analytics: Analytics
    ) -> None:
        (record,) = records(
            records_text(happened(viewed())).replace(
                b"2026-01-05T12:00:30Z", b"0001-01-01T00:00:00+23:00"
            )
        )
        Window().invoke([record])
        assert len(analytics.parking.messages()) == 1

    def test_poison_after_a_failing_record_is_parked_once(
        self, analytics: Analytics, commits: Commits
    ) -> None:
        commits.before(1, refuse)
        window = Window()
        batch = records(happened(viewed()), b"poison")
        with pytest.raises(ClientError):
            window.invoke(batch)
        assert analytics.parking.messages() == []
        window.invoke(batch)
        assert len(analytics.parking.messages()) == 1

    def test_poison_before_and_after_a_failing_record_is_parked_once(
        self, analytics: Analytics, commits: Commits
    ) -> None:
        commits.before(1, refuse)
        window = Window()
        batch = records(b"before", happened(viewed()), b"after")
        assert failed(window.invoke(batch)) == ["s2"]
        assert [message["Body"] for message in analytics.parking.messages()] == ["before"]
        assert failed(window.invoke(batch[1:])) == []
        assert [message["Body"] for message in analytics.parking.messages()] == ["after"]


def records_text(envelope: CloudEvent) -> bytes:
    return b'{"detail":' + envelope.to_json().encode() + b"}"


class TestLargeOrders:
    """Orders have up to 200 lines, but a transaction takes 100 operations."""

    ORDER = happened(confirmed(*(line(f"SKU-{number:03}", 2) for number in range(200))))

    @pytest.mark.parametrize(("items", "parts"), [(98, 1), (99, 2), (197, 2), (198, 3), (200, 3)])
    def test_a_large_order_counts_in_as_few_transactions_as_possible(
        self, analytics: Analytics, commits: Commits, items: int, parts: int
    ) -> None:
        order = happened(confirmed(*(line(f"SKU-{number:03}", 2) for number in range(items))))
        analytics.count(order)
        assert commits.count == parts
        assert max(commits.sizes) <= MAX_OPERATIONS
        assert analytics.rows() == plain_sum([order])

    @pytest.mark.parametrize("number", [1, 2, 3])
    @pytest.mark.parametrize("when", [Commits.before, Commits.after])
    def test_a_large_order_whose_count_crashes_at_any_transaction_counts_once(
        self,
        analytics: Analytics,
        commits: Commits,
        number: int,
        when: Callable[[Commits, int, Callable[[], None]], None],
    ) -> None:
        when(commits, number, crash)
        with pytest.raises(Crash):
            analytics.count(self.ORDER)
        analytics.count(self.ORDER, self.ORDER)
        assert analytics.rows() == plain_sum([self.ORDER])

    def test_an_order_that_is_counted_in_part_is_reported(
        self, analytics: Analytics, commits: Commits
    ) -> None:
        commits.before(3, refuse)
        answer = analytics.count(happened(viewed()), self.ORDER, happened(viewed()))
        assert failed(answer) == ["s2"]


class TestRules:
    def test_a_transaction_is_limited_to_the_operations_of_the_kernel(self) -> None:
        assert domain.MAX_OPERATIONS == MAX_OPERATIONS
        assert domain.MAX_ROWS + 1 <= MAX_OPERATIONS

    def test_the_parts_of_an_event_are_deterministic(self) -> None:
        order = TestLargeOrders.ORDER
        again = structs.replace(order, data=Raw(bytes(order.data)))
        assert domain.additions_of(order) == domain.additions_of(again)


POOL = [
    happened(event, NOON + timedelta(seconds=seconds))
    for event in (
        confirmed(line("A", 2), line("B", 1), line("C", 4), order_id="order-1"),
        confirmed(line("B", 3), order_id="order-2"),
        viewed("A"),
        viewed("B"),
        added("A"),
        placed(),
    )
    for seconds in (0, 45)
]


@st.composite
def histories(draw: st.DrawFn) -> list[list[CloudEvent]]:
    """Batches of events from producers, some of them more than once."""
    put = draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=25))
    size = draw(st.integers(1, 8))
    return [put[start : start + size] for start in range(0, len(put), size)]


FAULTS = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.sampled_from([Commits.before, Commits.after]),
        st.sampled_from([crash, refuse]),
    ),
    max_size=6,
)


@pytest.mark.usefixtures("region")
@given(histories(), FAULTS, st.sets(st.integers(0, 10)), st.booleans())
def test_the_table_has_the_plain_sum_despite_duplicates_and_retries(
    batches: list[list[CloudEvent]],
    faults: list[
        tuple[int, Callable[[Commits, int, Callable[[], None]], None], Callable[[], None]]
    ],
    closings: set[int],
    keeps: bool,
) -> None:
    """Windows end anywhere, commits fail or lose their response, and transactions are small."""
    with account() as cloud:
        cloud.monkeypatch.setattr(domain, "MAX_OPERATIONS", 5)
        cloud.monkeypatch.setattr(domain, "MAX_ROWS", 2)
        analytics = Analytics.in_cloud(cloud)
        commits = Commits(cloud.monkeypatch)
        for number, when, fault in faults:
            when(commits, number, fault)
        window = Window(keeps_state_of_failures=keeps)
        for number, batch in enumerate(batches):
            window.drain(records(*batch))
            if number in closings:
                window.close()
        window.close()
        assert analytics.rows() == plain_sum([event for batch in batches for event in batch])
        assert max(commits.sizes) <= 5
