"""A consumer of a queue: queue, dead-letter queue and function."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from lambdas.eventing.consumer import ConsumerSettings, QueueHandler
from lambdas.eventing.settings import Settings
from stacks.constructs.acknowledge import SERVERLESS, acknowledge
from stacks.constructs.alarm import Alarm
from stacks.constructs.context_table import ContextTable
from stacks.constructs.metric import service_metric
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queues import MAX_RECEIVE_COUNT, BufferQueue
from stacks.environment import Environment

GATHERING = Duration.seconds(20)
"""How long messages are gathered for which nobody waits."""

SPARE = 1.2
"""Consumers handle a fifth more than the stage's rate of orders, to catch up after a pause."""

_SELDOM = 0.005
"""Seconds for an order of consumers that few orders need, and more than any of them takes."""

LEAST_CONCURRENCY, _MOST = 2, 1_000
"""The batches of a queue that may be handled at once.
https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html"""


class QueueConsumer(Construct):
    """A queue, and the function that handles its messages. Subclasses add what fills the queue.

    The function may use `table` as its handler declares. `timeout` applies to one batch of at most
    `batch_size` messages (default: 30 seconds). They are gathered for up to `gathering` if nobody
    waits for them, because fewer batches cost less. `memory_mb` is that of the function.

    `seconds_per_order` is the time for which the messages of an order occupy it, in full batches:
    `make capacity` measures it. The batches that are handled at the same time follow from it and
    from `orders_per_second` (default: the stage's). For work that does not come with orders,
    `max_concurrency` states them. A message is parked after `max_receive_count` deliveries.

    Raises ValueError for more than a mapping can have.
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
        seconds_per_order: float = _SELDOM,
        orders_per_second: float | None = None,
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
            signals=[_failing(self, platform)],
        )
        self.queue.parking.grant(self.function, "sqs:SendMessage")
        self.function.listen(
            sources.SqsEventSource(
                self.queue,
                batch_size=batch_size,
                max_batching_window=gathering,
                report_batch_item_failures=True,
                max_concurrency=max_concurrency
                or self._concurrency(
                    platform.environment,
                    seconds_per_order,
                    orders_per_second or platform.environment.orders_per_second,
                ),
            )
        )
        acknowledge(
            self.function,
            {
                f"{SERVERLESS}LambdaEventSourceMappingDestination": "Mappings of SQS queues take "
                "no destination: the queue's own dead-letter queue is where failures go."
            },
        )

    def _concurrency(self, stage: Environment, seconds_per_order: float, rate: float) -> int:
        needed = ceil(rate * seconds_per_order * SPARE)
        if needed > _MOST:
            raise ValueError(
                f"{self.node.path} needs {needed:,} batches at once for "
                f"{rate:g} orders per second, but a mapping admits "
                f"{_MOST:,}: lower orders_per_second of stage {stage.name}, or make it faster"
            )
        return max(LEAST_CONCURRENCY, needed)


def _failing(scope: Construct, platform: Platform) -> Alarm:
    """Returns the alarm on failing consumers of a stack.

    A consumer reports failed messages in its response, and so Lambda counts no error. While two
    versions run, the next delivery probably reaches the other one and succeeds. Only the metric of
    the handlers, which all consumers of a context share, shows the failure.
    """
    stack = Stack.of(scope)
    existing = stack.node.try_find_child("ConsumersFail")
    if isinstance(existing, Alarm):
        return existing
    context = stack.node.id.lower()
    return Alarm(
        stack,
        "ConsumersFail",
        platform=platform,
        metric=service_metric(platform, context=context, name="FailedEvents"),
        threshold=5,
        meaning=f"Consumers of {context} keep failing. Their messages are delivered again.",
        page="consumers-keep-failing",
    )
