"""A consumer of events from the bus: route, buffer queue, dead-letter queue and function."""

from typing import Any

from constructs import Construct

from lambdas.eventing.consumer import Consumer
from stacks.constructs.bus import pattern_of
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import QueueConsumer


class EventConsumer(QueueConsumer):
    """A queue that the bus fills, and the function of `consumer`.

    The options are those of `QueueConsumer`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        consumer: Consumer[Any],
        **options: Any,
    ) -> None:
        super().__init__(scope, id_, platform=platform, consumer=consumer, **options)
        platform.bus.to_queue(
            self,
            platform=platform,
            pattern=pattern_of(consumer.consumes),
            queue=self.queue,
        )
