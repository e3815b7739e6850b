"""What the shop does about silence: it waits for hours, days or weeks, and not for ever."""

from tests.flows.shop import FOREVER, PRICE, Broken, Shop, confirmed_order, order_wanted_back


def test_order_whose_checkout_is_broken_expires_and_lets_go(busy_shop: Shop) -> None:
    held = busy_shop.held()
    busy_shop.receive({"STUCK": 10}, delivery="stuck")
    busy_shop.rehearsal.faults.fail("Orders/ConfirmOrder", times=FOREVER, error=Broken("down"))
    order_id = busy_shop.place({"STUCK": 2}, key="stuck")
    busy_shop.pass_time(minutes=30)
    assert busy_shop.stock()["STUCK"] == (8, 2)
    assert busy_shop.held() - held == 2 * PRICE

    busy_shop.pass_time(hours=2)
    assert busy_shop.status(order_id) == "expired"
    assert busy_shop.stock()["STUCK"] == (10, 0)
    assert busy_shop.held_by_provider() == held

    busy_shop.rehearsal.faults.clear()
    busy_shop.redrive()

    assert busy_shop.status(order_id) == "expired"
    assert busy_shop.stock()["STUCK"] == (10, 0)
    assert busy_shop.held_by_provider() == held
    busy_shop.assert_books_balance()


def test_parcel_that_is_silent_for_days_is_overdue_and_may_still_arrive(busy_shop: Shop) -> None:
    order_id = confirmed_order(busy_shop, "SILENT")

    busy_shop.pass_days(4.9)
    assert "overdue" not in busy_shop.history(order_id)
    busy_shop.pass_days(0.2)
    assert busy_shop.history(order_id)[-1] == "overdue"
    assert busy_shop.status(order_id) == "confirmed"
    busy_shop.deliver(order_id)
    busy_shop.settle()

    assert busy_shop.status(order_id) == "delivered"
    overdue = busy_shop.on_bus("ShipmentOverdue.v1")
    assert [event.subject for event in overdue].count(order_id) == 1


def test_return_that_nobody_decides_about_is_refused_after_weeks(busy_shop: Shop) -> None:
    held = busy_shop.held_by_provider()
    order_id = order_wanted_back(busy_shop, "FORGOTTEN")

    busy_shop.pass_days(2.1)
    waiting = busy_shop.staff.ask("GET", "/returns").json()["returns"]
    assert [each["order_id"] for each in waiting if each["escalated_at"]] == [order_id]
    busy_shop.pass_days(7.1)

    assert busy_shop.returned(order_id) == "refused"
    assert busy_shop.history(order_id)[-1] == "return_refused"
    assert busy_shop.held_by_provider() - held == PRICE
    assert busy_shop.staff.ask("GET", "/returns").json()["returns"] == []
