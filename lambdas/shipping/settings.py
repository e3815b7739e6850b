"""What the shipping stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """Where shipping keeps its records, and where the sandbox carrier keeps its own book."""

    carrier_table_name: str


class RequestSettings(Settings, frozen=True, kw_only=True):
    """What it takes to promise a delivery: by when, and how to be reminded."""

    delivery_hours: int
    """How long after its confirmation an order is to be delivered."""
    schedule_group_name: str
    schedule_role_arn: str
    """The role by which a reminder gets into the queue."""
    reminder_queue_arn: str
    reminder_parking_arn: str
    """Where a reminder waits that did not get into the queue."""
    reminder_attempts: int
    """How often the scheduler tries again to deliver a reminder, at most."""
    reminder_age_s: int
    """For how many seconds it tries, at most."""


@cache
def settings() -> Settings:
    """The settings of this execution environment."""
    return Settings.from_environ()


@cache
def request_settings() -> RequestSettings:
    """The settings of the one function that promises deliveries."""
    return RequestSettings.from_environ()
