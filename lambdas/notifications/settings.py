"""Settings of the notifications functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """The table of notifications, the sender of e-mail, and the secret for signatures."""

    email_sender: str
    """The sender's address of e-mail."""
    webhook_secret_arn: str
    """The secret from which the secret of each customer is derived."""


@cache
def settings() -> Settings:
    """Returns the settings of this execution environment."""
    return Settings.from_environ()
