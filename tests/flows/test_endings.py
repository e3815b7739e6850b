"""Orders that are rejected or cancelled hold neither stock nor money in the end."""

import pytest

from tests.flows.shop import Shop


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_decline", "payment_declined"),
        ("tok_timeout", "payment_unavailable"),
        ("tok_flaky_9", "payment_unavailable"),
        ("no_such_token", "payment_declined"),
        ("pm_card_authenticationRequired", "authentication_required"),
    ],
)
def test_an_order_without_payment_is_rejected_and_releases_its_stock(
    shop: Shop, token: str, reason: str
) -> None:
    shop.receive({token: 10}, delivery=token)
    order_id = shop.place({token: 2}, key=token, token=token)

    shop.settle()

    order = shop.view(order_id)
    assert (order["status"], order["reason"]) == ("rejected", reason)
    assert shop.stock()[token] == (10, 0)
    shop.assert_books_balance()


@pytest.mark.parametrize("moment", [0.0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0])
def test_an_order_cancelled_during_checkout_holds_nothing(shop: Shop, moment: float) -> None:
    name = f"MUG-{moment}"
    shop.receive({name: 10}, delivery=name)
    order_id = shop.place({name: 2}, key=name, token="tok_flaky_1")
    shop.rehearsal.run_for(moment)

    assert shop.cancel(order_id).status == 200
    shop.settle()

    assert shop.status(order_id) == "cancelled"
    assert shop.stock()[name] == (10, 0)
    shop.assert_books_balance()
