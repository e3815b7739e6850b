"""Take an event of the payment provider: POST /payments/events."""

from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing import telemetry
from lambdas.eventing.callback import callback
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.http import Problem, Request
from lambdas.eventing.signature import STRIPE
from lambdas.eventing.store import NotStored
from lambdas.payments import payment_store
from lambdas.payments.events import (
    AuthorizationExpiring,
    DisputeClosed,
    PaymentCaptured,
    PaymentDisputed,
    PaymentRefunded,
    RefundFailed,
    RefundNoticed,
)
from lambdas.payments.provider import Unavailable
from lambdas.payments.provider_event import ProviderEvent
from lambdas.payments.providers import provider


class TakenProviderEvent(Struct, frozen=True, kw_only=True):
    """The event is taken, now or before, or does not concern the shop."""

    event_id: Annotated[str, Meta(description="The event's", examples=["evt_1"])]


class ProviderUnavailable(Problem, status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=60):
    """The provider does not say to which order the payment belongs: send the event again later."""


@callback(
    body=ProviderEvent,
    answers=TakenProviderEvent,
    scheme=STRIPE,
    problems=(ProviderUnavailable,),
    publishes=(
        AuthorizationExpiring,
        DisputeClosed,
        PaymentCaptured,
        PaymentDisputed,
        PaymentRefunded,
        RefundFailed,
        RefundNoticed,
    ),
    uses=(GET, PUT),
)
def handler(request: Request, event: ProviderEvent) -> TakenProviderEvent:
    """Take an event of the payment provider.

    A repeated event, and one that does not concern the shop, get the same answer. After a 5xx, the
    provider has to send the same event again.
    """
    if report := event.report:
        try:
            order_id = provider().order_of(report.payment_id)
        except Unavailable as error:
            raise ProviderUnavailable("the payment cannot be read: send the event again") from error
        inbox = ("payments.take_provider_event", event.id)
        try:
            if order_id and payment_store.take(order_id, report, inbox, request):
                telemetry.count(report.counted)
        except NotStored:
            telemetry.count("UnknownPayments")  # Another stage or system has the same account.
    return TakenProviderEvent(event_id=event.id)
