"""The shop as flow tests use it: the final audit, and orders in several states."""

import re

from tools.demo.books import audit
from tools.demo.evidence import Evidence
from tools.faults import shop
from tools.faults.shop import PRICE, REASON

__all__ = ["FOREVER", "PRICE", "REASON", "Broken", "Shop"]

FOREVER = 10_000
"""More times than anything is retried."""

_UNDER_WAY = re.compile(r"parcel of order .* is (requested|shipped), with 0 ends")
"""No fault in these tests, unlike in the demo, where the carrier completes each parcel."""


class Shop(shop.Shop):
    """A rehearsal of the application, with the words of the shop."""

    def assert_books_balance(self) -> Evidence:
        """Asserts that nothing is lost, duplicated or parked: all contexts pass the audit.

        Returns the audited evidence.
        """
        evidence = self.evidence()
        faults = [
            fault
            for check in audit(evidence)
            for fault in check.faults
            if not _UNDER_WAY.search(fault)
        ]
        assert not faults, "\n".join(faults)
        assert not self.parked(), self.parked()
        return evidence


class Broken(Exception):
    """The error that a test makes a handler raise."""


def place_some_orders(shop: Shop, name: str = "some") -> None:
    """Places four orders for separate items: two succeed, one lacks money and one lacks stock."""
    shop.receive({f"MUG-{name}": 2, f"CUP-{name}": 50}, delivery=name)
    for number, token in enumerate(["tok_approve", "tok_decline", "tok_flaky_1", "tok_approve"]):
        shop.place({f"MUG-{name}": 1, f"CUP-{name}": 2}, key=f"{name}-{number}", token=token)


def confirmed_order(shop: Shop, sku: str) -> str:
    """Places an order of one of five units; returns it when its parcel is requested."""
    shop.receive({sku: 5}, delivery=sku)
    order_id = shop.place({sku: 1}, key=sku)
    shop.settle()
    assert shop.shipment(order_id) == "requested"
    return order_id


def order_wanted_back(shop: Shop, sku: str) -> str:
    """Places an order, delivers it and requests its return, which then waits for a decision."""
    order_id = confirmed_order(shop, sku)
    shop.deliver(order_id)
    shop.settle()
    assert shop.give_back(order_id).status == 202
    shop.settle()
    assert shop.returned(order_id) == "awaiting"
    return order_id
