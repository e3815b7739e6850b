"""The shop as its customers and its accountant see it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lambdas.eventing.attributes import Item, from_attributes
from rehearsal import Rehearsal
from rehearsal.http_api import HttpResponse

ADDRESS = {
    "name": "A. Customer",
    "street": "Main Street 1",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
}
PRICE = 1250
FOREVER = 10_000
"""More times than anything is retried."""


class Shop:
    """A rehearsal of the application, with the words of the shop."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal

    def receive(self, quantities: Mapping[str, int], *, delivery: str = "delivery-1") -> None:
        """Takes in units of items, each at PRICE, and waits until orders knows the prices."""
        items = [
            {"sku": sku, "quantity": quantity, "unit_price_minor": PRICE, "currency": "EUR"}
            for sku, quantity in quantities.items()
        ]
        for start in range(0, len(items), 500):
            payload = {"delivery_id": f"{delivery}-{start}", "items": items[start : start + 500]}
            result = self.rehearsal.invoke("Inventory/ReceiveStock", payload)
            assert result.function_error is None, result.payload
        self.settle()

    def order(
        self,
        lines: Mapping[str, int],
        *,
        key: str = "key-1",
        token: str = "tok_approve",
        customer: str = "customer-1",
    ) -> HttpResponse:
        """Posts an order and returns the answer at once."""
        body = {
            "currency": "EUR",
            "lines": [
                {"sku": sku, "quantity": quantity, "unit_price_minor": PRICE}
                for sku, quantity in lines.items()
            ],
            "shipping_address": ADDRESS,
            "payment_token": token,
        }
        return self.request("POST", "/orders", customer, {"idempotency-key": key}, body)

    def place(self, lines: Mapping[str, int], **options: str) -> str:
        """Posts an order that is accepted, and returns its id."""
        answer = self.order(lines, **options)
        assert answer.status == 202, answer.body
        order_id: str = answer.json()["order_id"]
        return order_id

    def cancel(self, order_id: str, *, customer: str = "customer-1") -> HttpResponse:
        """Asks for a cancellation."""
        return self.request("DELETE", f"/orders/{order_id}", customer)

    def status(self, order_id: str, *, customer: str = "customer-1") -> str:
        """The status that the customer sees."""
        answer = self.request("GET", f"/orders/{order_id}", customer)
        assert answer.status == 200, answer.body
        status: str = answer.json()["status"]
        return status

    def request(
        self,
        method: str,
        path: str,
        customer: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> HttpResponse:
        """Any request of a customer who is signed in."""
        token = self.rehearsal.token(customer)
        headers = {"authorization": f"Bearer {token}", **(headers or {})}
        return self.rehearsal.http.request(method, path, headers=headers, body=body)

    def settle(self) -> None:
        """Lets everything happen that is under way."""
        self.rehearsal.run_until_idle()

    def items(self, table: str, kind: str | None = None) -> list[Item]:
        """Items of a table, by the table's path."""
        client = self.rehearsal.client("dynamodb")
        pages = client.get_paginator("scan").paginate(TableName=self.rehearsal.physical_id(table))
        items = [from_attributes(item) for page in pages for item in page["Items"]]
        return [item for item in items if kind in (None, item.get("kind"))]

    def stock(self) -> dict[str, tuple[int, int]]:
        """Units available and reserved, per SKU."""
        return {
            item["pk"].removeprefix("STOCK#"): (item["available"], item["reserved"])
            for item in self.items("Inventory/Stock/Table", "stock")
        }

    def held(self) -> int:
        """Minor units that the shop's books say the provider holds."""
        return sum(
            item["amount_minor"]
            for item in self.items("Payments/Payments/Table", "payment")
            if item["state"] == "authorized"
        )

    def held_by_provider(self) -> int:
        """Minor units that the provider's own book says it holds."""
        return sum(
            item["amount_minor"]
            for item in self.items("Payments/SandboxProvider")
            if item.get("status") == "authorized"
        )

    def statuses(self) -> Counter[str]:
        """How many orders have which status."""
        return Counter(item["status"] for item in self.items("Orders/Orders/Table", "order"))

    def published(self) -> Counter[str]:
        """Events on the bus, by detail-type; one that was published twice counts once."""
        ids = {
            (item["detail_type"], item["sk"])
            for table in ("Orders/Orders", "Inventory/Stock", "Payments/Payments")
            for item in self.items(f"{table}/Table", "outbox")
        }
        return Counter(detail_type for detail_type, _ in ids)

    def parked(self) -> dict[str, int]:
        """Messages in each dead-letter queue that has any."""
        depths = self.rehearsal.queue_depths()
        return {
            path: depths[path] for path in self.rehearsal.dead_letter_queues() if depths.get(path)
        }

    def redrive(self) -> None:
        """Brings back what was parked, and lets it happen."""
        for path in self.parked():
            self.rehearsal.redrive(path)
        self.settle()

    def assert_books_balance(self) -> None:
        """Nothing lost, nothing twice: orders, stock, money and the provider's book agree."""
        orders = self.items("Orders/Orders/Table", "order")
        confirmed = [order for order in orders if order["status"] == "confirmed"]
        units: Counter[str] = Counter()
        for order in confirmed:
            for line in order["lines"]:
                units[line["sku"]] += line["quantity"]
        reserved = {sku: taken for sku, (_, taken) in self.stock().items() if taken}
        assert reserved == dict(units)
        assert all(available >= 0 for available, _ in self.stock().values())
        assert self.held() == sum(order["total_minor"] for order in confirmed)
        assert self.held_by_provider() == self.held()
        statuses = self.statuses()
        assert statuses["placed"] == 0
        published = self.published()
        assert published["OrderPlaced.v1"] == len(orders)
        assert published["OrderCancelled.v1"] == statuses["cancelled"]
        assert published["OrderRejected.v1"] == statuses["rejected"]
        assert published["OrderConfirmed.v1"] >= statuses["confirmed"]
        assert self.parked() == {}


class Broken(Exception):
    """What a test makes a handler raise."""


def place_some_orders(shop: Shop, name: str = "some") -> None:
    """Six orders for items of their own: some that end well, some that lack money or stock."""
    shop.receive({f"MUG-{name}": 3, f"CUP-{name}": 50}, delivery=name)
    for number, token in enumerate(["tok_approve", "tok_decline", "tok_flaky_1"] * 2):
        shop.place({f"MUG-{name}": 1, f"CUP-{name}": 2}, key=f"{name}-{number}", token=token)
