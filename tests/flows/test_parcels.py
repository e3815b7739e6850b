"""Callbacks of the carrier: in any order, repeated, forged or too late."""

from tests.flows.shop import Shop, confirmed_order


def test_a_parcel_is_tracked_from_the_request_to_the_delivery(shop: Shop) -> None:
    order_id = confirmed_order(shop, "WHOLE-WAY")

    for kind, status in (("picked_up", "shipped"), ("delivered", "delivered")):
        assert shop.report(order_id, kind).status == 200
        shop.settle()
        assert shop.status(order_id) == status

    steps = ["placed", "confirmed", "shipment_requested", "shipped", "delivered"]
    assert shop.history(order_id) == steps
    shop.assert_books_balance()


def test_a_delivery_reported_before_the_pickup_still_counts_as_shipped_once(
    shop: Shop,
) -> None:
    order_id = confirmed_order(shop, "OVERTAKEN")

    assert shop.report(order_id, "delivered").status == 200
    assert shop.report(order_id, "picked_up").status == 200
    shop.settle()

    assert shop.status(order_id) == "delivered"
    published = [event.type for event in shop.on_bus() if event.subject == order_id]
    assert published.count("OrderShipped.v1") == published.count("OrderDelivered.v1") == 1
    shop.assert_books_balance()


def test_a_forged_callback_is_rejected_and_changes_nothing(shop: Shop) -> None:
    order_id = confirmed_order(shop, "FORGED")

    answer = shop.report(order_id, "delivered", secret="a guess")
    shop.settle()

    assert (answer.status, answer.json()["code"]) == (401, "forged")
    assert shop.shipment(order_id) == "requested"


def test_a_repeated_callback_publishes_one_event(shop: Shop) -> None:
    order_id = confirmed_order(shop, "REPEATED")

    answers = [shop.report(order_id, "picked_up").status for _ in range(3)]
    shop.settle()

    assert answers == [200, 200, 200]
    shipped = shop.on_bus("OrderShipped.v1")
    assert [event.subject for event in shipped].count(order_id) == 1
    shop.assert_books_balance()


def test_an_order_cancelled_while_it_ships_recalls_its_parcel(shop: Shop) -> None:
    order_id = confirmed_order(shop, "RECALLED")

    assert shop.cancel(order_id).status == 200
    assert shop.report(order_id, "picked_up").status == 200
    shop.settle()

    assert shop.status(order_id) == "cancelled"
    assert shop.shipment(order_id) == "recalled"
    assert shop.report(order_id, "delivered").status == 200  # without effect
    shop.settle()
    assert shop.status(order_id) == "cancelled"
    assert shop.stock()["RECALLED"] == (5, 0)
    shop.assert_books_balance()
