"""Queues, and their dead-letter queues."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import Duration, Stack
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.acknowledge import SERVERLESS, SOLUTIONS, acknowledge
from stacks.constructs.alarm import Alarm
from stacks.constructs.naming import name_of
from stacks.constructs.platform import Platform
from stacks.environment import DEAD_LETTER_DAYS, QUEUE_DAYS

MAX_RECEIVE_COUNT = 5
"""Deliveries before a message is parked: enough for a throttled or restarting service."""

MAX_STREAM_RETRIES = 10_000
"""The maximum of a stream's mapping, so that the age of a record ends its retries. Lambda's pauses
between retries are not documented: with a smaller number, the retries could end at any time.
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"""


class DeadLetterQueue(sqs.Queue):
    """A queue for messages that could not be processed or delivered. Any message is an alarm.

    `page` of the runbook says what to do.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        source_queue_names: Sequence[str] = (),
        page: str = "messages-in-a-dead-letter-queue",
    ) -> None:
        arns = [
            Stack.of(scope).format_arn(service="sqs", resource=name) for name in source_queue_names
        ]
        super().__init__(
            scope,
            id_,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(DEAD_LETTER_DAYS),
        )
        allow_policy = (
            {"redrivePermission": "byQueue", "sourceQueueArns": arns}
            if arns
            else {"redrivePermission": "denyAll"}
        )
        resource = cast(sqs.CfnQueue, self.node.default_child)
        resource.redrive_allow_policy = allow_policy
        end_of_the_line = (
            "This is a dead-letter queue itself. Its messages raise an alarm and wait for a person."
        )
        acknowledge(
            self,
            {
                f"{SOLUTIONS}SQS3": end_of_the_line,
                f"{SERVERLESS}SQSRedrivePolicy": end_of_the_line,
            },
        )
        Alarm(
            self,
            "Parked",
            platform=platform,
            metric=self.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            threshold=1,
            meaning="A message could not be processed and waits for somebody.",
            page=page,
        )


class BufferQueue(sqs.Queue):
    """A queue between a router and a consumer, with its dead-letter queue.

    `visibility_timeout` is how long a message is hidden while a consumer works on it, and
    `max_receive_count` how often it is delivered before it is parked.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        visibility_timeout: Duration,
        max_receive_count: int = MAX_RECEIVE_COUNT,
    ) -> None:
        # The name is fixed so that the dead-letter queue can name its only source; otherwise the
        # two would refer to each other.
        name = name_of(scope, max_length=80)
        self.parking = DeadLetterQueue(
            scope, "DeadLetters", platform=platform, source_queue_names=[name]
        )
        super().__init__(
            scope,
            id_,
            queue_name=name,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=visibility_timeout,
            retention_period=Duration.days(QUEUE_DAYS),
            receive_message_wait_time=Duration.seconds(20),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.parking, max_receive_count=max_receive_count
            ),
        )
        Alarm(
            self,
            "Stale",
            platform=platform,
            metric=self.metric_approximate_age_of_oldest_message(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            threshold=15 * 60,
            periods=3,
            meaning="Messages wait longer than 15 minutes: the consumer is down or too slow.",
            page="messages-wait-too-long",
        )
