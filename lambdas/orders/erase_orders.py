"""Erase orders: deletes a customer's addresses and means of payment. A step of an erasure."""

from lambdas.eventing import vault
from lambdas.eventing.declaration import BATCH_GET
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.orders import personal_data
from lambdas.orders.events import Address, PaymentMethod
from lambdas.privacy.events import Erased, ErasureRequested


@task(ErasureRequested, uses=(BATCH_GET, *vault.erases(Address, PaymentMethod)))
def handler(delivery: Delivery[ErasureRequested], _: Failure | None) -> Erased:
    """Raises OrdersOpen if the customer placed another order since the first check."""
    personal_data.check(delivery.event.customer_id)
    for kind in personal_data.KINDS:
        vault.erase(kind, delivery.event.customer_id)
    return Erased(context="orders", kinds=tuple(kind.__name__ for kind in personal_data.KINDS))
