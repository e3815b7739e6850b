"""Events of privacy: the way of a request to erase a customer's personal data."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from lambdas.eventing.event import Event
from lambdas.shared.vocabulary import CustomerId


class ErasureEvent(Event, frozen=True, kw_only=True):
    """Base of the events about the erasure of a customer's personal data."""

    source: ClassVar[str] = "orderflow.privacy"

    customer_id: CustomerId
    erasure_id: Annotated[
        str,
        Meta(description="The request", examples=["2b9f6c1e-7a54-4d0e-8c3b-5f1d2e3a4b6c"]),
    ]

    @property
    def subject(self) -> str:
        """The customer."""
        return self.customer_id


class ErasureRequested(ErasureEvent, frozen=True, kw_only=True):
    """A customer, or staff on their behalf, requested the erasure of all personal data."""


class ErasureRefused(ErasureEvent, frozen=True, kw_only=True):
    """Nothing was erased. The customer may request it again when the reason has passed."""

    reason: Annotated[str, Meta(description="A code", examples=["orders_open"])]


class Erased(Struct, frozen=True, kw_only=True):
    """The kinds of personal data of a customer that a context no longer has."""

    context: Annotated[str, Meta(description="The context", examples=["orders"])]
    kinds: Annotated[
        tuple[str, ...],
        Meta(description="Kinds of personal data", examples=[["Address", "PaymentMethod"]]),
    ]


class CustomerErased(ErasureEvent, frozen=True, kw_only=True):
    """The shop has no personal data of the customer any more. Systems outside should follow."""

    erased: Annotated[tuple[Erased, ...], Meta(description="What each context erased")]


FOR_OUTSIDERS = (ErasureRefused, CustomerErased)
"""Events for systems outside the shop that have data of customers: no context reacts to them."""
