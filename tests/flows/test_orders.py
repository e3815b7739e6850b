"""What becomes of orders, from the API to their end."""

from tests.flows.shop import PRICE, Shop


def test_order_is_confirmed_with_its_stock_held_and_its_money_authorized(shop: Shop) -> None:
    shop.receive({"MUG": 10, "CUP": 5})
    order_id = shop.place({"MUG": 2, "CUP": 1})
    assert shop.status(order_id) == "placed"

    shop.settle()

    assert shop.status(order_id) == "confirmed"
    assert shop.stock() == {"MUG": (8, 2), "CUP": (4, 1)}
    assert shop.held() == 3 * PRICE
    shop.assert_books_balance()


def test_payment_that_fails_in_passing_is_authorized_once(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    order_id = shop.place({"MUG": 2}, token="tok_flaky_3")

    shop.settle()

    assert shop.status(order_id) == "confirmed"
    assert shop.held_by_provider() == 2 * PRICE
    shop.assert_books_balance()


def test_order_that_lacks_one_item_takes_none(shop: Shop) -> None:
    shop.receive({"MUG": 10, "CUP": 1})
    order_id = shop.place({"MUG": 2, "CUP": 2})

    shop.settle()

    assert shop.status(order_id) == "rejected"
    assert shop.stock() == {"MUG": (10, 0), "CUP": (1, 0)}
    shop.assert_books_balance()


def test_last_unit_has_exactly_one_owner(shop: Shop) -> None:
    shop.receive({"MUG": 1})
    for number in range(12):
        shop.place({"MUG": 1}, key=f"key-{number}", customer=f"customer-{number}")

    shop.settle()

    assert shop.statuses() == {"confirmed": 1, "rejected": 11}
    assert shop.stock() == {"MUG": (0, 1)}
    shop.assert_books_balance()


def test_order_of_200_lines_is_all_or_nothing(shop: Shop) -> None:
    skus = [f"SKU-{number:03}" for number in range(200)]
    shop.receive({**dict.fromkeys(skus, 5), "SKU-199": 1})
    first = shop.place(dict.fromkeys(skus, 1), key="first")
    second = shop.place(dict.fromkeys(skus, 1), key="second")

    shop.settle()

    assert sorted((shop.status(first), shop.status(second))) == ["confirmed", "rejected"]
    assert set(shop.stock().values()) == {(4, 1), (0, 1)}
    shop.assert_books_balance()


def test_request_that_is_repeated_places_one_order(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    answers = [shop.order({"MUG": 1}, key="same") for _ in range(3)]
    shop.settle()
    answers.append(shop.order({"MUG": 1}, key="same"))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert shop.statuses() == {"confirmed": 1}
    shop.assert_books_balance()


def test_same_key_for_another_body_is_refused(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    shop.place({"MUG": 1}, key="same")

    answer = shop.order({"MUG": 2}, key="same")

    assert (answer.status, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_price_that_changed_is_refused_with_the_current_one(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    shop.receive({"MUG": 0}, delivery="dearer", price=1300)

    answer = shop.order({"MUG": 1})

    assert (answer.status, answer.json()["code"]) == (409, "price_changed")
    assert answer.json()["current_prices"] == {"MUG": {"unit_price_minor": 1300, "currency": "EUR"}}


def test_orders_are_for_their_owners_with_a_token_only(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    order_id = shop.place({"MUG": 1})
    path = f"/orders/{order_id}"

    assert shop.rehearsal.http.request("GET", path).status == 401
    forged = shop.rehearsal.token("customer-1")[:-4] + "AAAA"
    headers = {"authorization": f"Bearer {forged}"}
    assert shop.rehearsal.http.request("GET", path, headers=headers).status == 401
    assert shop.request("GET", path, "somebody-else").status == 404
    assert shop.cancel(order_id, customer="somebody-else").status == 404
    assert shop.status(order_id) == "placed"


def test_cancelled_order_releases_its_stock_and_refunds_its_payment(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    order_id = shop.place({"MUG": 2})
    shop.settle()
    assert shop.stock() == {"MUG": (8, 2)}

    assert shop.cancel(order_id).json()["status"] == "cancelled"
    assert shop.cancel(order_id).status == 200
    shop.settle()

    assert shop.stock() == {"MUG": (10, 0)}
    assert shop.held_by_provider() == 0
    assert shop.published()["PaymentRefunded.v1"] == 1
    assert shop.published()["StockReleased.v1"] == 1
    shop.assert_books_balance()


def test_rejected_order_cannot_be_cancelled(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    order_id = shop.place({"MUG": 2}, token="tok_decline")
    shop.settle()

    answer = shop.cancel(order_id)

    assert (answer.status, answer.json()["code"]) == (409, "not_cancellable")
