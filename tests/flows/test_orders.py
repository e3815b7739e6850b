"""What becomes of orders, from the API to their end."""

from collections import Counter

from tests.flows.shop import PRICE, Shop


def test_order_is_confirmed_with_its_stock_held_and_its_money_authorized(busy_shop: Shop) -> None:
    busy_shop.receive({"PLAIN-MUG": 10, "PLAIN-CUP": 5}, delivery="plain")
    held = busy_shop.held()
    order_id = busy_shop.place({"PLAIN-MUG": 2, "PLAIN-CUP": 1}, key="plain")
    assert busy_shop.status(order_id) != "cancelled"

    busy_shop.settle()

    assert busy_shop.status(order_id) == "confirmed"
    stock = busy_shop.stock()
    assert (stock["PLAIN-MUG"], stock["PLAIN-CUP"]) == ((8, 2), (4, 1))
    assert busy_shop.held() - held == 3 * PRICE
    busy_shop.assert_books_balance()


def test_payment_that_fails_in_passing_is_authorized_once(busy_shop: Shop) -> None:
    busy_shop.receive({"FLAKY": 10}, delivery="flaky")
    held = busy_shop.held_by_provider()
    order_id = busy_shop.place({"FLAKY": 2}, key="flaky", token="tok_flaky_3")

    busy_shop.settle()

    assert busy_shop.status(order_id) == "confirmed"
    assert busy_shop.held_by_provider() - held == 2 * PRICE
    busy_shop.assert_books_balance()


def test_order_that_lacks_one_item_takes_none(busy_shop: Shop) -> None:
    busy_shop.receive({"ENOUGH": 10, "SCARCE": 1}, delivery="scarce")
    order_id = busy_shop.place({"ENOUGH": 2, "SCARCE": 2}, key="scarce")

    busy_shop.settle()

    assert busy_shop.status(order_id) == "rejected"
    stock = busy_shop.stock()
    assert (stock["ENOUGH"], stock["SCARCE"]) == ((10, 0), (1, 0))
    busy_shop.assert_books_balance()


def test_last_unit_has_exactly_one_owner(busy_shop: Shop) -> None:
    busy_shop.receive({"LAST": 1}, delivery="last")
    orders = {
        customer: busy_shop.place({"LAST": 1}, key="last", customer=customer)
        for customer in (f"customer-{number}" for number in range(8))
    }

    busy_shop.settle()

    assert Counter(
        busy_shop.status(order_id, customer=customer) for customer, order_id in orders.items()
    ) == {"confirmed": 1, "rejected": 7}
    assert busy_shop.stock()["LAST"] == (0, 1)
    busy_shop.assert_books_balance()


def test_request_that_is_repeated_places_one_order(busy_shop: Shop) -> None:
    busy_shop.receive({"REPEATED": 10}, delivery="repeated")
    before = busy_shop.statuses()
    answers = [busy_shop.order({"REPEATED": 1}, key="repeated") for _ in range(3)]
    busy_shop.settle()
    answers.append(busy_shop.order({"REPEATED": 1}, key="repeated"))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert busy_shop.statuses() - before == {"confirmed": 1}
    busy_shop.assert_books_balance()


def test_same_key_for_another_body_is_refused(busy_shop: Shop) -> None:
    busy_shop.receive({"REUSED": 10}, delivery="reused")
    busy_shop.place({"REUSED": 1}, key="reused")

    answer = busy_shop.order({"REUSED": 2}, key="reused")
    busy_shop.settle()

    assert (answer.status, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert busy_shop.stock()["REUSED"] == (9, 1)


def test_price_that_changed_is_refused_with_the_current_one(busy_shop: Shop) -> None:
    busy_shop.receive({"DEAR": 10}, delivery="dear")
    busy_shop.receive({"DEAR": 0}, delivery="dearer", price=1300)

    answer = busy_shop.order({"DEAR": 1}, key="dear")

    assert (answer.status, answer.json()["code"]) == (409, "price_changed")
    assert answer.json()["current_prices"] == {
        "DEAR": {"unit_price_minor": 1300, "currency": "EUR"}
    }


def test_orders_are_for_their_owners_with_a_token_only(busy_shop: Shop) -> None:
    busy_shop.receive({"MINE": 10}, delivery="mine")
    order_id = busy_shop.place({"MINE": 1}, key="mine")
    path = f"/orders/{order_id}"

    assert busy_shop.rehearsal.http.request("GET", path).status == 401
    forged = busy_shop.rehearsal.token("customer-1")[:-4] + "AAAA"
    headers = {"authorization": f"Bearer {forged}"}
    assert busy_shop.rehearsal.http.request("GET", path, headers=headers).status == 401
    assert busy_shop.request("GET", path, "somebody-else").status == 404
    assert busy_shop.cancel(order_id, customer="somebody-else").status == 404
    assert busy_shop.status(order_id) != "cancelled"
    busy_shop.settle()
    assert busy_shop.status(order_id) == "confirmed"


def test_cancelled_order_releases_its_stock_and_refunds_its_payment(busy_shop: Shop) -> None:
    busy_shop.receive({"CANCELLED": 10}, delivery="cancelled")
    held = busy_shop.held_by_provider()
    order_id = busy_shop.place({"CANCELLED": 2}, key="cancelled")
    busy_shop.settle()
    assert busy_shop.stock()["CANCELLED"] == (8, 2)
    assert busy_shop.held_by_provider() - held == 2 * PRICE
    before = busy_shop.published()

    assert busy_shop.cancel(order_id).json()["status"] == "cancelled"
    assert busy_shop.cancel(order_id).status == 200
    busy_shop.settle()

    assert busy_shop.stock()["CANCELLED"] == (10, 0)
    assert busy_shop.held_by_provider() == held
    published = busy_shop.published() - before
    assert published["PaymentRefunded.v1"] == published["StockReleased.v1"] == 1
    busy_shop.assert_books_balance()


def test_rejected_order_cannot_be_cancelled(busy_shop: Shop) -> None:
    busy_shop.receive({"REJECTED": 10}, delivery="rejected")
    order_id = busy_shop.place({"REJECTED": 2}, key="rejected", token="tok_decline")
    busy_shop.settle()

    answer = busy_shop.cancel(order_id)

    assert (answer.status, answer.json()["code"]) == (409, "not_cancellable")


def test_order_of_200_lines_is_all_or_nothing(busy_shop: Shop) -> None:
    skus = [f"SKU-{number:03}" for number in range(200)]
    busy_shop.receive({**dict.fromkeys(skus, 5), "SKU-199": 1}, delivery="many")
    first = busy_shop.place(dict.fromkeys(skus, 1), key="first")
    second = busy_shop.place(dict.fromkeys(skus, 1), key="second")

    busy_shop.settle()

    assert sorted((busy_shop.status(first), busy_shop.status(second))) == ["confirmed", "rejected"]
    stock = busy_shop.stock()
    assert {stock[sku] for sku in skus} == {(4, 1), (0, 1)}
    busy_shop.assert_books_balance()
