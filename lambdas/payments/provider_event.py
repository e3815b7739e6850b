"""Events that the payment provider sends to the shop, in Stripe's form."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from lambdas.eventing.aggregate import Change
from lambdas.payments.domain import Payment

Id = Annotated[str, Meta(min_length=1, max_length=255)]


class Subject(Struct, frozen=True, kw_only=True):
    """The fields of a charge, a dispute, a refund or a PaymentIntent that the shop reads.

    https://docs.stripe.com/api/charges/object, https://docs.stripe.com/api/disputes/object,
    https://docs.stripe.com/api/refunds/object
    """

    id: Annotated[Id, Meta(description="Its id", examples=["du_1"])]
    payment_intent: Annotated[
        Id | None,
        Meta(description="The payment, of a charge, dispute or refund", examples=["pi_1"]),
    ] = None
    amount: Annotated[int, Meta(ge=0, description="Minor units", examples=[2500])] = 0
    amount_refunded: Annotated[
        int, Meta(ge=0, description="Refunded part of a charge, in minor units", examples=[0])
    ] = 0
    captured: Annotated[bool, Meta(description="Whether a charge was captured")] = False
    status: Annotated[str | None, Meta(description="Its status", examples=["lost"])] = None
    failure_reason: Annotated[
        str | None,
        Meta(description="Why a refund failed", examples=["expired_or_canceled_card"]),
    ] = None


class Data(Struct, frozen=True, kw_only=True):
    """What an event is about."""

    object: Subject


class ProviderEvent(Struct, frozen=True, kw_only=True):
    """An event of the payment provider. https://docs.stripe.com/api/events/object."""

    id: Annotated[Id, Meta(description="The event's id, the same each time", examples=["evt_1"])]
    type: Annotated[Id, Meta(description="The kind of event", examples=["charge.dispute.created"])]
    data: Data
    created: Annotated[
        int, Meta(ge=0, lt=2**32, description="Seconds since the epoch", examples=[1_767_772_200])
    ] = 0

    @property
    def report(self) -> "Report | None":
        """What the event says about a payment; None if the shop has no use for it."""
        make = _REPORTS.get(self.type)
        return make(self.data.object, datetime.fromtimestamp(self.created, UTC)) if make else None


class Report(Struct, frozen=True):
    """A fact about a payment."""

    payment_id: str
    counted: str
    """The metric that counts it, for an alarm."""
    apply: Callable[[Payment], Change[Any] | None]


def _disputed(dispute: Subject, _: datetime) -> Report | None:
    return _report(
        dispute.payment_intent,
        "DisputedPayments",
        lambda payment: payment.disputed(dispute.id, dispute.amount),
    )


def _dispute_closed(dispute: Subject, _: datetime) -> Report | None:
    # A warning that is closed took no money: https://docs.stripe.com/disputes/how-disputes-work
    won = dispute.status in {"won", "warning_closed", "prevented"}
    return _report(
        dispute.payment_intent,
        "ClosedDisputes",
        lambda payment: payment.dispute_closed(dispute.id, won=won),
    )


def _refunded(charge: Subject, at: datetime) -> Report | None:
    return _report(
        charge.payment_intent if charge.captured else None,
        "RefundsOutside",
        lambda payment: payment.refunded_outside(charge.amount_refunded, at),
    )


def _refund_failed(refund: Subject, at: datetime) -> Report | None:
    # The customer has no money from a canceled refund either.
    failed = refund.status in {"failed", "canceled"}
    return _report(
        refund.payment_intent if failed else None,
        "FailedRefunds",
        lambda payment: payment.refund_failed(
            refund.id, refund.amount, refund.failure_reason or refund.status or "unknown", at
        ),
    )


def _canceled(intent: Subject, _: datetime) -> Report | None:
    return _report(intent.id, "ExpiringAuthorizations", lambda payment: payment.canceled_outside())


def _report(
    payment_id: str | None, counted: str, apply: Callable[[Payment], Change[Any] | None]
) -> Report | None:
    return Report(payment_id, counted, apply) if payment_id else None


_REPORTS: Mapping[str, Callable[[Subject, datetime], Report | None]] = {
    "charge.dispute.created": _disputed,
    "charge.dispute.closed": _dispute_closed,
    "charge.refunded": _refunded,
    # Stripe reports one failure by several events. Versions before 2024-10-28 know only the second.
    # https://docs.stripe.com/changelog/acacia/2024-10-28/refund-webhook-update
    "refund.failed": _refund_failed,
    "charge.refund.updated": _refund_failed,
    "payment_intent.canceled": _canceled,
}
"""The types of events to subscribe to. https://docs.stripe.com/api/events/types"""
