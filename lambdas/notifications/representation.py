"""The representation of preferences in answers."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from lambdas.eventing.secret import secret
from lambdas.notifications.domain import Email, Preferences, Sms, Webhook, signing_secret
from lambdas.notifications.settings import settings


class WebhookView(Webhook, frozen=True, kw_only=True):
    """Messages to a system of the customer, and the key to check their signatures with."""

    signing_secret: Annotated[
        str, Meta(description="Key of the HMAC that each message has in a header")
    ]


class PreferencesView(Struct, frozen=True, kw_only=True):
    """How the customer wants to be notified; a channel that is null is off."""

    email: Email | None
    sms: Sms | None
    webhook: WebhookView | None


def represent(customer_id: str, chosen: Preferences) -> PreferencesView:
    """Returns the preferences, with the key to check the signatures of the webhook."""
    webhook = None
    if chosen.webhook:
        master = secret(settings().webhook_secret_arn)
        webhook = WebhookView(
            **msgspec.structs.asdict(chosen.webhook),
            signing_secret=signing_secret(master, customer_id),
        )
    return PreferencesView(email=chosen.email, sms=chosen.sms, webhook=webhook)
