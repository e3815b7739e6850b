"""The shop as its customers and its accountant see it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
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


TABLES = (
    "Orders/Orders/Table",
    "Inventory/Stock/Table",
    "Payments/Payments/Table",
    "Payments/SandboxProvider",
)


@dataclass(frozen=True)
class Books:
    """What the tables hold, each read once."""

    orders: list[Item]
    inventory: list[Item]
    payments: list[Item]
    provider: list[Item]

    def of(self, kind: str) -> list[Item]:
        """Items of one kind, in all of the shop's own tables."""
        tables = (*self.orders, *self.inventory, *self.payments)
        return [item for item in tables if item["kind"] == kind]

    @property
    def units(self) -> dict[str, tuple[int, int]]:
        """See `Shop.stock`."""
        return {
            item["pk"].removeprefix("STOCK#"): (item["available"], item["reserved"])
            for item in self.of("stock")
        }

    @property
    def held(self) -> int:
        """See `Shop.held`."""
        return _held(self.of("payment"), "state")

    @property
    def held_by_provider(self) -> int:
        """See `Shop.held_by_provider`."""
        return _held(self.provider, "status")

    @property
    def statuses(self) -> Counter[str]:
        """See `Shop.statuses`."""
        return Counter(item["status"] for item in self.of("order"))

    @property
    def published(self) -> Counter[str]:
        """See `Shop.published`."""
        return Counter(item["detail_type"] for item in self.of("outbox"))


def _held(items: list[Item], state: str) -> int:
    return sum(item["amount_minor"] for item in items if item.get(state) == "authorized")


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

    def books(self) -> "Books":
        """What all tables hold now."""
        return Books(*(self.items(table) for table in TABLES))

    def stock(self) -> dict[str, tuple[int, int]]:
        """Units available and reserved, per SKU."""
        return self.books().units

    def held(self) -> int:
        """Minor units that the shop's books say the provider holds."""
        return self.books().held

    def held_by_provider(self) -> int:
        """Minor units that the provider's own book says it holds."""
        return self.books().held_by_provider

    def statuses(self) -> Counter[str]:
        """How many orders have which status."""
        return self.books().statuses

    def published(self) -> Counter[str]:
        """Events in the outboxes, by detail-type."""
        return self.books().published

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
        books = self.books()
        confirmed = [order for order in books.of("order") if order["status"] == "confirmed"]
        units: Counter[str] = Counter()
        for order in confirmed:
            for line in order["lines"]:
                units[line["sku"]] += line["quantity"]
        assert {sku: taken for sku, (_, taken) in books.units.items() if taken} == dict(units)
        assert all(available >= 0 for available, _ in books.units.values())
        assert books.held == sum(order["total_minor"] for order in confirmed)
        assert books.held_by_provider == books.held
        assert books.statuses["placed"] == 0
        published = books.published
        assert published["OrderPlaced.v1"] == books.statuses.total()
        assert published["OrderCancelled.v1"] == books.statuses["cancelled"]
        assert published["OrderRejected.v1"] == books.statuses["rejected"]
        assert published["OrderConfirmed.v1"] >= books.statuses["confirmed"]
        assert self.parked() == {}


class Broken(Exception):
    """What a test makes a handler raise."""


def place_some_orders(shop: Shop, name: str = "some") -> None:
    """Four orders for items of their own: two end well, one lacks money and one lacks stock."""
    shop.receive({f"MUG-{name}": 2, f"CUP-{name}": 50}, delivery=name)
    for number, token in enumerate(["tok_approve", "tok_decline", "tok_flaky_1", "tok_approve"]):
        shop.place({f"MUG-{name}": 1, f"CUP-{name}": 2}, key=f"{name}-{number}", token=token)
