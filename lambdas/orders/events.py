"""Events of orders: the life of an order."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from lambdas.eventing.event import Event
from lambdas.eventing.personal import Claim, Personal
from lambdas.inventory.events import Sku
from lambdas.shared.vocabulary import Currency, CustomerId, Minor, OrderId, code_or

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


class Address(Personal, frozen=True, kw_only=True):
    """A shipping address."""

    name: Annotated[Text, Meta(description="The recipient", examples=["A. Customer"])]
    street: Annotated[Text, Meta(description="Street and number", examples=["Main Street 1"])]
    postal_code: Annotated[Text, Meta(examples=["10115"])]
    city: Annotated[Text, Meta(examples=["Berlin"])]
    country: Annotated[
        str,
        Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2 code", examples=["DE"]),
    ]


class PaymentMethod(Personal, frozen=True, kw_only=True):
    """A means of payment."""

    token: PaymentToken


class OrderEvent(Event, frozen=True, kw_only=True):
    """Base of the events about an order."""

    source: ClassVar[str] = "orderflow.orders"

    order_id: OrderId

    @property
    def subject(self) -> str:
        """The order's id."""
        return self.order_id


class OrderPlacedV1(OrderEvent, frozen=True, kw_only=True):
    """A customer placed an order at current prices. Superseded: it carries personal data."""

    customer_id: CustomerId
    currency: Currency
    total_minor: TotalMinor
    lines: Lines
    shipping_address: Address
    payment_token: PaymentToken

    @property
    def carried(self) -> tuple[Personal, ...]:
        """The address and the means of payment."""
        return (self.shipping_address, PaymentMethod(token=self.payment_token))

    def upcast(self) -> "OrderPlaced":
        """Returns the same fact without the personal data."""
        return OrderPlaced(
            order_id=self.order_id,
            customer_id=self.customer_id,
            currency=self.currency,
            total_minor=self.total_minor,
            lines=self.lines,
        )


class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """A customer placed an order at current prices.

    The vault has its address and its means of payment.
    """

    version: ClassVar[int] = 2
    supersedes: ClassVar[type[Event] | None] = OrderPlacedV1

    customer_id: CustomerId
    currency: Currency
    total_minor: TotalMinor
    lines: Lines

    @property
    def claim(self) -> Claim:
        """The key of the address and of the means of payment."""
        return claim_of(self.customer_id, self.order_id)


class OrderConfirmedV1(OrderEvent, frozen=True, kw_only=True):
    """Stock is reserved and payment authorized. Superseded: it carries personal data."""

    customer_id: CustomerId
    currency: Currency
    total_minor: TotalMinor
    lines: Annotated[tuple[Line, ...], Meta(description="The ordered items")]
    shipping_address: Address

    @property
    def carried(self) -> tuple[Personal, ...]:
        """The address."""
        return (self.shipping_address,)

    def upcast(self) -> "OrderConfirmed":
        """Returns the same fact without the address."""
        return OrderConfirmed(
            order_id=self.order_id,
            customer_id=self.customer_id,
            currency=self.currency,
            total_minor=self.total_minor,
            lines=self.lines,
        )


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """Stock is reserved and payment authorized: the order can be shipped.

    The vault has its address.
    """

    version: ClassVar[int] = 2
    supersedes: ClassVar[type[Event] | None] = OrderConfirmedV1

    customer_id: CustomerId
    currency: Currency
    total_minor: TotalMinor
    lines: Annotated[tuple[Line, ...], Meta(description="The ordered items")]

    @property
    def claim(self) -> Claim:
        """The key of the address."""
        return claim_of(self.customer_id, self.order_id)


class RejectionReason(StrEnum):
    """Why an order could not be fulfilled."""

    OUT_OF_STOCK = "out_of_stock"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_UNAVAILABLE = "payment_unavailable"
    CHECKOUT_FAILED = "checkout_failed"

    @classmethod
    def of(cls, code: str) -> "RejectionReason":
        """Returns the reason of a code; CHECKOUT_FAILED for any other text.

        The order has the code. A bank that asks the customer to authenticate has declined.
        """
        if code == "authentication_required":
            return cls.PAYMENT_DECLINED
        return code_or(code, cls.CHECKOUT_FAILED)


class OrderRejectedV1(OrderEvent, frozen=True, kw_only=True):
    """The order could not be fulfilled. Superseded: its reasons are free text."""

    ends: ClassVar[str | None] = "2027-12-31"

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


class CanaryDue(Event, frozen=True, kw_only=True):
    """Time to place a canary order. Orders' own event: scheduled, not published."""

    source: ClassVar[str] = OrderEvent.source

    @property
    def subject(self) -> str:
        """All canary orders."""
        return "canary"


def claim_of(customer_id: str, order_id: str) -> Claim:
    """Returns the key under which the vault has the personal data of an order."""
    return Claim(person=customer_id, purpose=order_id)
