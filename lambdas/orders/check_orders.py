"""Check orders: whether a customer's data may be erased. The first step of an erasure."""

from lambdas.eventing import vault
from lambdas.eventing.declaration import BATCH_GET
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import Failure, task
from lambdas.orders import personal_data
from lambdas.orders.events import Address
from lambdas.privacy.events import ErasureRequested


@task(ErasureRequested, uses=(BATCH_GET, *vault.lists(Address)))
def handler(delivery: Delivery[ErasureRequested], _: Failure | None) -> None:
    """Raises OrdersOpen while an order or a return of the customer is open."""
    personal_data.check(delivery.event.customer_id)
