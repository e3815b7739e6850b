"""Receive stock: units and prices that come in, from whoever may invoke this function."""

from collections import Counter
from typing import Annotated, Any

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import Meta, Struct

from lambdas.eventing import telemetry
from lambdas.eventing.event import Cause
from lambdas.eventing.transaction import AlreadyProcessed
from lambdas.inventory import stock_store
from lambdas.inventory.domain import ReceivedItem

CONSUMER = "inventory.receive_stock"


class StockDelivery(Struct, frozen=True, kw_only=True):
    """What came in at once. The same `delivery_id` counts once per SKU."""

    delivery_id: Annotated[str, Meta(min_length=1, max_length=128)]
    items: Annotated[tuple[ReceivedItem, ...], Meta(min_length=1, max_length=500)]

    def __post_init__(self) -> None:
        """Each SKU may stand in a delivery once: a second line would look like a duplicate."""
        seen = Counter(item.sku for item in self.items)
        repeated = sorted(sku for sku, times in seen.items() if times > 1)
        if repeated:
            raise ValueError(f"items: add up the lines of {', '.join(repeated)}, one line per SKU")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Takes a StockDelivery and says how many of its items were new.

    Raises msgspec.ValidationError, before anything is taken, if the delivery is malformed.
    """
    delivery = msgspec.convert(event, StockDelivery)
    cause = Cause(correlation_id=delivery.delivery_id)
    received = 0
    with telemetry.tracing(cause) as logger:
        for item in delivery.items:
            try:
                stock_store.receive(
                    item,
                    delivery_id=delivery.delivery_id,
                    consumer=CONSUMER,
                    cause=cause,
                )
                received += 1
            except AlreadyProcessed:
                logger.info("duplicate acknowledged", sku=item.sku)
    return {"received": received, "duplicates": len(delivery.items) - received}
