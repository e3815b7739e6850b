"""Events of returns: how an order comes back."""

from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.event import Event
from lambdas.shared.vocabulary import CustomerId, OrderId

Words = Annotated[
    str,
    Meta(min_length=1, max_length=500, description="Free text", examples=["It has a crack."]),
]


class ReturnEvent(Event, frozen=True, kw_only=True):
    """Base of the events about the return of an order; each order has one at most."""

    source: ClassVar[str] = "orderflow.returns"

    order_id: Annotated[OrderId, Meta(description="Order that comes back")]
    customer_id: Annotated[CustomerId, Meta(description="The customer who returns it")]

    @property
    def subject(self) -> str:
        """The id of the order that comes back."""
        return self.order_id


class ReturnRequested(ReturnEvent, frozen=True, kw_only=True):
    """A customer wants to return a delivered order."""

    reason: Words


class ReturnDecided(ReturnEvent, frozen=True, kw_only=True):
    """A staff member decided about a return."""

    approved: Annotated[bool, Meta(description="Whether the shop takes the order back")]
    note: Words


class OrderReturned(ReturnEvent, frozen=True, kw_only=True):
    """The customer is refunded, and the units are for sale again."""


class ReturnRefused(ReturnEvent, frozen=True, kw_only=True):
    """The shop does not take the order back."""

    reason: Words
