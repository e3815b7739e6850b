"""Returns: approved, refused, disputed, and of orders that were cancelled too late."""

from tests.flows.shop import Shop, confirmed_order, order_with_requested_return
from tools.demo.evidence import RETURNS
from tools.demo.staff import staff_token

FOLLOWER = "Orders/FollowShipment/Function"


def order_cancelled_too_late(shop: Shop, sku: str) -> str:
    """Places an order that is delivered, and cancelled before the orders context knows that."""
    order_id = confirmed_order(shop, sku)
    shop.pause(FOLLOWER)
    shop.deliver(order_id)
    shop.settle()
    assert shop.cancel(order_id).status == 200
    shop.settle()
    shop.resume(FOLLOWER)
    shop.settle()
    assert shop.status(order_id) == "cancelled"
    assert shop.shipment(order_id) == "delivered"
    return order_id


def test_an_approved_return_refunds_the_payment_and_restocks_the_units(shop: Shop) -> None:
    order_id = order_with_requested_return(shop, "APPROVED")

    assert shop.decide(order_id, approved=True).status == 200
    shop.settle()

    assert shop.status(order_id) == "returned"
    assert (shop.stock()["APPROVED"], shop.issued("APPROVED")) == ((5, 0), (1, 1))
    shop.assert_books_balance()


def test_a_refused_return_changes_neither_payment_nor_stock(shop: Shop) -> None:
    order_id = order_with_requested_return(shop, "REFUSED")

    assert shop.decide(order_id, approved=False, reason="incomplete").status == 200
    shop.settle()

    assert shop.status(order_id) == "delivered"
    last = shop.view(order_id)["history"][-1]
    assert (last["what"], last["reason"]) == ("return_refused", "incomplete")
    assert (shop.stock()["REFUSED"], shop.issued("REFUSED")) == ((4, 0), (1, 0))
    shop.assert_books_balance()


def test_staff_cannot_decide_on_the_return_of_their_own_order(shop: Shop) -> None:
    order_id = order_with_requested_return(shop, "OWN")
    decision = {"approved": True}
    path = f"/returns/{order_id}"

    for account, code in (("customer-1", "own_order"), (None, "customer_not_named")):
        headers = {"authorization": f"Bearer {staff_token(shop.rehearsal, customer_id=account)}"}
        review = shop.rehearsal.http.request("POST", f"{path}/review", headers=headers)
        answer = shop.rehearsal.http.request(
            "POST", f"{path}/decision", headers=headers, body=decision
        )
        assert (review.status, review.json()["code"]) == (403, code)
        assert (answer.status, answer.json()["code"]) == (403, code)
    shop.settle()

    assert shop.returned(order_id) == "awaiting"
    recorded = {item["order_id"] for item in shop.items(RETURNS, "decision")}
    assert order_id not in recorded


def test_the_first_of_two_decisions_counts(shop: Shop) -> None:
    order_id = order_with_requested_return(shop, "DISPUTED")

    first = shop.decide(order_id, approved=True)
    again = shop.decide(order_id, approved=True)
    second = shop.decide(order_id, approved=False)
    shop.settle()

    assert (first.status, again.status, second.status) == (200, 200, 409)
    (record,) = [item for item in shop.items(RETURNS, "decision") if item["order_id"] == order_id]
    assert (record["approved"], record["decided_by"]) == (True, "clerk-1")
    assert shop.status(order_id) == "returned"
    shop.assert_books_balance()


def test_an_order_cancelled_too_late_is_refunded_and_its_units_stay_issued(
    shop: Shop,
) -> None:
    held = shop.held()
    order_id = order_cancelled_too_late(shop, "AT-THE-DOOR")

    assert (shop.held(), shop.stock()["AT-THE-DOOR"]) == (held, (4, 0))
    assert shop.issued("AT-THE-DOOR") == (1, 0)
    steps = ["placed", "confirmed", "shipment_requested", "shipped", "delivered", "cancelled"]
    assert shop.history(order_id) == steps
    shop.assert_books_balance()


def test_an_order_cancelled_too_late_and_returned_is_refunded_and_restocked_once(
    shop: Shop,
) -> None:
    order_id = order_cancelled_too_late(shop, "CAME-BACK")

    assert shop.give_back(order_id).status == 202
    shop.settle()
    assert shop.decide(order_id, approved=True).status == 200
    shop.settle()

    assert shop.status(order_id) == "returned"
    assert shop.stock()["CAME-BACK"] == (5, 0)
    published = [event.type for event in shop.on_bus() if event.subject == order_id]
    assert published.count("PaymentRefunded.v1") == published.count("StockReleased.v1") == 1
    again = shop.cancel(order_id)
    assert (again.status, again.json()["status"]) == (200, "returned")
    shop.assert_books_balance()


def test_an_order_cancelled_too_late_whose_return_is_refused_stays_cancelled(
    shop: Shop,
) -> None:
    order_id = order_cancelled_too_late(shop, "WORN")

    assert shop.give_back(order_id).status == 202
    shop.settle()
    assert shop.decide(order_id, approved=False).status == 200
    shop.settle()

    assert shop.status(order_id) == "cancelled"
    assert shop.history(order_id)[-1] == "return_refused"
    assert (shop.stock()["WORN"], shop.issued("WORN")) == ((4, 0), (1, 0))
    shop.assert_books_balance()


def test_staff_routes_reject_customers(shop: Shop) -> None:
    order_id = order_with_requested_return(shop, "NOT-YOURS")
    hour = "from=2026-01-05T08:00:00Z&to=2026-01-05T09:00:00Z"
    decision = {"approved": True}

    answers = [
        shop.request("GET", "/returns", "customer-1"),
        shop.request("POST", f"/returns/{order_id}/review", "customer-1"),
        shop.request("POST", f"/returns/{order_id}/decision", "customer-1", body=decision),
        shop.request("GET", f"/sales?{hour}", "customer-1"),
        shop.request("POST", "/customers/customer-2/erasure", "customer-1"),
        shop.request("GET", "/customers/customer-2/erasure", "customer-1"),
        shop.request("GET", "/prices/proposals", "customer-1"),
        shop.request("PUT", "/prices", "customer-1", body={}),
        shop.request("POST", "/prices/decision", "customer-1", body={}),
        shop.request("PUT", "/items/supplier", "customer-1", body={}),
    ]
    shop.settle()

    assert {answer.status for answer in answers} == {401}
    assert shop.returned(order_id) == "awaiting"
    assert shop.give_back(order_id, customer="somebody-else").status == 404


def test_customer_routes_reject_staff(shop: Shop) -> None:
    order_id = order_with_requested_return(shop, "NOT-STAFFS")

    answers = [
        shop.staff.ask("GET", f"/orders/{order_id}"),
        shop.staff.ask("DELETE", f"/orders/{order_id}"),
        shop.staff.ask("POST", f"/orders/{order_id}/returns", {"reason": "unwanted"}),
        shop.staff.ask("GET", "/preferences"),
    ]

    assert [answer.status for answer in answers] == [401] * 4
