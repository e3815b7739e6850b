"""Cancel an order whose money cannot be held until its parcel leaves."""

from contextlib import suppress

from lambdas.eventing import vault
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.orders import order_store
from lambdas.orders.domain import TooLateToCancel
from lambdas.orders.events import Address, OrderCancelled, PaymentMethod
from lambdas.payments.events import AuthorizationExpiring


@consumer(
    AuthorizationExpiring,
    publishes=(OrderCancelled,),
    uses=(GET, UPDATE, *vault.keeps(Address), *vault.discards(PaymentMethod)),
)
def handler(delivery: Delivery[AuthorizationExpiring]) -> None:
    """Needs no inbox: an order is cancelled once. An order that has shipped is paid by capture."""
    order_id = delivery.event.order_id
    with suppress(TooLateToCancel):
        order_store.cancel(order_id, lambda: order_store.require(order_id), delivery)
