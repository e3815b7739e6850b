"""Settings of the shipping functions."""

from functools import cache
from typing import Literal

from lambdas.eventing.settings import Settings as _Settings
from lambdas.eventing.settings import TableSettings


class Settings(TableSettings, frozen=True, kw_only=True):
    """The table of shipping, and the carrier."""

    carrier: Literal["easypost", "sandbox"]
    carrier_resource: str
    """EasyPost: the ARN of the secret with its key. Sandbox: the name of its table."""


class Dispatch(_Settings, frozen=True, kw_only=True):
    """The place from which parcels leave, and their measures, which the carrier needs."""

    sender_name: str
    sender_street: str
    sender_postal_code: str
    sender_city: str
    sender_country: str
    """ISO 3166-1 alpha-2 code."""
    sender_phone: str
    unit_weight_g: float
    """The weight of one unit with its share of the packaging; the catalogue has no weights."""
    box_length_cm: float
    box_width_cm: float
    box_height_cm: float


class ReminderSettings(_Settings, frozen=True, kw_only=True):
    """The group of the schedules that remind of deadlines."""

    schedule_group_name: str | None = None
    """None for code that still has the settings of an earlier release."""


class RequestSettings(_Settings, frozen=True, kw_only=True):
    """Settings for requests: the time to deliver, and the reminder."""

    delivery_hours: int
    """Hours from the confirmation of an order to its deadline."""
    schedule_group_name: str
    schedule_role_arn: str
    """The role with which the scheduler sends reminders."""
    reminder_queue_arn: str
    reminder_parking_arn: str
    """The dead-letter queue of reminders."""
    reminder_attempts: int
    """Maximum retries of the scheduler for a reminder."""
    reminder_age_s: int
    """Maximum age of a reminder that the scheduler still sends, in seconds."""


@cache
def settings() -> Settings:
    """Returns the settings of this execution environment."""
    return Settings.from_environ()


@cache
def dispatch() -> Dispatch:
    """Returns the sender and the measures of the stage's parcels."""
    return Dispatch.from_environ()


@cache
def reminder_settings() -> ReminderSettings:
    """Returns the settings of functions that cancel reminders."""
    return ReminderSettings.from_environ()


@cache
def request_settings() -> RequestSettings:
    """Returns the settings of the function that requests shipments."""
    return RequestSettings.from_environ()
