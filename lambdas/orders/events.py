"""Events of orders: the life of an order."""

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from msgspec import Meta, Struct

from lambdas.eventing.event import Event
from lambdas.inventory.events import Sku
from lambdas.shared.vocabulary import Currency, CustomerId, Minor, OrderId

Quantity = Annotated[int, Meta(ge=1, le=100_000, description="Units", examples=[2])]
Text = Annotated[str, Meta(min_length=1, max_length=120)]
TotalMinor = Annotated[
    Minor, Meta(description="Total of all lines, in minor units", examples=[2500])
]


class Line(Struct, frozen=True, kw_only=True):
    """Some units of one item at the price that the customer saw."""

    sku: Sku
    quantity: Quantity
    unit_price_minor: Minor


Lines = Annotated[
    tuple[Line, ...], Meta(min_length=1, max_length=200, description="The ordered items")
]
PaymentToken = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="The payment provider's token for the card",
        examples=["tok_approve"],
    ),
]


class Address(Struct, frozen=True, kw_only=True):
    """A shipping address."""

    name: Annotated[Text, Meta(description="The recipient", examples=["A. Customer"])]
    street: Annotated[Text, Meta(description="Street and number", examples=["Main Street 1"])]
    postal_code: Annotated[Text, Meta(examples=["10115"])]
    city: Annotated[Text, Meta(examples=["Berlin"])]
    country: Annotated[
        str,
        Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2 code", examples=["DE"]),
    ]


class OrderEvent(Event, frozen=True, kw_only=True):
    """Base of the events about an order."""

    source: ClassVar[str] = "orderflow.orders"

    order_id: OrderId

    @property
    def subject(self) -> str:
        """The order's id."""
        return self.order_id


class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """A customer placed an order at current prices. Carries everything that checkout needs."""

    customer_id: CustomerId
    currency: Currency
    total_minor: TotalMinor
    lines: Lines
    shipping_address: Address
    payment_token: PaymentToken


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """Stock is reserved and payment authorized: the order can be shipped."""

    customer_id: CustomerId
    currency: Currency
    total_minor: TotalMinor
    lines: Annotated[tuple[Line, ...], Meta(description="The ordered items")]
    shipping_address: Address


class RejectionReason(StrEnum):
    """Why an order could not be fulfilled."""

    OUT_OF_STOCK = "out_of_stock"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_UNAVAILABLE = "payment_unavailable"
    CHECKOUT_FAILED = "checkout_failed"

    @classmethod
    def of(cls, code: str) -> Self:
        """Returns the reason of a code; CHECKOUT_FAILED for any other text."""
        return cls(code) if code in {reason.value for reason in cls} else cls("checkout_failed")


class OrderRejectedV1(OrderEvent, frozen=True, kw_only=True):
    """The order could not be fulfilled. Superseded: its reasons are free text."""

    customer_id: CustomerId
    reason: Annotated[
        str,
        Meta(description="A code, or the name of an error", examples=["out_of_stock"]),
    ]

    def upcast(self) -> "OrderRejected":
        """Returns the same fact with one of the known reasons."""
        return OrderRejected(
            order_id=self.order_id,
            customer_id=self.customer_id,
            reason=RejectionReason.of(self.reason),
        )


class OrderRejected(OrderEvent, frozen=True, kw_only=True):
    """The order could not be fulfilled. Everything that was held for it is released."""

    version: ClassVar[int] = 2
    supersedes: ClassVar[type[Event] | None] = OrderRejectedV1

    customer_id: CustomerId
    reason: RejectionReason


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    """The customer or the shop cancelled the order. Contexts release what they hold for it.

    The units of an order that was confirmed are not released before shipping has its parcel.
    """

    customer_id: CustomerId
    confirmed: Annotated[
        bool, Meta(description="Whether it was confirmed before: a parcel may be on its way")
    ] = False


class OrderExpired(OrderEvent, frozen=True, kw_only=True):
    """Checkout did not end in time. Contexts release what they hold for the order."""

    customer_id: CustomerId


class SweepDue(Event, frozen=True, kw_only=True):
    """Time to look for orders that wait too long. Orders' own event: scheduled, not published."""

    source: ClassVar[str] = OrderEvent.source

    @property
    def subject(self) -> str:
        """All orders."""
        return "orders"
