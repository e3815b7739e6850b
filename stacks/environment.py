"""The stages, and all in which they differ."""

from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk.aws_logs import RetentionDays

DEAD_LETTER_DAYS = 14
"""How long a parked message waits for somebody: the longest that SQS offers.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html"""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a stage decides. Everything else is the same in all of them."""

    name: str
    archive_days: int
    """How far back events can be replayed, in days."""
    log_retention: RetentionDays
    keeps_data: bool
    """Whether tables and the archive survive the deletion of their stack."""
    consumer_concurrency: int
    """How many batches of one queue are handled at the same time (at least 2)."""
    requests_per_second: int
    """What the API admits in the long run; bursts may be twice as large."""
    email_sender: str
    """The address that customers' e-mail is from; its owner confirms it to SES once."""
    alarm_email: str | None = None
    """Who hears of alarms, besides what subscribes to the topic by itself."""

    @property
    def inbox_days(self) -> int:
        """How long consumers remember an event, in days.

        Longer than an event can come back: out of the archive, then through a dead-letter queue.
        """
        return self.archive_days + DEAD_LETTER_DAYS + 1

    @property
    def removal_policy(self) -> RemovalPolicy:
        """What becomes of data when their stack is deleted."""
        return RemovalPolicy.RETAIN if self.keeps_data else RemovalPolicy.DESTROY


DEV = Environment(
    name="dev",
    archive_days=7,
    log_retention=RetentionDays.ONE_WEEK,
    keeps_data=False,
    consumer_concurrency=5,
    requests_per_second=50,
    email_sender="orders@dev.orderflow.example",
)

PROD = Environment(
    name="prod",
    archive_days=90,
    log_retention=RetentionDays.THREE_MONTHS,
    keeps_data=True,
    consumer_concurrency=50,
    requests_per_second=500,
    email_sender="orders@orderflow.example",
)

_ENVIRONMENTS = {environment.name: environment for environment in (DEV, PROD)}


def environment_named(name: str) -> Environment:
    """The stage called `name`. Raises ValueError that lists the stages there are."""
    try:
        return _ENVIRONMENTS[name]
    except KeyError:
        known = ", ".join(_ENVIRONMENTS)
        raise ValueError(f"no stage {name!r}: choose one of {known} (-c stage=...)") from None
