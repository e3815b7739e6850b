"""What one order asks of each hop, measured and counted by hand."""

from cdk_rehearsal import Loads
from tests.flows.shop import Shop

SKU = "LOADED"


def test_an_order_asks_for_the_units_requests_and_schedules_that_it_writes(shop: Shop) -> None:
    """An approved order of one item, of a customer without addresses, until it is delivered.

    It writes 25 items in transactions, which take two units each, 13 alone, and 7 rows of the
    sandboxes, one unit each. Five entries of indexes come and go: the order's in two, the order's
    wait, the payment's wait. Analytics depends on how events meet in batches.
    """
    shop.receive({SKU: 5}, delivery=SKU)
    shop.settle()
    loads = Loads(shop.rehearsal)
    order_id = shop.place({SKU: 1}, key=SKU, token="tok_approve")
    shop.settle()
    shop.deliver(order_id)
    shop.settle()
    load = loads.load(1)
    units = {name: n for name, n in load.units.items() if not name.startswith("Analytics/")}
    assert sum(units.values()) == 2 * 25 + 13 + 5 + 7
