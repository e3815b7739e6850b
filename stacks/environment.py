"""The stages, and all differences between them."""

import re
from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk.aws_logs import RetentionDays

QUEUE_DAYS = 4
"""How long a message waits for its consumer."""
DEAD_LETTER_DAYS = 14
"""How long a parked message is kept: the maximum of SQS.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html"""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The settings of a stage. Everything else is the same in all stages."""

    name: str
    archive_days: int
    """How far back events can be replayed, in days."""
    log_retention: RetentionDays
    keeps_data: bool
    """Whether tables, files, the archive and other data survive the deletion of their stack."""
    consumer_concurrency: int
    """How many batches of one queue are handled at the same time (at least 2).

    All queues together use at most this number times the number of queues. By default, an account
    has 1,000 concurrent executions for all functions:
    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    requests_per_second: int
    """The rate limit of each route for customers and staff; bursts may be twice as large."""
    callbacks_per_second: int
    """The rate limit of each route for partners, which anybody can call without a token."""
    email_sender: str
    """The sender of e-mail to customers: an address without a display name."""
    email_identity: str | None = None
    """An existing SES identity that covers `email_sender`: the address or its domain.

    An SES identity is unique per account and region. Set this if the address is already verified
    there, by hand or by another stage. Otherwise the stage creates an identity for the address and
    deletes it with its stack. SES asks the owner of the address to confirm it once.
    https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
    """
    sms_usd_per_month: float = 1.0
    """The account's monthly quota for SMS in US dollars (1 in new accounts)."""
    alarm_email: str | None = None
    """An address to which alarms are sent."""

    def __post_init__(self) -> None:
        """Raises ValueError for an address or identity that SES would reject."""
        _, at, domain = self.email_sender.rpartition("@")
        if not at or not re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", self.email_sender):
            raise ValueError(
                f"email_sender of stage {self.name} is {self.email_sender!r}: give the address "
                "alone, such as orders@shop.example"
            )
        identity = self.email_identity
        covers = identity in (None, self.email_sender, domain) or f".{domain}".endswith(
            f".{identity}"
        )
        if not covers:
            raise ValueError(
                f"email_identity of stage {self.name} is {identity!r}, which does not cover "
                f"{self.email_sender}: set it to that address or its domain, or leave it out"
            )

    @property
    def inbox_days(self) -> int:
        """How long the inbox keeps an event, in days.

        This is longer than an event can be delivered again: from the archive, after a day on the
        bus, through the queue and its dead-letter queue, and through both again after a redrive. A
        second redrive of the same message is not covered: fix its cause first.
        """
        return self.archive_days + 1 + 2 * (QUEUE_DAYS + DEAD_LETTER_DAYS)

    @property
    def removal_policy(self) -> RemovalPolicy:
        """The removal policy of data when their stack is deleted.

        If the creation of a stack fails, its resources are deleted: they would block the next
        attempt. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
        """
        if self.keeps_data:
            return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        return RemovalPolicy.DESTROY


DEV = Environment(
    name="dev",
    archive_days=7,
    log_retention=RetentionDays.ONE_WEEK,
    keeps_data=False,
    consumer_concurrency=5,
    requests_per_second=50,
    callbacks_per_second=10,
    email_sender="orders@dev.orderflow.example",
)

PROD = Environment(
    name="prod",
    archive_days=90,
    log_retention=RetentionDays.THREE_MONTHS,
    keeps_data=True,
    consumer_concurrency=20,
    requests_per_second=500,
    callbacks_per_second=50,
    email_sender="orders@orderflow.example",
)

_ENVIRONMENTS = {environment.name: environment for environment in (DEV, PROD)}


def environment_named(name: str) -> Environment:
    """Returns the stage called `name`. Raises ValueError that lists the stages."""
    try:
        return _ENVIRONMENTS[name]
    except KeyError:
        known = ", ".join(_ENVIRONMENTS)
        raise ValueError(f"no stage {name!r}: choose one of {known} (-c stage=...)") from None
