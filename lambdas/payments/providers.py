"""The payment provider of this stage. Handlers ask here, and never name one."""

from lambdas.eventing.event import Cause
from lambdas.payments.provider import PaymentProvider
from lambdas.payments.settings import settings


def takes(cause: Cause) -> bool:
    """Whether the provider may be asked about a payment: a real one never about a synthetic order.

    So a test of the deployed system moves no money, and ends where money would move.
    """
    return settings().payment_provider == "sandbox" or not cause.synthetic


def provider() -> PaymentProvider:
    """Returns the provider that the stage decided on. Imports only the module of that one."""
    chosen = settings()
    match chosen.payment_provider:
        case "stripe":
            from lambdas.payments.stripe_provider import StripeProvider

            return StripeProvider(chosen.provider_resource)
        case "sandbox":
            from lambdas.payments.sandbox_provider import SandboxProvider

            return SandboxProvider(chosen.provider_resource)
