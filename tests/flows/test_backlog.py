"""A backlog: orders expire in time, however many are stuck."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from lambdas.eventing import pending
from lambdas.eventing.attributes import to_attributes
from tests.flows.shop import Shop
from tools.demo.evidence import ORDERS

STUCK = 10_000
PROMISED = timedelta(minutes=60)
"""When a placed order is confirmed, rejected or expired: see docs/contexts/orders.md."""


def stuck_orders(shop: Shop, count: int) -> Iterator[dict[str, Any]]:
    """Yields orders like one that a customer has just placed, as attribute values."""
    shop.pause("Checkout/RunCheckout/Function")
    shop.receive({"STUCK": 5}, delivery="stuck")
    order_id = shop.place({"STUCK": 1}, key="stuck")
    (placed,) = [item for item in shop.items(ORDERS, "order") if item["order_id"] == order_id]
    attributes, now = to_attributes(placed), datetime.now(UTC)
    for _ in range(count):
        order_id = str(uuid4())
        ids = {"pk": f"ORDER#{order_id}", "order_id": order_id}
        yield {**attributes, **to_attributes({**ids, **pending.waiting(order_id, now)})}


def test_ten_thousand_stuck_orders_expire_in_the_promised_time(shop: Shop) -> None:
    table = shop.rehearsal.physical_id(ORDERS)
    items = list(stuck_orders(shop, STUCK))
    # The other contexts would react to each event: not what this test is about.
    shop.pause("Orders/Orders/Relay")
    for start in range(0, STUCK, 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        shop.rehearsal.client("dynamodb").batch_write_item(RequestItems={table: puts})

    shop.pass_time(seconds=PROMISED.total_seconds())

    found = Counter(item.get("status") or item.get("detail_type") for item in shop.items(ORDERS))
    assert found["placed"] == 0
    # One more: the order that a customer placed.
    assert found["expired"] == found["OrderExpired.v1"] == STUCK + 1
    assert not shop.parked()
