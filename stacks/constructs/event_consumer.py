"""A consumer: rule, buffer queue, dead-letter queue and function for some events."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Fn
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from lambdas.eventing.consumer import Consumer, ConsumerSettings
from lambdas.eventing.settings import Settings
from stacks.constructs.acknowledge import SERVERLESS, acknowledge
from stacks.constructs.alarm import Alarm
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queues import BufferQueue

DELIVERY_HOURS = 24
DELIVERY_ATTEMPTS = 185
"""What the bus tries at most for one target; both are also EventBridge's own bounds.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""


class EventConsumer(Construct):
    """Everything between the bus and `consumer`.

    It may use its context's `table` by these `operations` of DynamoDB, and gets `settings`, or by
    default those of the table. `timeout` is for one batch of at most `batch_size` events, by
    default 30 seconds.

    One dead-letter queue takes both what the bus could not deliver and what the consumer could not
    process. The messages have the same shape, so one redrive brings both back.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        consumer: Consumer[Any],
        table: OutboxTable | None = None,
        operations: Sequence[str] = (),
        settings: Settings | None = None,
        timeout: Duration | None = None,
        batch_size: int = 10,
    ) -> None:
        super().__init__(scope, id_)
        timeout = timeout or Duration.seconds(30)
        self.queue = BufferQueue(
            self,
            "Queue",
            platform=platform,
            # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
            visibility_timeout=Duration.seconds(6 * timeout.to_seconds()),
        )
        kernel_settings = ConsumerSettings(dead_letter_queue_url=self.queue.parking.queue_url)
        self.function = PythonFunction(
            self,
            "Function",
            platform=platform,
            handler=consumer,
            settings=settings or (table.settings if table else None),
            environment=kernel_settings.as_environment(),
            timeout=timeout,
        )
        if table:
            table.allow(self.function, *operations)
        self.queue.parking.grant_send_messages(self.function)
        self.function.add_event_source(
            sources.SqsEventSource(
                self.queue,
                batch_size=batch_size,
                report_batch_item_failures=True,
                max_concurrency=platform.environment.consumer_concurrency,
            )
        )
        acknowledge(
            self.function,
            {
                f"{SERVERLESS}LambdaEventSourceMappingDestination": "Mappings of SQS queues take "
                "no destination: the queue's own dead-letter queue is where failures go."
            },
        )
        rule = events.Rule(
            self,
            "Rule",
            event_bus=platform.bus,
            event_pattern=events.EventPattern(
                source=sorted({event.source for event in consumer.consumes}),
                detail_type=sorted(event.detail_type() for event in consumer.consumes),
            ),
            targets=[
                targets.SqsQueue(
                    self.queue,
                    dead_letter_queue=self.queue.parking,
                    max_event_age=Duration.hours(DELIVERY_HOURS),
                    retry_attempts=DELIVERY_ATTEMPTS,
                )
            ],
        )
        for name, meaning in _RULE_ALARMS.items():
            Alarm(
                self,
                name,
                platform=platform,
                metric=_rule_metric(platform.bus, rule, name),
                threshold=1,
                meaning=meaning,
                page="a-rule-cannot-deliver",
            )


_RULE_ALARMS = {
    "FailedInvocations": "The bus gave up delivering an event to the queue.",
    "InvocationsSentToDlq": "The bus parked an event that it could not deliver.",
    "InvocationsFailedToBeSentToDlq": "The bus could not even park an event: it is lost.",
}


def _rule_metric(bus: events.IEventBus, rule: events.Rule, name: str) -> cloudwatch.Metric:
    """A metric of a rule on a bus of our own, counted over five minutes.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    """
    # The library's `rule_name` is "bus|rule" on a bus that is not the default one:
    # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1949
    rule_name = Fn.select(2, Fn.split("/", rule.rule_arn))
    return cloudwatch.Metric(
        namespace="AWS/Events",
        metric_name=name,
        dimensions_map={"EventBusName": bus.event_bus_name, "RuleName": rule_name},
        statistic="Sum",
        period=Duration.minutes(5),
    )
