"""Getting an order: only its customer sees it."""

from tests.orders.context import Orders


def test_customers_see_their_order(orders: Orders) -> None:
    orders.priced()
    placed = orders.place()
    answer = orders.get(placed.json["order_id"])
    assert answer.status == 200
    assert answer.json == placed.json


def test_the_response_has_the_current_status(orders: Orders) -> None:
    order_id = orders.an_order()
    orders.reject("out_of_stock")
    answer = orders.get(order_id)
    assert (answer.json["status"], answer.json["reason"]) == ("rejected", "out_of_stock")


def test_internal_fields_are_not_shown(orders: Orders) -> None:
    answer = orders.get(orders.an_order())
    assert not {"customer_id", "fingerprint", "payment_token", "pk", "kind"} & set(answer.json)


def test_another_customers_order_looks_like_an_unknown_order(orders: Orders) -> None:
    order_id = orders.an_order()
    foreign = orders.get(order_id, caller="customer-2")
    unknown = orders.get(order_id.replace(order_id[0], "x"), caller="customer-2")
    assert foreign.status == unknown.status == 404
    assert foreign.json["code"] == unknown.json["code"] == "unknown_order"
    assert set(foreign.json) == set(unknown.json)


def test_a_path_cannot_reach_other_items_of_the_table(orders: Orders) -> None:
    orders.an_order()
    for path in ("", "MUG", "PRICE#MUG", "../MUG"):
        assert orders.get(path or "%20").status == 404
