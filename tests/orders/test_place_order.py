"""Placing an order: prices are checked, and one request places one complete order or none."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import time_machine

from lambdas.eventing import aws
from lambdas.eventing.transaction import Contention
from lambdas.orders import order_store
from lambdas.orders.events import OrderPlaced
from lambdas.shared.vocabulary import MAX_MINOR
from tests.orders.context import Orders
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.orders import ADDRESS, line

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)


class TestPlaced:
    def test_the_order_and_its_event_are_committed_together(
        self, orders: Orders, commits: Commits
    ) -> None:
        orders.priced()
        before = commits.count
        orders.place()
        assert commits.count == before + 1
        assert orders.table.one("order")["status"] == "placed"
        assert orders.table.published() == ["OrderPlaced.v2"]

    def test_the_response_has_the_order_and_its_location(self, orders: Orders) -> None:
        orders.priced()
        with time_machine.travel(NOW, tick=False):
            answer = orders.place([line(quantity=2)])
        assert answer.status == 202
        order_id = answer.json["order_id"]
        assert answer.headers["location"] == f"/orders/{order_id}"
        assert answer.json == {
            "order_id": order_id,
            "status": "placed",
            "currency": "EUR",
            "total_minor": 2500,
            "lines": [{"sku": "MUG", "quantity": 2, "unit_price_minor": 1250}],
            "shipping_address": msgspec.to_builtins(ADDRESS),
            "placed_at": "2026-01-05T08:00:00Z",
            "history": [{"what": "placed", "at": "2026-01-05T08:00:00Z"}],
            "reason": None,
        }

    def test_the_event_has_all_data_for_the_checkout(self, orders: Orders) -> None:
        orders.priced("MUG", 1250)
        orders.priced("PEN", 199)
        lines = (line("MUG", 2, 1250), line("PEN", 3, 199), line("MUG", 1, 1250))
        answer = orders.place(lines, payment_token="tok_flaky_2")
        assert orders.placed_event() == OrderPlaced(
            order_id=answer.json["order_id"],
            customer_id="customer-1",
            currency="EUR",
            total_minor=2 * 1250 + 3 * 199 + 1250,
            lines=lines,
        )

    def test_the_event_has_the_requests_correlation_id(self, orders: Orders) -> None:
        orders.an_order()
        (envelope,) = orders.table.envelopes(OrderPlaced)
        assert envelope.correlationid == "request-1"
        assert envelope.causationid is None

    def test_the_payment_token_is_not_stored_with_the_order(self, orders: Orders) -> None:
        orders.an_order()
        assert "tok_approve" not in str(orders.table.one("order"))

    def test_a_free_item_can_be_ordered(self, orders: Orders) -> None:
        orders.priced(price=0)
        answer = orders.place([line(price=0)])
        assert answer.status == 202
        assert answer.json["total_minor"] == 0


class TestPrices:
    def test_an_unknown_item_is_rejected_with_its_sku(self, orders: Orders) -> None:
        orders.priced()
        answer = orders.place([line(), line("SPOON"), line("FORK"), line("SPOON")])
        assert answer.status == 422
        assert answer.json["code"] == "unknown_item"
        assert answer.json["skus"] == ["FORK", "SPOON"]
        assert "FORK, SPOON" in answer.json["detail"]
        assert orders.table.items("order") == orders.table.items("outbox") == []

    @pytest.mark.parametrize("seen", [1, 1249, 1251, 10**6])
    def test_an_outdated_price_is_rejected_with_the_current_one(
        self, orders: Orders, seen: int
    ) -> None:
        orders.priced("MUG", 1250)
        orders.priced("PEN", 199)
        answer = orders.place([line("MUG", price=seen), line("PEN", price=199)])
        assert answer.status == 409
        assert answer.json["code"] == "price_changed"
        assert answer.json["current_prices"] == {
            "MUG": {"unit_price_minor": 1250, "currency": "EUR"}
        }
        assert orders.table.items("order") == orders.table.items("outbox") == []

    def test_a_price_in_another_currency_is_an_outdated_price(self, orders: Orders) -> None:
        orders.priced("MUG", 1250, currency="EUR")
        answer = orders.place(currency="USD")
        assert answer.status == 409
        assert answer.json["current_prices"]["MUG"]["currency"] == "EUR"

    def test_an_order_cannot_mix_currencies(self, orders: Orders) -> None:
        orders.priced("MUG", 1250, currency="EUR")
        orders.priced("PEN", 1250, currency="USD")
        answer = orders.place([line("MUG"), line("PEN")])
        assert answer.status == 409
        assert set(answer.json["current_prices"]) == {"PEN"}

    def test_two_lines_of_one_item_must_both_have_its_price(self, orders: Orders) -> None:
        orders.priced("MUG", 1250)
        assert orders.place([line(price=1250), line(price=1)]).status == 409

    def test_a_new_price_counts_as_soon_as_it_is_known(self, orders: Orders) -> None:
        orders.priced("MUG", 1250, revision=1)
        orders.priced("MUG", 1400, revision=2)
        assert orders.place([line(price=1250)]).status == 409
        assert orders.place([line(price=1400)]).status == 202

    def test_an_order_can_have_200_items_whose_prices_take_two_reads(self, orders: Orders) -> None:
        """BatchGetItem is limited to 100 keys."""
        skus = [f"SKU-{number:03}" for number in range(200)]
        for sku in skus:
            orders.table.put(
                {
                    "pk": f"PRICE#{sku}",
                    "sk": "PRICE",
                    "kind": "price",
                    "sku": sku,
                    "unit_price_minor": 100,
                    "currency": "EUR",
                    "revision": 1,
                }
            )
        answer = orders.place([line(sku, 1, 100) for sku in skus])
        assert answer.status == 202
        assert answer.json["total_minor"] == 20_000
        assert len(orders.placed_event().lines) == 200

    def test_unprocessed_keys_are_read_again(self, orders: Orders, cloud: Cloud) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html."""
        orders.priced("MUG")
        orders.priced("PEN")
        read: Any = aws.dynamodb().batch_get_item
        asked: list[int] = []

        def one_at_a_time(RequestItems: Any) -> Any:  # noqa: N803
            keys: list[Any] = RequestItems["orders"]["Keys"]
            asked.append(len(keys))
            RequestItems["orders"]["Keys"] = keys[:1]
            answer = read(RequestItems=RequestItems)
            if keys[1:]:
                answer["UnprocessedKeys"] = {"orders": {"Keys": keys[1:]}}
            return answer

        cloud.monkeypatch.setattr(aws.dynamodb(), "batch_get_item", one_at_a_time)
        assert orders.place([line("MUG"), line("PEN")]).status == 202
        assert asked == [2, 1]

    def test_a_price_list_that_stays_throttled_prevents_the_order(
        self, orders: Orders, cloud: Cloud
    ) -> None:
        def nothing(RequestItems: Any) -> Any:  # noqa: N803
            return {"Responses": {"orders": []}, "UnprocessedKeys": RequestItems}

        cloud.monkeypatch.setattr(aws.dynamodb(), "batch_get_item", nothing)
        with pytest.raises(Contention, match="1 items could not be read"):
            orders.place()
        assert orders.table.items("order") == []


class TestIdempotency:
    @pytest.mark.parametrize(
        ("key", "code"),
        [
            (None, "idempotency_key_missing"),
            ("", "idempotency_key_missing"),
            ("k" * 129, "invalid_idempotency_key"),
            ("ü#/", "invalid_idempotency_key"),
            ("k\n", "invalid_idempotency_key"),
        ],
    )
    def test_a_request_without_a_valid_key_places_no_order(
        self, orders: Orders, key: str | None, code: str
    ) -> None:
        orders.priced()
        answer = orders.place(key=key)
        assert answer.status == 400
        assert answer.json["code"] == code
        assert answer.json["detail"].startswith("Idempotency-Key: ")
        assert orders.table.items("order") == []

    @pytest.mark.parametrize(
        "key", ["k", "k" * 128, "8e03978e-40d5-43e8-bc93-6894a57f9324", "%C3%BC #/"]
    )
    def test_any_key_of_1_to_128_printable_ascii_characters_is_accepted(
        self, orders: Orders, key: str
    ) -> None:
        orders.priced()
        assert orders.place(key=key).status == 202

    def test_a_request_sent_twice_places_one_order(self, orders: Orders) -> None:
        orders.priced()
        first, second = orders.place(), orders.place()
        assert second == first
        assert len(orders.table.items("order")) == 1
        assert orders.table.published() == ["OrderPlaced.v2"]

    def test_a_repeated_request_gets_its_order_even_after_a_price_change(
        self, orders: Orders
    ) -> None:
        order_id = orders.an_order()
        orders.priced(price=9999, revision=2)
        answer = orders.place()
        assert answer.status == 202
        assert answer.json["order_id"] == order_id
        assert answer.json["total_minor"] == 1250

    def test_a_repeated_request_gets_the_current_status(self, orders: Orders) -> None:
        orders.an_order()
        orders.confirm()
        assert orders.place().json["status"] == "confirmed"

    def test_the_same_key_with_another_body_is_rejected(self, orders: Orders) -> None:
        orders.an_order()
        answer = orders.place([line(quantity=2)])
        assert answer.status == 422
        assert answer.json["code"] == "idempotency_key_reused"
        assert answer.json["detail"].startswith("Idempotency-Key: ")
        assert orders.table.one("order")["total_minor"] == 1250
        assert orders.table.published() == ["OrderPlaced.v2"]

    @pytest.mark.parametrize(
        "change",
        [
            {"payment_token": "tok_decline"},
            {"shipping_address": msgspec.structs.replace(ADDRESS, city="Paris")},
        ],
        ids=str,
    )
    def test_a_change_of_any_field_makes_the_body_another_one(
        self, orders: Orders, change: dict[str, Any]
    ) -> None:
        orders.an_order()
        assert orders.place(**change).status == 422

    def test_the_same_body_in_another_notation_is_a_repetition(self, orders: Orders) -> None:
        first = orders.an_order()
        answer = orders.place(
            [{"unit_price_minor": 1250, "quantity": 1, "sku": "MUG"}],
            shipping_address=dict(reversed(msgspec.to_builtins(ADDRESS).items())),
        )
        assert answer.status == 202
        assert answer.json["order_id"] == first

    def test_the_same_key_of_another_customer_places_another_order(self, orders: Orders) -> None:
        orders.priced()
        first = orders.place(caller="customer-1")
        second = orders.place(caller="customer-2")
        assert first.status == second.status == 202
        assert first.json["order_id"] != second.json["order_id"]
        owners = {order["customer_id"] for order in orders.table.items("order")}
        assert owners == {"customer-1", "customer-2"}

    def test_customer_and_key_are_combined_unambiguously(self, orders: Orders) -> None:
        orders.priced()
        first = orders.place(caller="a:b", key="c")
        second = orders.place(caller="a", key="b:c")
        assert first.json["order_id"] != second.json["order_id"]

    def test_another_key_places_another_order(self, orders: Orders) -> None:
        orders.priced()
        assert orders.place(key="a").json["order_id"] != orders.place(key="b").json["order_id"]
        assert len(orders.table.items("order")) == 2

    def test_the_key_of_a_rejected_request_can_be_used_again(self, orders: Orders) -> None:
        orders.priced(price=1400)
        assert orders.place([line(price=1250)]).status == 409
        assert orders.place([line(price=1400)]).status == 202

    def test_two_concurrent_copies_of_a_request_place_one_order(
        self, orders: Orders, commits: Commits
    ) -> None:
        orders.priced()
        answers = []
        commits.before(1, lambda: answers.append(orders.place()))
        answers.append(orders.place())
        assert answers[0] == answers[1]
        assert answers[0].status == 202
        assert orders.table.published() == ["OrderPlaced.v2"]

    def test_of_two_concurrent_bodies_with_one_key_one_is_rejected(
        self, orders: Orders, commits: Commits
    ) -> None:
        orders.priced()
        commits.before(1, lambda: orders.place([line(quantity=5)]))
        assert orders.place([line(quantity=1)]).status == 422
        assert orders.table.one("order")["total_minor"] == 5 * 1250

    def test_a_request_repeated_after_a_lost_response_gets_its_order(
        self, orders: Orders, commits: Commits
    ) -> None:
        orders.priced()
        commits.after(1, crash)
        with pytest.raises(Crash):
            orders.place()
        assert orders.place().status == 202
        assert orders.table.published() == ["OrderPlaced.v2"]


class TestBodies:
    @pytest.mark.parametrize("count", [1, 2, 200])
    def test_an_order_can_have_1_to_200_lines(self, orders: Orders, count: int) -> None:
        orders.priced()
        answer = orders.place([line()] * count)
        assert answer.status == 202
        assert len(answer.json["lines"]) == count
        assert answer.json["total_minor"] == 1250 * count

    @pytest.mark.parametrize("count", [0, 201])
    def test_an_order_with_fewer_or_more_lines_is_rejected(
        self, orders: Orders, count: int
    ) -> None:
        orders.priced()
        answer = orders.place([line()] * count)
        assert answer.status == 400
        assert answer.json["errors"][0]["field"] == "lines"
        assert orders.table.items("order") == []

    @pytest.mark.parametrize("quantity", [0, -1, 100_001, 1.5, "1", None, True, 10**30])
    def test_an_invalid_quantity_is_rejected_with_its_line(
        self, orders: Orders, quantity: Any
    ) -> None:
        orders.priced()
        wrong = {"sku": "MUG", "quantity": quantity, "unit_price_minor": 1250}
        answer = orders.place([line(), wrong])
        assert answer.status == 400
        assert answer.json["errors"][0]["field"] == "lines[1].quantity"
        assert orders.table.items("order") == []

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"currency": "euro"}, "currency"),
            ({"currency": "EUR\n"}, "currency"),
            ({"without": "currency"}, "(body)"),
            ({"without": "lines"}, "(body)"),
            ({"lines": [{"sku": "MUG", "quantity": 1}]}, "lines[0]"),
            ({"lines": [line("")]}, "lines[0].sku"),
            ({"lines": [line("M" * 65)]}, "lines[0].sku"),
            ({"lines": [line("MUG\n")]}, "lines[0].sku"),
            ({"lines": [line("M G")]}, "lines[0].sku"),
            ({"lines": [line("M#G")]}, "lines[0].sku"),
            ({"lines": [line(price=-1)]}, "lines[0].unit_price_minor"),
            ({"lines": [line(price=MAX_MINOR + 1)]}, "lines[0].unit_price_minor"),
            ({"payment_token": ""}, "payment_token"),
            ({"payment_token": "t" * 129}, "payment_token"),
            ({"without": "shipping_address"}, "(body)"),
            ({"shipping_address": {"name": "A"}}, "shipping_address"),
            (
                {"shipping_address": msgspec.structs.replace(ADDRESS, country="gb")},
                "shipping_address.country",
            ),
            (
                {"shipping_address": msgspec.structs.replace(ADDRESS, city="")},
                "shipping_address.city",
            ),
            ({"total_minor": 1}, "(body)"),
            ({"customer_id": "somebody else"}, "(body)"),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_an_invalid_field_is_rejected_with_its_name(
        self, orders: Orders, change: dict[str, Any], field: str
    ) -> None:
        orders.priced()
        answer = orders.place(**change)
        assert answer.status == 400
        assert answer.json["code"] == "invalid_request"
        assert answer.json["errors"][0]["field"] == field
        assert orders.table.items("order") == []

    def test_the_largest_total_of_an_event_can_be_ordered(self, orders: Orders) -> None:
        orders.priced(price=MAX_MINOR)
        answer = orders.place([line(price=MAX_MINOR)])
        assert answer.status == 202
        assert orders.placed_event().total_minor == MAX_MINOR

    @pytest.mark.parametrize(
        "lines",
        [[line(quantity=2, price=MAX_MINOR)], [line(quantity=100_000, price=MAX_MINOR)] * 200],
        ids=["just over", "far over"],
    )
    def test_a_larger_total_is_rejected(self, orders: Orders, lines: list[Any]) -> None:
        orders.priced(price=MAX_MINOR)
        answer = orders.place(lines)
        assert answer.status == 400
        assert "add up to more than" in answer.json["detail"]
        assert orders.table.items("order") == []

    def test_the_largest_order_fits_an_event_and_an_item(self, orders: Orders) -> None:
        """An item is limited to 400 KB.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
        """
        skus = [f"{number:03}" + "x" * 61 for number in range(200)]
        for sku in skus:
            orders.table.put(
                {
                    "pk": f"PRICE#{sku}",
                    "sk": "PRICE",
                    "sku": sku,
                    "unit_price_minor": 49_999,
                    "currency": "EUR",
                    "revision": 1,
                }
            )
        text = "漢" * 120
        address = {field: text for field in ADDRESS.__struct_fields__ if field != "country"}
        answer = orders.place(
            [line(sku, 100_000, 49_999) for sku in skus],
            shipping_address={**address, "country": "GB"},
            payment_token="€" * 128,
        )
        assert answer.status == 202
        assert order_store.require(answer.json["order_id"]).total_minor == 200 * 100_000 * 49_999
