"""Orders from the API to their final status."""

from collections import Counter

from tests.flows.shop import PRICE, Shop
from tools.demo.customers import CUSTOMERS


def test_an_order_is_confirmed_with_its_stock_reserved_and_its_payment_authorized(
    shop: Shop,
) -> None:
    shop.receive({"PLAIN-MUG": 10, "PLAIN-CUP": 5}, delivery="plain")
    held = shop.held()
    order_id = shop.place({"PLAIN-MUG": 2, "PLAIN-CUP": 1}, key="plain")
    assert shop.status(order_id) == "placed"

    shop.settle()

    assert shop.status(order_id) == "confirmed"
    stock = shop.stock()
    assert (stock["PLAIN-MUG"], stock["PLAIN-CUP"]) == ((8, 2), (4, 1))
    assert shop.held() - held == 3 * PRICE
    shop.assert_books_balance()


def test_a_payment_with_transient_failures_is_authorized_once(shop: Shop) -> None:
    shop.receive({"FLAKY": 10}, delivery="flaky")
    held = shop.held_by_provider()
    order_id = shop.place({"FLAKY": 2}, key="flaky", token="tok_flaky_3")

    shop.settle()

    assert shop.status(order_id) == "confirmed"
    assert shop.held_by_provider() - held == 2 * PRICE
    shop.assert_books_balance()


def test_an_order_that_lacks_one_item_reserves_none(shop: Shop) -> None:
    shop.receive({"ENOUGH": 10, "SCARCE": 1}, delivery="scarce")
    order_id = shop.place({"ENOUGH": 2, "SCARCE": 2}, key="scarce")

    shop.settle()

    assert shop.status(order_id) == "rejected"
    stock = shop.stock()
    assert (stock["ENOUGH"], stock["SCARCE"]) == ((10, 0), (1, 0))
    shop.assert_books_balance()


def test_the_last_unit_is_sold_to_exactly_one_customer(shop: Shop) -> None:
    shop.receive({"LAST": 1}, delivery="last")
    orders = {
        customer: shop.place({"LAST": 1}, key="last", customer=customer)
        for customer in (f"customer-{number}" for number in range(8))
    }

    shop.settle()

    assert Counter(
        shop.status(order_id, customer=customer) for customer, order_id in orders.items()
    ) == {"confirmed": 1, "rejected": 7}
    assert shop.stock()["LAST"] == (0, 1)
    shop.assert_books_balance()


def test_a_repeated_request_places_one_order(shop: Shop) -> None:
    shop.receive({"REPEATED": 10}, delivery="repeated")
    before = shop.statuses()
    answers = [shop.order({"REPEATED": 1}, key="repeated") for _ in range(3)]
    shop.settle()
    answers.append(shop.order({"REPEATED": 1}, key="repeated"))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert shop.statuses() - before == {"confirmed": 1}
    shop.assert_books_balance()


def test_the_same_key_with_another_body_is_rejected(shop: Shop) -> None:
    shop.receive({"REUSED": 10}, delivery="reused")
    shop.place({"REUSED": 1}, key="reused")

    answer = shop.order({"REUSED": 2}, key="reused")
    shop.settle()

    assert (answer.status, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert shop.stock()["REUSED"] == (9, 1)


def test_an_outdated_price_is_rejected_with_the_current_one(shop: Shop) -> None:
    shop.receive({"DEAR": 10}, delivery="dear")
    shop.receive({"DEAR": 0}, delivery="dearer", price=1300)

    answer = shop.order({"DEAR": 1}, key="dear")

    assert (answer.status, answer.json()["code"]) == (409, "price_changed")
    assert answer.json()["current_prices"] == {
        "DEAR": {"unit_price_minor": 1300, "currency": "EUR"}
    }


def test_an_order_is_accessible_only_to_its_owner_with_a_valid_token(shop: Shop) -> None:
    shop.receive({"MINE": 10}, delivery="mine")
    order_id = shop.place({"MINE": 1}, key="mine")
    path = f"/orders/{order_id}"

    assert shop.rehearsal.http.request("GET", path).status == 401
    forged = shop.rehearsal.token("customer-1", authorizer=CUSTOMERS)[:-4] + "AAAA"
    headers = {"authorization": f"Bearer {forged}"}
    assert shop.rehearsal.http.request("GET", path, headers=headers).status == 401
    assert shop.request("GET", path, "somebody-else").status == 404
    assert shop.cancel(order_id, customer="somebody-else").status == 404
    shop.settle()
    assert shop.status(order_id) == "confirmed"


def test_a_cancelled_order_releases_its_stock_and_refunds_its_payment(shop: Shop) -> None:
    shop.receive({"CANCELLED": 10}, delivery="cancelled")
    held = shop.held_by_provider()
    order_id = shop.place({"CANCELLED": 2}, key="cancelled")
    shop.settle()
    assert shop.stock()["CANCELLED"] == (8, 2)
    assert shop.held_by_provider() - held == 2 * PRICE
    before = shop.published()

    assert shop.cancel(order_id).json()["status"] == "cancelled"
    assert shop.cancel(order_id).status == 200
    shop.settle()

    assert shop.stock()["CANCELLED"] == (10, 0)
    assert shop.held_by_provider() == held
    published = shop.published() - before
    assert published["PaymentReleased.v1"] == published["StockReleased.v1"] == 1
    shop.assert_books_balance()


def test_a_rejected_order_cannot_be_cancelled(shop: Shop) -> None:
    shop.receive({"REJECTED": 10}, delivery="rejected")
    order_id = shop.place({"REJECTED": 2}, key="rejected", token="tok_decline")
    shop.settle()

    answer = shop.cancel(order_id)

    assert (answer.status, answer.json()["code"]) == (409, "not_cancellable")


def test_an_order_of_200_lines_is_confirmed_completely_or_not_at_all(shop: Shop) -> None:
    skus = [f"SKU-{number:03}" for number in range(200)]
    shop.receive({**dict.fromkeys(skus, 5), "SKU-199": 1}, delivery="many")
    first = shop.place(dict.fromkeys(skus, 1), key="first")
    second = shop.place(dict.fromkeys(skus, 1), key="second")

    shop.settle()

    assert sorted((shop.status(first), shop.status(second))) == ["confirmed", "rejected"]
    stock = shop.stock()
    assert {stock[sku] for sku in skus} == {(4, 1), (0, 1)}
    shop.assert_books_balance()
