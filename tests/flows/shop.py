"""The shop as flow tests use it: the final audit, and orders in several states."""

import re
from collections import Counter

from lambdas.eventing.attributes import Item
from tools.demo.audit import audit
from tools.demo.customers import RETURN_REASON as REASON
from tools.demo.evidence import PAYMENTS, PROVIDER, SHIPMENTS, STOCK, TABLES, Evidence
from tools.faults.shop import PRICE, RehearsedShop

__all__ = ["FOREVER", "PRICE", "REASON", "Broken", "Shop"]

FOREVER = 10_000
"""More times than anything is retried."""

_PAID = {"authorized", "captured"}
_IN_PROGRESS = re.compile(r"parcel of order .* is (requested|shipped), with 0 ends")
"""No finding in these tests, unlike in the demo, where the carrier completes each parcel."""


class Shop(RehearsedShop):
    """A rehearsed shop with what tests of flows compare."""

    def assert_books_balance(self) -> Evidence:
        """Asserts that the audit has no findings and that nothing is parked.

        Returns the evidence.
        """
        evidence = self.evidence()
        findings = [
            finding
            for check in audit(evidence)
            for finding in check.findings
            if not _IN_PROGRESS.search(finding)
        ]
        assert not findings, "\n".join(findings)
        assert not self.parked(), self.parked()
        return evidence

    def stock(self) -> dict[str, tuple[int, int]]:
        """Returns the available and reserved units by SKU."""
        return {
            item["pk"].removeprefix("STOCK#"): (item["available"], item["reserved"])
            for item in self.items(STOCK, "stock")
        }

    def issued(self, sku: str) -> tuple[int, int]:
        """Returns the units of an item that were issued, and those that were returned."""
        (item,) = [i for i in self.items(STOCK, "stock") if i["pk"] == f"STOCK#{sku}"]
        return item.get("issued", 0), item.get("returned", 0)

    def held(self) -> int:
        """Returns the held and captured money according to the shop, in minor units."""
        payments = self.items(PAYMENTS, "payment")
        return sum(item["amount_minor"] for item in payments if item["state"] in _PAID)

    def held_by_provider(self) -> int:
        """Returns the held and captured money according to the provider, in minor units."""
        entries = self.items(PROVIDER)
        return sum(item["amount_minor"] for item in entries if item.get("status") in _PAID)

    def payment(self, order_id: str) -> str | None:
        """Returns the state of an order's payment."""
        return self.state_of(PAYMENTS, f"PAYMENT#{order_id}", "PAYMENT")

    def statuses(self) -> Counter[str]:
        """Counts the orders by status."""
        return Counter(self.order_statuses().values())

    def shipment(self, order_id: str) -> str | None:
        """Returns the state of an order's shipment."""
        return self.state_of(SHIPMENTS, f"SHIPMENT#{order_id}", "SHIPMENT")

    def status(self, order_id: str, *, customer: str = "customer-1") -> str:
        """Returns the status that the customer sees."""
        return str(self.view(order_id, customer=customer)["status"])

    def history(self, order_id: str) -> list[str]:
        """Returns the steps that the customer sees."""
        return [step["what"] for step in self.view(order_id)["history"]]

    def outbox(self) -> list[Item]:
        """Returns the events in the outboxes."""
        return [item for table in TABLES for item in self.items(table, "outbox")]

    def published(self) -> Counter[str]:
        """Counts the events in the outboxes by type."""
        return Counter(item["detail_type"] for item in self.outbox())

    def pass_days(self, days: float) -> None:
        """Lets days pass without the sweeps that otherwise run every 15 minutes."""
        scheduler = self.rehearsal.client("scheduler")
        schedule = scheduler.get_schedule(
            Name=self.rehearsal.physical_id("Orders/SweepOrders/Schedule"),
            GroupName=self.rehearsal.physical_id("Orders/SweepOrders/Group"),
        )
        kept = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")
        request = {name: schedule[name] for name in kept}
        scheduler.update_schedule(**request, State="DISABLED")
        self.pass_time(days=days)
        scheduler.update_schedule(**request, State="ENABLED")

    def redrive(self) -> None:
        """Redrives all parked messages."""
        for path in self.parked():
            self.rehearsal.redrive(path)
        self.settle()

    def tell_again(self) -> None:
        """Puts all events of the outboxes on the bus a second time."""
        for item in self.outbox():
            self.publish(source=item["source"], type_=item["detail_type"], detail=item["detail"])
        self.settle()


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


def order_with_requested_return(shop: Shop, sku: str) -> str:
    """Places an order, delivers it and requests its return, which then waits for a decision."""
    order_id = confirmed_order(shop, sku)
    shop.deliver(order_id)
    shop.settle()
    assert shop.give_back(order_id).status == 202
    shop.settle()
    assert shop.returned(order_id) == "awaiting"
    return order_id
