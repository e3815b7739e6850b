"""What the shop does about silence: it waits for hours, days or weeks, and not for ever."""

from tests.flows.shop import FOREVER, PRICE, Broken, Shop, confirmed_order, order_wanted_back


def test_order_whose_checkout_is_broken_expires_and_lets_go(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    shop.rehearsal.faults.fail("Orders/ConfirmOrder", times=FOREVER, error=Broken("down"))
    order_id = shop.place({"MUG": 2})
    shop.pass_time(minutes=30)
    assert (shop.stock(), shop.held()) == ({"MUG": (8, 2)}, 2 * PRICE)

    shop.pass_time(hours=2)
    assert shop.status(order_id) == "expired"
    assert (shop.stock(), shop.held_by_provider()) == ({"MUG": (10, 0)}, 0)

    shop.rehearsal.faults.clear()
    shop.redrive()

    assert shop.status(order_id) == "expired"
    assert (shop.stock(), shop.held_by_provider()) == ({"MUG": (10, 0)}, 0)
    shop.assert_books_balance()


def test_parcel_that_is_silent_for_days_is_overdue_and_may_still_arrive(shop: Shop) -> None:
    order_id = confirmed_order(shop, "SILENT")

    shop.pass_time(days=4.9)
    assert "overdue" not in shop.history(order_id)
    shop.pass_time(days=0.2)
    assert shop.history(order_id)[-1] == "overdue"
    assert shop.status(order_id) == "confirmed"
    shop.deliver(order_id)
    shop.settle()

    assert shop.status(order_id) == "delivered"
    assert len(shop.on_bus("ShipmentOverdue.v1")) == 1


def test_return_that_nobody_decides_about_is_refused_after_weeks(shop: Shop) -> None:
    order_id = order_wanted_back(shop, "FORGOTTEN")

    shop.pass_time(days=2.1)
    waiting = shop.staff.ask("GET", "/returns").json()["returns"]
    assert [each["order_id"] for each in waiting if each["escalated_at"]] == [order_id]
    shop.pass_time(days=7.1)

    assert shop.returned(order_id) == "refused"
    assert shop.history(order_id)[-1] == "return_refused"
    assert shop.held_by_provider() == PRICE
    assert shop.staff.ask("GET", "/returns").json()["returns"] == []
