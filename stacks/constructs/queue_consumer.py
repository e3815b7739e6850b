"""A consumer of a queue: queue, dead-letter queue and function."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from lambdas.eventing.consumer import ConsumerSettings, QueueHandler
from lambdas.eventing.settings import Settings
from stacks.constructs.acknowledge import SERVERLESS, acknowledge
from stacks.constructs.context_table import ContextTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queues import MAX_RECEIVE_COUNT, BufferQueue

GATHERING = Duration.seconds(20)
"""How long messages are gathered for which nobody waits."""


class QueueConsumer(Construct):
    """A queue, and the function that handles its messages. Subclasses add what fills the queue.

    The function may use `table` as its handler declares. `timeout` applies to one batch of at most
    `batch_size` messages (default: 30 seconds), which are gathered for up to `gathering`, if nobody
    waits for them: fewer batches cost less. `max_concurrency` limits the batches that are handled
    at the same time (at least 2, default: the stage's). A message is parked after
    `max_receive_count` deliveries. `memory_mb` is that of the function.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        consumer: QueueHandler[Any],
        table: ContextTable | None = None,
        settings: Settings | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        memory_mb: int = 512,
        batch_size: int = 10,
        gathering: Duration | None = None,
        max_concurrency: int | None = None,
        max_receive_count: int = MAX_RECEIVE_COUNT,
    ) -> None:
        super().__init__(scope, id_)
        timeout = timeout or Duration.seconds(30)
        self.queue = BufferQueue(
            self,
            "Queue",
            platform=platform,
            # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
            visibility_timeout=Duration.seconds(
                6 * timeout.to_seconds() + (gathering.to_seconds() if gathering else 0)
            ),
            max_receive_count=max_receive_count,
        )
        kernel_settings = ConsumerSettings(dead_letter_queue_url=self.queue.parking.queue_url)
        self.function = PythonFunction(
            self,
            "Function",
            platform=platform,
            handler=consumer,
            table=table,
            settings=settings,
            environment={**kernel_settings.as_environment(), **(environment or {})},
            timeout=timeout,
            memory_mb=memory_mb,
        )
        self.queue.parking.grant(self.function, "sqs:SendMessage")
        self.function.add_event_source(
            sources.SqsEventSource(
                self.queue,
                batch_size=batch_size,
                max_batching_window=gathering,
                report_batch_item_failures=True,
                max_concurrency=max_concurrency or platform.environment.consumer_concurrency,
            )
        )
        acknowledge(
            self.function,
            {
                f"{SERVERLESS}LambdaEventSourceMappingDestination": "Mappings of SQS queues take "
                "no destination: the queue's own dead-letter queue is where failures go."
            },
        )
