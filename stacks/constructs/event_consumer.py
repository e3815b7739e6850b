"""A consumer of events from the bus: rule, buffer queue, dead-letter queue and function."""

from typing import Any

from aws_cdk import aws_events_targets as targets
from constructs import Construct

from lambdas.eventing.consumer import Consumer
from stacks.constructs.platform import Platform
from stacks.constructs.queue_consumer import QueueConsumer
from stacks.constructs.rule import DELIVERY_AGE, DELIVERY_ATTEMPTS, Rule, pattern_of


class EventConsumer(QueueConsumer):
    """A rule, a queue and the function of `consumer`; the options are those of `QueueConsumer`.

    One dead-letter queue receives the events that the bus could not deliver and those that the
    consumer could not process. The messages have the same shape, so one redrive repeats both.
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
        Rule(
            self,
            "Rule",
            platform=platform,
            pattern=pattern_of(consumer.consumes),
            target=targets.SqsQueue(
                self.queue,
                dead_letter_queue=self.queue.parking,
                max_event_age=DELIVERY_AGE,
                retry_attempts=DELIVERY_ATTEMPTS,
            ),
        )
