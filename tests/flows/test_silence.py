"""Missing responses: the shop waits for hours, days or weeks, but never indefinitely."""

from tests.flows.shop import (
    FOREVER,
    PRICE,
    Broken,
    Shop,
    confirmed_order,
    order_with_requested_return,
)


def test_an_order_whose_checkout_is_broken_expires_and_releases_what_it_holds(shop: Shop) -> None:
    held = shop.held()
    shop.receive({"STUCK": 10}, delivery="stuck")
    shop.rehearsal.faults.fail("Orders/ConfirmOrder", times=FOREVER, error=Broken("down"))
    order_id = shop.place({"STUCK": 2}, key="stuck")
    shop.pass_time(minutes=30)
    assert shop.stock()["STUCK"] == (8, 2)
    assert shop.held() - held == 2 * PRICE

    shop.pass_time(hours=2)
    assert shop.status(order_id) == "expired"
    assert shop.stock()["STUCK"] == (10, 0)
    assert shop.held_by_provider() == held

    shop.rehearsal.faults.clear()
    shop.redrive()

    assert shop.status(order_id) == "expired"
    assert shop.stock()["STUCK"] == (10, 0)
    assert shop.held_by_provider() == held
    shop.assert_books_balance()


def test_a_parcel_without_updates_for_days_is_overdue_and_can_still_arrive(shop: Shop) -> None:
    order_id = confirmed_order(shop, "SILENT")

    shop.pass_days(4.9)
    assert "overdue" not in shop.history(order_id)
    shop.pass_days(0.2)
    assert shop.history(order_id)[-1] == "overdue"
    assert shop.status(order_id) == "confirmed"
    shop.deliver(order_id)
    shop.settle()

    assert shop.status(order_id) == "delivered"
    overdue = shop.on_bus("ShipmentOverdue.v1")
    assert [event.subject for event in overdue].count(order_id) == 1


def test_a_return_without_a_decision_is_escalated_and_later_refused(shop: Shop) -> None:
    held = shop.held_by_provider()
    order_id = order_with_requested_return(shop, "FORGOTTEN")

    shop.pass_days(2.1)
    waiting = shop.staff.ask("GET", "/returns?waiting=true").json()["returns"]
    assert [each["order_id"] for each in waiting if each["escalated_at"]] == [order_id]
    shop.pass_days(7.1)

    assert shop.returned(order_id) == "refused"
    assert shop.history(order_id)[-1] == "return_refused"
    assert shop.held_by_provider() - held == PRICE
    assert shop.staff.ask("GET", "/returns?waiting=true").json()["returns"] == []
