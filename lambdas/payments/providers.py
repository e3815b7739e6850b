"""The payment provider of this stage. Handlers ask here, and never name one."""

from lambdas.payments.provider import PaymentProvider
from lambdas.payments.settings import settings


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
