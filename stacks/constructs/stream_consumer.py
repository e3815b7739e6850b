"""A consumer of a data stream: function, mapping with a window, and dead-letter queues."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from lambdas.eventing.consumer import ConsumerSettings
from lambdas.eventing.settings import Settings
from lambdas.eventing.stream import WindowConsumer
from stacks.constructs.alarm import Alarm
from stacks.constructs.context_table import ContextTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queues import MAX_STREAM_RETRIES, DeadLetterQueue

WINDOW = Duration.seconds(60)
_GATHERING = Duration.seconds(30)
"""How long records are collected for a batch, so that one transaction writes fewer rows."""

PAGE = "a-record-of-the-stream-was-parked"

RETRY_HOURS = 24
"""How long a batch is retried. After that, its records stay readable until they expire."""


class StreamConsumer(Construct):
    """The mapping, function and dead-letter queues between a stream and `table`.

    `parking` receives the data of single records that cannot be read. Batches that fail for a day
    are reported to another queue: a message names the batch's position on the stream.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        consumer: WindowConsumer[Any, Any],
        stream: kinesis.IStream,
        table: ContextTable,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id_)
        self.parking = DeadLetterQueue(self, "DeadLetters", platform=platform, page=PAGE)
        kernel_settings = ConsumerSettings(dead_letter_queue_url=self.parking.queue_url)
        self.function = PythonFunction(
            self,
            "Function",
            platform=platform,
            handler=consumer,
            table=table,
            settings=settings,
            environment=kernel_settings.as_environment(),
            timeout=Duration.minutes(2),
        )
        self.parking.grant(self.function, "sqs:SendMessage")
        self.function.listen(
            sources.KinesisEventSource(
                stream,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                tumbling_window=WINDOW,
                max_batching_window=_GATHERING,
                batch_size=500,
                parallelization_factor=1,
                report_batch_item_failures=True,
                bisect_batch_on_error=True,
                retry_attempts=MAX_STREAM_RETRIES,
                max_record_age=Duration.hours(RETRY_HOURS),
                on_failure=sources.SqsDlq(
                    DeadLetterQueue(self, "ParkedBatches", platform=platform, page=PAGE)
                ),
            )
        )
        Alarm(
            self,
            "Lagging",
            platform=platform,
            metric=self.function.metric(
                "IteratorAge", period=Duration.minutes(1), statistic="Maximum"
            ),
            threshold=5 * 60_000,
            periods=3,
            meaning="Records of the stream wait for more than five minutes.",
            page="a-stream-is-read-late",
        )
