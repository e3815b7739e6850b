"""What the carrier says, in whatever order, and what it does not say."""

from tests.flows.shop import Shop, confirmed_order


def test_parcel_is_followed_from_the_request_to_the_door(shop: Shop) -> None:
    order_id = confirmed_order(shop, "WHOLE-WAY")

    for kind, status in (("picked_up", "shipped"), ("delivered", "delivered")):
        assert shop.report(order_id, kind).status == 200
        shop.settle()
        assert shop.status(order_id) == status

    steps = ["placed", "confirmed", "shipment_requested", "shipped", "delivered"]
    assert shop.history(order_id) == steps
    shop.assert_books_balance()


def test_parcel_that_is_delivered_before_it_is_picked_up_was_shipped_all_the_same(
    shop: Shop,
) -> None:
    order_id = confirmed_order(shop, "OVERTAKEN")

    assert shop.report(order_id, "delivered").status == 200
    assert shop.report(order_id, "picked_up").status == 200
    shop.settle()

    assert shop.status(order_id) == "delivered"
    told = [event.type for event in shop.on_bus() if event.subject == order_id]
    assert told.count("OrderShipped.v1") == told.count("OrderDelivered.v1") == 1
    shop.assert_books_balance()


def test_forged_call_back_is_refused_and_moves_nothing(shop: Shop) -> None:
    order_id = confirmed_order(shop, "FORGED")

    answer = shop.report(order_id, "delivered", secret="a guess")
    shop.settle()

    assert (answer.status, answer.json()["code"]) == (401, "forged")
    assert shop.shipment(order_id) == "requested"


def test_call_back_that_is_repeated_tells_once(shop: Shop) -> None:
    order_id = confirmed_order(shop, "REPEATED")

    answers = [shop.report(order_id, "picked_up").status for _ in range(3)]
    shop.settle()

    assert answers == [200, 200, 200]
    shipped = shop.on_bus("OrderShipped.v1")
    assert [event.subject for event in shipped].count(order_id) == 1
    shop.assert_books_balance()


def test_order_cancelled_while_it_is_shipped_calls_its_parcel_back(shop: Shop) -> None:
    order_id = confirmed_order(shop, "RECALLED")

    assert shop.cancel(order_id).status == 200
    assert shop.report(order_id, "picked_up").status == 200
    shop.settle()

    assert shop.status(order_id) == "cancelled"
    assert shop.shipment(order_id) == "recalled"
    assert shop.report(order_id, "delivered").status == 200  # and of no consequence
    shop.settle()
    assert shop.status(order_id) == "cancelled"
    assert shop.stock()["RECALLED"] == (5, 0)
    shop.assert_books_balance()
