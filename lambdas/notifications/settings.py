"""What the notifications stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """Where notifications keeps its records, and what messages are sent and signed with."""

    email_sender: str
    """The address that e-mail is from."""
    webhook_secret_arn: str
    """The secret from which that of each customer is made."""


@cache
def settings() -> Settings:
    """The settings of this execution environment."""
    return Settings.from_environ()
