"""A consumer of a data stream: function, mapping with its window, and where failures go."""

from collections.abc import Sequence
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
GATHERING = Duration.seconds(10)
"""How long records are collected for a batch: what one transaction writes is fewer rows."""

PAGE = "a-record-of-the-stream-was-parked"

RETRY_HOURS = 24
"""How long one batch is tried. The records can then be read for the rest of the retention."""


class StreamConsumer(Construct):
    """Everything between a stream and `consumer`, which may use `table` by these `operations`.

    `parking` takes single records that cannot be read, with their data. What fails for a day is
    told to a queue of its own: such a message has no data, but says where on the stream they are.
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
        operations: Sequence[str],
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
            settings=settings,
            environment=kernel_settings.as_environment(),
            timeout=Duration.minutes(2),
        )
        table.allow(self.function, *operations)
        self.parking.grant_send_messages(self.function)
        self.function.add_event_source(
            sources.KinesisEventSource(
                stream,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                tumbling_window=WINDOW,
                max_batching_window=GATHERING,
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
