"""Payments: authorizations, captures and refunds, through a payment provider."""

from typing import Any

from aws_cdk import CfnOutput, Duration
from constructs import Construct

from lambdas.eventing.callback import CallbackSettings
from lambdas.payments import (
    authorize_payment,
    capture_payment,
    refund_closed_order,
    refund_payment,
    refund_returned_order,
    sweep_payments,
    take_provider_event,
)
from lambdas.payments.events import PaymentSweepDue
from lambdas.payments.settings import Settings
from stacks.constructs.api import Api
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.outbox_table import BRIEF_GATHERING, OutboxTable
from stacks.constructs.partner import payment_provider
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import WAITING_MB
from stacks.constructs.scheduled_consumer import ScheduledConsumer
from stacks.constructs.signing_secret import SigningSecret

_TIMEOUT = Duration.seconds(25)
"""For an authorization: three calls to the provider (13 seconds at most), and its table. A capture
or refund needs two calls (6 seconds at most)."""


class Payments(ContextStack):
    """Keeps one payment per order. Offers checkout a step and its compensation, returns a step."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(
            self, "Payments", platform=platform, pending_index=True, gathering=BRIEF_GATHERING
        )
        provider = payment_provider(self, platform=platform)
        self.settings = Settings(
            table_name=self.table.settings.table_name,
            inbox_days=self.table.settings.inbox_days,
            payment_provider=platform.environment.payment_provider,
            provider_resource=provider.setting,
        )
        self.authorize_payment = self.function(
            "AuthorizePayment", authorize_payment.handler, timeout=_TIMEOUT
        )
        self.refund_payment = self.function("RefundPayment", refund_payment.handler)
        self.refund_returned_order = self.function(
            "RefundReturnedOrder", refund_returned_order.handler
        )
        # One message at a time: a call that waits for the provider delays no other.
        closed = self.consumer(
            EventConsumer, "RefundClosedOrder", refund_closed_order.handler, batch_size=1
        )
        capture = self.consumer(
            EventConsumer,
            "CapturePayment",
            capture_payment.handler,
            memory_mb=WAITING_MB,
            seconds_per_order=0.28,
            orders_per_second=platform.environment.payments_per_second,
            batch_size=1,
        )
        self.consumer(
            ScheduledConsumer,
            "SweepPayments",
            sweep_payments.handler,
            event=PaymentSweepDue(),
            every=Duration.minutes(30),
            timeout=Duration.minutes(1),
        )
        secret = self._provider_secret()
        take = self.function(
            "TakeProviderEvent",
            take_provider_event.handler,
            environment=CallbackSettings(callback_secret_arn=secret.secret_arn).as_environment(),
        )
        self._alarms()

        api.callback("/payments/events", take, per_order=0.5)
        secret.allow(take)
        for asks_the_provider in (
            self.authorize_payment,
            self.refund_payment,
            self.refund_returned_order,
            closed.function,
            capture.function,
            take,
        ):
            provider.allow(asks_the_provider)

    def _provider_secret(self) -> SigningSecret:
        secret = SigningSecret(
            self,
            "ProviderSecret",
            platform=self.platform,
            description="What the payment provider signs its events with (docs/how-to/deploy.md)",
            why_it_stays="The provider issues it: it is rolled in the provider's dashboard, and "
            "the old one is believed beside the new one for as long as that takes.",
        )
        CfnOutput(
            self,
            "ProviderSecretArn",
            value=secret.secret_arn,
            description="What the payment provider signs its events with",
        )
        return secret

    def _alarms(self) -> None:
        self.alarm(
            "Expiring",
            "ExpiringAuthorizations",
            threshold=1,
            meaning="Orders are cancelled: their parcels did not leave while the money was held.",
            page="authorizations-expire",
        )
        self.alarm(
            "Uncollected",
            "UncollectedPayments",
            threshold=1,
            meaning="Parcels left after the provider had released the money.",
            page="a-parcel-is-not-paid",
        )
        self.alarm(
            "Disputed",
            "DisputedPayments",
            threshold=1,
            meaning="A customer disputes a payment at the bank.",
            page="a-payment-is-disputed",
        )
        self.alarm(
            "RefundedOutside",
            "RefundsOutside",
            threshold=1,
            meaning="Staff refunded a payment at the provider, outside the shop.",
            page="a-refund-was-made-outside-the-shop",
        )
        self.alarm(
            "RefundFailed",
            "FailedRefunds",
            threshold=1,
            meaning="Refunds did not reach their customers: the shop has the money again.",
            page="a-refund-failed",
        )
        self.alarm(
            "Forged",
            "ForgedCallbacks",
            threshold=5,
            meaning="Events of the payment provider come with signatures that do not hold.",
            page="call-backs-are-refused",
        )
