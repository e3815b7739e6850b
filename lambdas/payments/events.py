"""Events of payments: the life of a payment."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from lambdas.eventing.event import Event, Moment
from lambdas.shared.vocabulary import Currency, Minor, OrderId

Until = Annotated[
    Moment,
    Meta(description="End of the authorization", examples=["2026-01-10T08:00:00Z"]),
]

DisputeId = Annotated[str, Meta(description="The provider's id of the dispute", examples=["du_1"])]


class PaymentEvent(Event, frozen=True, kw_only=True):
    """Base of the events about the payment of an order."""

    source: ClassVar[str] = "orderflow.payments"

    order_id: Annotated[OrderId, Meta(description="Order that is paid")]
    amount_minor: Annotated[
        Minor, Meta(description="The whole amount, in minor units", examples=[2500])
    ]
    currency: Currency

    @property
    def subject(self) -> str:
        """The id of the order that is paid."""
        return self.order_id


class PaymentAuthorized(PaymentEvent, frozen=True, kw_only=True):
    """The provider holds the amount for the shop."""

    authorized_until: Until | UnsetType = UNSET


class DeclineReason(StrEnum):
    """Why a payment was declined."""

    PAYMENT_DECLINED = "payment_declined"
    AUTHENTICATION_REQUIRED = "authentication_required"
    """The bank wants the customer to authenticate (3-D Secure). Another card may do."""


class PaymentDeclined(PaymentEvent, frozen=True, kw_only=True):
    """The provider declined the payment."""

    reason: DeclineReason = DeclineReason.PAYMENT_DECLINED


class AuthorizationExpiring(PaymentEvent, frozen=True, kw_only=True):
    """The provider is about to release the amount, and the parcel has not left."""

    authorized_until: Until


class PaymentCaptured(PaymentEvent, frozen=True, kw_only=True):
    """The parcel left, and the shop has the money."""


class PaymentUncollected(PaymentEvent, frozen=True, kw_only=True):
    """The parcel left, and the provider no longer holds the money. A person has to decide."""


class PaymentReleased(PaymentEvent, frozen=True, kw_only=True):
    """The provider no longer holds the amount. The shop never had it."""


class PaymentRefunded(PaymentEvent, frozen=True, kw_only=True):
    """The customer has the whole amount back."""


class PaymentDisputed(PaymentEvent, frozen=True, kw_only=True):
    """The customer disputes the payment at the bank, and the provider takes the money back."""

    dispute_id: DisputeId
    disputed_minor: Annotated[Minor, Meta(description="The disputed amount, in minor units")]


class DisputeClosed(PaymentEvent, frozen=True, kw_only=True):
    """The bank decided about a dispute."""

    dispute_id: DisputeId
    won: Annotated[bool, Meta(description="Whether the shop keeps the money")]


class RefundNoticed(PaymentEvent, frozen=True, kw_only=True):
    """Staff refunded a part or all of a payment at the provider, outside the shop."""

    refunded_minor: Annotated[
        Minor, Meta(description="All that was refunded until now, in minor units")
    ]


class RefundFailed(PaymentEvent, frozen=True, kw_only=True):
    """A refund did not reach the customer: the shop has the money again. A person has to act."""

    refund_id: Annotated[
        str, Meta(description="The provider's id of the refund", examples=["re_1"])
    ]
    failed_minor: Annotated[Minor, Meta(description="The amount of the refund, in minor units")]
    failure: Annotated[
        str, Meta(description="The provider's reason", examples=["expired_or_canceled_card"])
    ]


RELEASE_EVENTS = (PaymentCaptured, PaymentReleased, PaymentRefunded)
"""What a release may find out. A capture whose answer was lost is published before its refund."""


class PaymentSweepDue(Event, frozen=True, kw_only=True):
    """Time to look for authorizations that end. Payments' own event: scheduled, not published."""

    source: ClassVar[str] = PaymentEvent.source

    @property
    def subject(self) -> str:
        """All payments."""
        return "payments"


FOR_OUTSIDERS = (
    PaymentAuthorized,
    PaymentDeclined,
    PaymentCaptured,
    PaymentUncollected,
    PaymentReleased,
    PaymentRefunded,
    PaymentDisputed,
    DisputeClosed,
    RefundNoticed,
    RefundFailed,
)
"""Events for accounting: no context reacts to them."""
