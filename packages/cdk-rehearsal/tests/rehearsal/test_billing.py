"""How AWS counts what it bills."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cdk_rehearsal import RehearsalError, Use, metered_bill, prices
from cdk_rehearsal.billing import (
    API_CHUNK,
    CHUNK,
    KB,
    LOG_EVENT,
    MONTH_S,
    chunks,
    empty_polls,
    event_requests,
    express_gb_s,
    function_gb_s,
    index_units,
    item_bytes,
    platform_bytes,
    read_units,
    sampled,
    write_units,
)
from cdk_rehearsal.bills import HOURS, IdleBill, Line

PRICES = prices("us-east-1")


class TestTables:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html."""

    @pytest.mark.parametrize(
        ("before", "after", "units"),
        [
            (None, 1, 1),
            (None, 1024, 1),
            (None, 1025, 2),
            (3000, 10, 3),
            (10, 3000, 3),
            (2049, None, 3),
            (None, None, 1),
        ],
    )
    def test_a_write_counts_each_kilobyte_of_the_larger_item(
        self, before: int | None, after: int | None, units: int
    ) -> None:
        assert write_units(before, after) == units

    def test_a_transaction_counts_a_write_twice(self) -> None:
        assert write_units(None, 1025, transactional=True) == 4

    @pytest.mark.parametrize(
        ("size", "how", "units"),
        [
            (1, {}, 0.5),
            (4096, {}, 0.5),
            (4097, {}, 1),
            (0, {"consistent": True}, 1),
            (4097, {"consistent": True}, 2),
            (1, {"transactional": True}, 2),
        ],
    )
    def test_a_read_counts_four_kilobytes_and_half_if_it_may_be_stale(
        self, size: int, how: dict[str, Any], units: float
    ) -> None:
        assert read_units(size, **how) == units

    @pytest.mark.parametrize(
        ("value", "size"),
        [
            ({"S": "é"}, 2),
            ({"N": "12345"}, 4),
            ({"N": "-1200"}, 3),
            ({"BOOL": True}, 1),
            ({"NULL": True}, 1),
            ({"B": b"abc"}, 3),
            ({"SS": ["a", "bc"]}, 3),
            ({"NS": ["1", "22"]}, 4),
            ({"L": [{"S": "ab"}]}, 3 + 1 + 2),
            ({"M": {"key": {"S": "ab"}}}, 3 + 1 + 3 + 2),
        ],
    )
    def test_an_item_is_as_large_as_its_names_and_values(
        self, value: dict[str, Any], size: int
    ) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
        assert item_bytes({"name": value}) == 4 + size


class TestIndexes:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html."""

    ENTRY: dict[str, Any] = {"pk": {"S": "1"}, "open": {"S": "a"}, "n": {"N": "1"}}  # noqa: RUF012
    KEYS = ("open",)

    def test_an_entry_that_comes_or_goes_is_one_write(self) -> None:
        assert index_units(None, self.ENTRY, self.KEYS) == 1
        assert index_units(self.ENTRY, None, self.KEYS) == 1

    def test_an_entry_whose_key_changes_is_two_writes(self) -> None:
        moved = {**self.ENTRY, "open": {"S": "b"}}
        assert index_units(self.ENTRY, moved, self.KEYS) == 2

    def test_an_entry_with_another_value_is_one_write_and_the_same_one_none(self) -> None:
        assert index_units(self.ENTRY, {**self.ENTRY, "n": {"N": "2"}}, self.KEYS) == 1
        assert index_units(self.ENTRY, dict(self.ENTRY), self.KEYS) == 0
        assert index_units(None, None, self.KEYS) == 0


class TestFunctions:
    """https://aws.amazon.com/lambda/pricing/."""

    def test_each_millisecond_that_begins_counts(self) -> None:
        assert function_gb_s(0.0101, 512) == pytest.approx(0.011 * 0.5)
        assert function_gb_s(0.01, 1024) == pytest.approx(0.010)

    def test_an_asynchronous_event_counts_once_up_to_256_kilobytes(self) -> None:
        assert event_requests(256 * KB) == 1
        assert event_requests(256 * KB + 1) == 2
        assert event_requests(1024 * KB) == 13


class TestPayloads:
    """https://aws.amazon.com/sqs/pricing/."""

    def test_each_64_kilobytes_of_a_message_count(self) -> None:
        assert [chunks(size, CHUNK) for size in (0, 65_536, 65_537)] == [1, 1, 2]

    def test_each_64_kilobytes_of_a_publish_count(self) -> None:
        """https://aws.amazon.com/sns/pricing/"""
        assert chunks(256 * KB, CHUNK) == 4

    def test_each_64_kilobytes_of_an_event_count(self) -> None:
        """https://aws.amazon.com/eventbridge/pricing/"""
        assert chunks(256 * KB, CHUNK) == 4

    def test_each_512_kilobytes_of_a_request_count(self) -> None:
        """https://aws.amazon.com/api-gateway/pricing/"""
        assert [chunks(size, API_CHUNK) for size in (0, 524_288, 524_289)] == [1, 1, 2]


def test_an_express_execution_counts_each_100_milliseconds_of_64_megabytes() -> None:
    """https://aws.amazon.com/step-functions/pricing/"""
    assert [express_gb_s(s) * 1024 / 64 for s in (0, 0.1, 0.101)] == pytest.approx([0.1, 0.1, 0.2])


class TestPolls:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html."""

    def test_an_idle_queue_is_polled_five_times_in_twenty_seconds(self) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""
        assert empty_polls(0) == 0.25
        assert empty_polls(1e-6) == pytest.approx(0.25, rel=1e-4)

    def test_messages_leave_fewer_polls_empty(self) -> None:
        # Each of five pollers gets 0.08 messages per second, and waits for 20 seconds.
        empty = math.exp(-20 * 0.08)
        mean_s = (1 - empty) / 0.08
        assert empty_polls(0.4) == pytest.approx(5 / mean_s * empty)
        assert empty_polls(10) == pytest.approx(0, abs=1e-15)
        assert empty_polls(100_000) == 0


def test_traces_are_one_in_each_second_and_five_percent_of_the_others() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""
    assert sampled(0) == 1
    assert sum(sampled(before) for before in range(21)) == pytest.approx(2)


class TestLogs:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html."""

    INVOCATION: dict[str, Any] = {  # noqa: RUF012
        "request_id": "0" * 36,
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:name",
        "memory_mb": 512,
        "seconds": 0.0123,
    }

    def size(self, **logging: str) -> int:
        return platform_bytes(logging, **self.INVOCATION, traced=False)

    def test_the_level_warn_leaves_out_start_and_report_of_json(self) -> None:
        assert self.size(LogFormat="JSON") > 350 + 2 * LOG_EVENT
        assert self.size(LogFormat="JSON", SystemLogLevel="WARN") == 0

    def test_text_has_three_lines_whatever_the_level(self) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html"""
        assert self.size() == self.size(SystemLogLevel="WARN") > 200 + 3 * LOG_EVENT

    def test_a_trace_makes_lines_longer(self) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html"""
        traced = platform_bytes({"LogFormat": "JSON"}, **self.INVOCATION, traced=True)
        assert traced > self.size(LogFormat="JSON") + 2 * 100


WRITE = Use("write_unit", "writes", "Shop/Place/Function")


def test_a_bill_is_for_one_order() -> None:
    bill = metered_bill({WRITE: 30}, PRICES, orders=10, rate=1)
    (charge,) = bill.charges
    assert (charge.units, charge.service, charge.context) == (3, "DynamoDB", "Shop")
    assert charge.hop == "Shop/Place"
    assert bill.usd == pytest.approx(3 * 0.625e-6)
    assert bill.units("write_unit") == 3
    assert bill.by(lambda each: each.kind) == {"writes": pytest.approx(3 * 0.625e-6)}


def test_what_has_no_price_is_reported_and_what_is_outside_is_apart() -> None:
    uses = {Use("custom_bus_kb_in", "events", "a"): 4.0, Use("email", "e-mails", "b"): 2.0}
    bill = metered_bill(uses, PRICES, orders=2, rate=1)
    assert bill.unpriced == {"custom_bus_kb_in": 2}
    assert bill.outside == {"email": 1}
    assert bill.usd == 0


@pytest.mark.parametrize(("orders", "rate"), [(0, 1.0), (1, 0.0)])
def test_a_bill_without_orders_or_rate_is_an_error(orders: int, rate: float) -> None:
    with pytest.raises(RehearsalError, match="a bill needs more than none"):
        metered_bill({}, PRICES, orders=orders, rate=rate)


def test_resources_with_keys_make_two_requests_in_five_minutes() -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"""
    bill = metered_bill({}, PRICES, orders=1, rate=0.5, keys=3)
    assert bill.units("key_request") == pytest.approx(3 * 2 / 300 / 0.5)


def test_a_month_counts_polls_once_and_the_free_tier_if_it_is_wanted() -> None:
    polled = Line("AWS::Lambda::EventSourceMapping", 1, "polls", 5, 2.0)
    idle = IdleBill([Line("AWS::KMS::Key", 1, "a key", 1, 1.0), polled], [])
    metric = {Use("metric", "custom metrics", "custom metrics"): 12.0}
    bill = metered_bill(
        {WRITE: 1}, PRICES, orders=1, rate=1, messages={"Shop/Queue": 1}, per_month=metric
    )
    per_day = 240.0
    orders = per_day * HOURS / 24
    polls = empty_polls(per_day / 86_400) * MONTH_S * 0.4e-6
    writes = orders * 0.625e-6
    assert bill.month(per_day, idle, PRICES) == pytest.approx(1.0 + 12 * 0.30 + writes + polls)
    free = bill.month(per_day, idle, PRICES, free_tier=True)
    assert free == pytest.approx(1.0 + 2 * 0.30 + writes)
    assert bill.usd == pytest.approx(0.625e-6 + bill.polls[0].usd)
