"""The customers' requests, their journal, and the timelines of orders."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk_rehearsal import Record
from lambdas.eventing.http import KEY_PATTERN, MAX_KEY_LENGTH
from tools.demo import sample, visits
from tools.demo.customers import ApiAnswer, Journal, key_of, shop_id_of
from tools.demo.money import show, show_all
from tools.demo.orders_file import ID_LENGTH, CustomerOrder, read_orders
from tools.demo.stock_file import read_stock
from tools.demo.timeline import Timelines
from tools.demo.visits import sample_visits


def answer(status: int, code: str | None = None, request: str = "POST") -> ApiAnswer:
    return ApiAnswer(1.0, "c1", request, "order", status, code)


def test_a_repetition_of_an_accepted_order_is_not_another_order() -> None:
    journal = Journal()

    assert journal.record_placement(answer(202))
    assert journal.record_placement(answer(202))
    assert not journal.record_placement(answer(422, "idempotency_key_reused"))

    assert journal.known.accepted == {"order"}
    assert journal.refused == {}
    assert journal.repeated == {"same_answer": 1, "idempotency_key_reused": 1}


def test_refused_order_counts_once_until_it_is_accepted() -> None:
    journal = Journal()

    journal.record_placement(answer(409, "price_changed"))
    journal.record_placement(answer(409, "price_changed"))
    assert journal.refused == {"order": "price_changed"}

    journal.record_placement(answer(202))
    assert journal.refused == {}


@pytest.mark.parametrize(("status", "unanswered"), [(503, True), (429, True), (400, False)])
def test_only_an_order_without_a_proper_answer_may_have_been_taken(
    status: int, unanswered: bool
) -> None:
    journal = Journal()

    journal.record_placement(answer(status))

    assert journal.refused == {"order": f"http_{status}"}
    assert (journal.known.unanswered == {"order"}) is unanswered


def order(order_id: str) -> CustomerOrder:
    return CustomerOrder(
        order_id=order_id, customer_id="c", currency="EUR", payment_token="t", lines=()
    )


def test_idempotency_key_is_the_order_id_as_far_as_a_header_can_hold_it() -> None:
    assert key_of(order("A-1/b c:_.~")) == "A-1/b c:_.~"
    assert key_of(order("Größe")) == "Gr%C3%B6%C3%9Fe"
    assert key_of(order("100%")) != key_of(order("100%25"))


@given(st.lists(st.text(min_size=1, max_size=ID_LENGTH), min_size=2, max_size=2, unique=True))
def test_every_valid_id_gives_a_unique_key_that_the_shop_accepts(
    ids: list[str],
) -> None:
    one, other = (key_of(order(each)) for each in ids)
    assert one != other
    for key in (one, other):
        assert len(key) <= MAX_KEY_LENGTH
        assert re.fullmatch(KEY_PATTERN, key)


def test_the_longest_ids_of_any_script_make_different_keys() -> None:
    ids = [f"{(ID_LENGTH - 1) * letter}{end}" for letter in "a件👩" for end in "bü"]
    assert len({key_of(order(each)) for each in ids}) == len(ids)


def test_sample_has_every_kind_of_order_and_enough_to_sell() -> None:
    orders, stock = read_orders(sample.ORDERS), read_stock(sample.STOCK)

    assert not orders.skipped
    assert not stock.skipped
    assert 300 <= len(orders.items) <= 400
    tokens = Counter(each.payment_token for each in orders.items)
    assert {"tok_decline", "tok_flaky_2", "tok_flaky_9", "tok_timeout"} < set(tokens)
    assert {200, 201} <= {len(each.lines) for each in orders.items}
    wanted = Counter[str]()
    for each in orders.items:
        for line in each.lines:
            wanted[line.sku] += line.quantity
    lacking = [item.sku for item in stock.items if item.quantity < wanted[item.sku]]
    assert lacking == ["PRINT-SIGNED", "CHAIR-REBUILT", "LAMP-LIMITED"]


def test_customers_of_the_sample_behave_alike_for_the_same_seed() -> None:
    orders = read_orders(sample.ORDERS).items

    planned = sample_visits(orders, seed=3)

    assert planned == sample_visits(orders, seed=3)
    assert planned != sample_visits(orders, seed=4)
    behaviours = Counter(visit.behaviour for visit in planned)
    assert behaviours[visits.place_impatiently] == 10
    assert behaviours[visits.cancel_twice] == 2
    assert behaviours[visits.place] > 300


def published(type_: str, time: str, **data: Any) -> Record:
    event_id = f"{type_} {time}"
    detail = {
        "id": event_id,
        "time": f"2026-01-05T08:00:{time}Z",
        "data": {"order_id": "order", **data},
    }
    event = {"detail-type": type_, "detail": detail}
    return Record("published", 0.0, "relay", "bus", {"event": event})


def failed(error: str, time: float, execution: str) -> Record:
    detail = {"error": {"errorType": error}, "execution": execution}
    return Record("invocation", time, "workflow", "function", detail)


def test_a_timeline_is_in_the_order_of_time() -> None:
    timelines = Timelines({"order": "S-1"})
    timelines.on_answer(answer(202))
    timelines.on_record(published("OrderPlaced.v2", "01.000000", lines=[{}]))
    execution = f"a:b:c:d:e:f:g:{'OrderPlaced.v2 01.000000'}:h"
    for _ in range(2):
        timelines.on_record(failed("PaymentUnavailable", 1767600003.0, execution))
    timelines.on_record(published("OrderRejected.v2", "05.500000", reason="payment_unavailable"))
    timelines.on_record(published("StockReserved.v1", "02.000000"))

    timeline = timelines.by_order["order"]

    assert timeline.text() == (
        "rejected (payment unavailable) in 4.5 s: stock reserved → payment unavailable, 2 times"
    )
    assert timeline.unusual
    assert +timelines.statuses == {"rejected": 1}
    assert timelines.ended == [timeline]


def test_an_order_has_one_status_at_a_time() -> None:
    timelines = Timelines({})
    timelines.on_record(published("OrderPlaced.v2", "01.000000", lines=[{}]))
    timelines.on_answer(answer(202))
    timelines.on_answer(answer(422, "idempotency_key_reused"))
    assert +timelines.statuses == {"placed": 1}

    timelines.on_record(published("OrderConfirmed.v2", "02.000000"))
    timelines.on_record(published("OrderCancelled.v1", "03.000000"))

    assert +timelines.statuses == {"cancelled": 1}
    assert "refused (idempotency key reused)" in timelines.by_order["order"].text()


def test_a_refused_order_has_a_timeline() -> None:
    timelines = Timelines({})

    timelines.on_answer(answer(409, "price_changed"))

    assert timelines.by_order["order"].text() == "refused (price changed)"
    assert +timelines.statuses == {"refused": 1}


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (123456789, "EUR", "1,234,567.89 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-1205, "EUR", "-12.05 EUR"),
        (1234, "JPY", "1,234 JPY"),
        (1234, "KWD", "1.234 KWD"),
    ],
)
def test_an_amount_is_written_in_the_way_of_its_currency(
    minor: int, currency: str, shown: str
) -> None:
    assert show(minor, currency) == shown


def test_amounts_of_different_currencies_are_not_added() -> None:
    assert show_all({"GBP": 100, "EUR": 250, "USD": 0}) == "2.50 EUR + 1.00 GBP"
    assert show_all({}) == "0"


def test_shop_knows_the_same_order_by_the_same_id() -> None:
    assert shop_id_of(order("A")) == shop_id_of(order("A"))
    assert shop_id_of(order("A")) != shop_id_of(order("B"))


def test_synthetic_orders_have_no_timeline() -> None:
    timelines = Timelines({})
    for type_ in ("OrderPlaced.v2", "OrderRejected.v2"):
        record = published(type_, "01.000000", lines=[{}])
        record.detail["event"]["detail"]["synthetic"] = True
        timelines.on_record(record)
    assert (timelines.by_order, +timelines.statuses, timelines.ended) == ({}, {}, [])
