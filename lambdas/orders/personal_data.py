"""The personal data of a customer's orders, all together."""

from lambdas.eventing import vault
from lambdas.eventing.personal import Personal
from lambdas.orders import order_store
from lambdas.orders.events import Address, PaymentMethod

KINDS: tuple[type[Personal], ...] = (Address, PaymentMethod)
"""What orders have in the vault."""


class OrdersOpen(Exception):
    """An order or a return of the customer has not ended, and may still need their data."""


def check(customer_id: str) -> None:
    """Raises OrdersOpen if an order or a return of a customer is open.

    The vault has the address of each order that is open, and lists them without delay: an index of
    the orders would lag behind.
    """
    order_ids = vault.purposes(Address, customer_id)
    if any(order.is_open for order in order_store.all_of(order_ids)):
        raise OrdersOpen("orders_open")
