"""The life of a payment: captured with the parcel, or released before its authorization ends."""

from tests.flows.shop import Shop


def test_the_money_of_an_order_is_captured_when_its_parcel_leaves(shop: Shop) -> None:
    shop.receive({"PAID": 1})
    order_id = shop.place({"PAID": 1})
    shop.settle()
    assert shop.payment(order_id) == "authorized"
    assert shop.report(order_id, "picked_up").status == 200
    shop.settle()
    assert shop.payment(order_id) == "captured"
    assert len(list(shop.on_bus("PaymentCaptured.v1", subject=order_id))) == 1
    shop.assert_books_balance()


def test_an_order_that_does_not_ship_ends_before_its_authorization(shop: Shop) -> None:
    shop.receive({"LATE": 1})
    order_id = shop.place({"LATE": 1})
    shop.settle()
    shop.pass_days(6.4)
    assert shop.status(order_id) == "confirmed"
    shop.pass_days(0.2)
    shop.settle()
    assert shop.status(order_id) == "cancelled"
    assert shop.payment(order_id) == "cancelled"
    assert shop.stock()["LATE"] == (1, 0)
    published = [event.type for event in shop.on_bus() if event.subject == order_id]
    assert published.count("AuthorizationExpiring.v1") == published.count("OrderCancelled.v1") == 1
    shop.assert_books_balance()


def test_an_order_that_has_shipped_is_not_cancelled_at_the_end_of_its_authorization(
    shop: Shop,
) -> None:
    shop.receive({"SENT": 1})
    order_id = shop.place({"SENT": 1})
    shop.settle()
    shop.pause("Payments/CapturePayment/Function")
    shop.report(order_id, "picked_up")
    shop.settle()
    shop.pass_days(6.6)
    assert shop.status(order_id) == "shipped"
    shop.resume("Payments/CapturePayment/Function")
    shop.settle()
    assert shop.status(order_id) == "shipped"
