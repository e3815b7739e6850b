"""Settings of the payments functions."""

from functools import cache
from typing import Literal

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """The table of payments, and the provider."""

    payment_provider: Literal["stripe", "sandbox"]
    provider_resource: str
    """Stripe: the ARN of the secret with its key. Sandbox: the name of its table."""


@cache
def settings() -> Settings:
    """Returns the settings of this execution environment."""
    return Settings.from_environ()
