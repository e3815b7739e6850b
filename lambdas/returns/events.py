"""Events of returns: how an order comes back."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.event import Event
from lambdas.shared.vocabulary import CustomerId, OrderId, code_or

Words = Annotated[
    str,
    Meta(min_length=1, max_length=500, description="Free text", examples=["It has a crack."]),
]
"""Only in superseded events: a person can type personal data into it."""


class ReturnReason(StrEnum):
    """Why a customer returns an order.

    - `damaged`: it arrived damaged
    - `defective`: it does not work
    - `wrong_item`: another item was in the parcel
    - `not_as_described`: it differs from its description
    - `arrived_late`: it arrived too late to be of use
    - `unwanted`: the customer does not want it, which needs no further reason
    - `other`: something else
    """

    DAMAGED = "damaged"
    DEFECTIVE = "defective"
    WRONG_ITEM = "wrong_item"
    NOT_AS_DESCRIBED = "not_as_described"
    ARRIVED_LATE = "arrived_late"
    UNWANTED = "unwanted"
    OTHER = "other"

    @classmethod
    def of(cls, code: str) -> "ReturnReason":
        """Returns the reason of a code; OTHER for any other text."""
        return code_or(code, cls.OTHER)


class RefusalReason(StrEnum):
    """Why the shop does not take an order back.

    - `used`: it was used more than it takes to try it
    - `incomplete`: a part is missing
    - `damaged_after_delivery`: it was damaged after it was delivered
    - `not_the_item_sold`: something else was sent back
    - `sent_back_late`: it was sent back too late, or not at all
    - `not_returnable`: it cannot be sold again, because its seal is broken or it was made to order
    - `conditions_not_met`: something else in the conditions of returns is not met
    - `not_reviewed`: staff did not decide in time
    """

    USED = "used"
    INCOMPLETE = "incomplete"
    DAMAGED_AFTER_DELIVERY = "damaged_after_delivery"
    NOT_THE_ITEM_SOLD = "not_the_item_sold"
    SENT_BACK_LATE = "sent_back_late"
    NOT_RETURNABLE = "not_returnable"
    CONDITIONS_NOT_MET = "conditions_not_met"
    NOT_REVIEWED = "not_reviewed"

    @classmethod
    def of(cls, code: str) -> "RefusalReason":
        """Returns the reason of a code; CONDITIONS_NOT_MET for any other text."""
        return code_or(code, cls.CONDITIONS_NOT_MET)


Approved = Annotated[
    bool, Meta(description="Whether the shop takes the order back", examples=[False])
]
WhyNot = Annotated[
    RefusalReason | None,
    Meta(description="Why not; null if the shop takes it back", examples=["used"]),
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


class ReturnRequestedV1(ReturnEvent, frozen=True, kw_only=True):
    """A customer wants to return a delivered order. Superseded: its reason can be free text."""

    ends: ClassVar[str | None] = "2027-12-31"

    reason: Words

    def upcast(self) -> "ReturnRequested":
        """Returns the same fact with one of the known reasons."""
        return ReturnRequested(
            order_id=self.order_id,
            customer_id=self.customer_id,
            reason=ReturnReason.of(self.reason),
        )


class ReturnRequested(ReturnEvent, frozen=True, kw_only=True):
    """A customer wants to return a delivered order."""

    version: ClassVar[int] = 2
    supersedes: ClassVar[type[Event] | None] = ReturnRequestedV1

    reason: ReturnReason


class ReturnDecidedV1(ReturnEvent, frozen=True, kw_only=True):
    """A staff member decided about a return. Superseded: its note can be free text."""

    ends: ClassVar[str | None] = "2027-12-31"

    approved: Approved
    note: Words

    def upcast(self) -> "ReturnDecided":
        """Returns the same fact; a refusal with one of the known reasons."""
        return ReturnDecided(
            order_id=self.order_id,
            customer_id=self.customer_id,
            approved=self.approved,
            reason=None if self.approved else RefusalReason.of(self.note),
        )


class ReturnDecided(ReturnEvent, frozen=True, kw_only=True):
    """A staff member decided about a return."""

    version: ClassVar[int] = 2
    supersedes: ClassVar[type[Event] | None] = ReturnDecidedV1

    approved: Approved
    reason: WhyNot = None


class OrderReturned(ReturnEvent, frozen=True, kw_only=True):
    """The customer is refunded, and the units are for sale again."""


class ReturnRefusedV1(ReturnEvent, frozen=True, kw_only=True):
    """The shop does not take the order back. Superseded: its reason can be free text."""

    ends: ClassVar[str | None] = "2027-12-31"

    reason: Words

    def upcast(self) -> "ReturnRefused":
        """Returns the same fact with one of the known reasons."""
        return ReturnRefused(
            order_id=self.order_id,
            customer_id=self.customer_id,
            reason=RefusalReason.of(self.reason),
        )


class ReturnRefused(ReturnEvent, frozen=True, kw_only=True):
    """The shop does not take the order back."""

    version: ClassVar[int] = 2
    supersedes: ClassVar[type[Event] | None] = ReturnRefusedV1

    reason: RefusalReason
