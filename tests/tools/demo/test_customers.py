"""What customers do, what they note of it, and the stories that come of it."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk_rehearsal import Record
from lambdas.eventing.http import KEY_PATTERN, MAX_KEY_LENGTH
from tools.demo import sample, scenario
from tools.demo.customers import Answer, Journal, key_of, shop_id_of
from tools.demo.money import show, show_all
from tools.demo.orders_file import ID_LENGTH, Order, read_orders
from tools.demo.stock_file import read_stock
from tools.demo.story import Stories


def answer(status: int, code: str | None = None, request: str = "POST") -> Answer:
    return Answer(1.0, "c1", request, "order", status, code)


def test_repetition_of_an_accepted_order_is_no_further_order() -> None:
    journal = Journal()

    assert journal.placed(answer(202))
    assert journal.placed(answer(202))
    assert not journal.placed(answer(422, "idempotency_key_reused"))

    assert journal.accepted == {"order"}
    assert journal.refused == {}
    assert journal.repeated == {"same_answer": 1, "idempotency_key_reused": 1}


def test_refused_order_counts_once_until_it_is_accepted() -> None:
    journal = Journal()

    journal.placed(answer(409, "price_changed"))
    journal.placed(answer(409, "price_changed"))
    assert journal.refused == {"order": "price_changed"}

    journal.placed(answer(202))
    assert journal.refused == {}


@pytest.mark.parametrize(("status", "unanswered"), [(503, True), (429, True), (400, False)])
def test_only_an_order_without_a_proper_answer_may_have_been_taken(
    status: int, unanswered: bool
) -> None:
    journal = Journal()

    journal.placed(answer(status))

    assert journal.refused == {"order": f"http_{status}"}
    assert (journal.unanswered == {"order"}) is unanswered


def order(order_id: str) -> Order:
    return Order(order_id=order_id, customer_id="c", currency="EUR", payment_token="t", lines=())


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
    assert 300 <= len(orders.orders) <= 400
    tokens = Counter(each.payment_token for each in orders.orders)
    assert {"tok_decline", "tok_flaky_2", "tok_flaky_9", "tok_timeout"} < set(tokens)
    assert {200, 201} <= {len(each.lines) for each in orders.orders}
    wanted = Counter[str]()
    for each in orders.orders:
        for line in each.lines:
            wanted[line.sku] += line.quantity
    lacking = [item.sku for item in stock.items if item.quantity < wanted[item.sku]]
    assert lacking == ["PRINT-SIGNED", "CHAIR-REBUILT", "LAMP-LIMITED"]


def test_people_of_the_sample_behave_alike_for_the_same_seed() -> None:
    orders = read_orders(sample.ORDERS).orders

    visits = scenario.lively(orders, seed=3)

    assert visits == scenario.lively(orders, seed=3)
    assert visits != scenario.lively(orders, seed=4)
    behaviours = Counter(visit.behaviour for visit in visits)
    assert behaviours[scenario.place_impatiently] == 10
    assert behaviours[scenario.cancel_twice] == 2
    assert behaviours[scenario.place] > 300


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


def test_story_is_told_in_the_order_of_time_however_it_was_heard() -> None:
    stories = Stories({"order": "S-1"})
    stories.heard(answer(202))
    stories.seen(published("OrderPlaced.v1", "01.000000", lines=[{}]))
    execution = f"a:b:c:d:e:f:g:{'OrderPlaced.v1 01.000000'}:h"
    for _ in range(2):
        stories.seen(failed("PaymentUnavailable", 1767600003.0, execution))
    stories.seen(published("OrderRejected.v2", "05.500000", reason="payment_unavailable"))
    stories.seen(published("StockReserved.v1", "02.000000"))

    story = stories.by_order["order"]

    assert story.text() == (
        "rejected (payment unavailable) in 4.5 s: stock reserved → payment unavailable, 2 times"
    )
    assert story.unusual
    assert +stories.statuses == {"rejected": 1}
    assert stories.turns == [story]


def test_order_is_in_one_status_at_a_time() -> None:
    stories = Stories({})
    stories.seen(published("OrderPlaced.v1", "01.000000", lines=[{}]))
    stories.heard(answer(202))
    stories.heard(answer(422, "idempotency_key_reused"))
    assert +stories.statuses == {"placed": 1}

    stories.seen(published("OrderConfirmed.v1", "02.000000"))
    stories.seen(published("OrderCancelled.v1", "03.000000"))

    assert +stories.statuses == {"cancelled": 1}
    assert "refused (idempotency key reused)" in stories.by_order["order"].text()


def test_refused_order_is_told_as_such() -> None:
    stories = Stories({})

    stories.heard(answer(409, "price_changed"))

    assert stories.by_order["order"].text() == "refused (price changed)"
    assert +stories.statuses == {"refused": 1}


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
def test_money_is_shown_as_its_currency_is_written(minor: int, currency: str, shown: str) -> None:
    assert show(minor, currency) == shown


def test_money_of_several_currencies_is_not_added_up() -> None:
    assert show_all({"GBP": 100, "EUR": 250, "USD": 0}) == "2.50 EUR + 1.00 GBP"
    assert show_all({}) == "0"


def test_shop_knows_the_same_order_by_the_same_id() -> None:
    assert shop_id_of(order("A")) == shop_id_of(order("A"))
    assert shop_id_of(order("A")) != shop_id_of(order("B"))
