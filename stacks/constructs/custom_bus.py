"""The Custom Event Bus: subscribers route its events, and it retains them itself."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_eventsv2 as eventsv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.alarm import watch_metrics
from stacks.constructs.bus import DELIVERY_AGE, DELIVERY_ATTEMPTS, LOGGED, Graphs
from stacks.constructs.naming import generation_of, name_of
from stacks.constructs.platform import Platform
from stacks.constructs.queues import BufferQueue, DeadLetterQueue
from stacks.environment import Environment

_SCHEMA = "AWS/EventsV2,EventBus,Subscriber"
_METRICS = {
    "OnFailureDestinationDelivered": "The bus gave up delivering an event to the target.",
    "OnFailureDestinationFailed": "The bus could not even record that it gave up an event.",
    "EventsDropped": "The bus dropped an event without a record.",
}
"""https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-observability.html"""

_PAGE = "a-subscriber-cannot-deliver"

REDRIVE = "-redrive"
"""What a temporary subscriber's name has after that of the subscriber whose target it shares.

`cdk_rehearsal.replays` creates it."""

_Invocation = eventsv2.CfnSubscriber.InvokeConfigurationProperty


_GRAPHS: Graphs = {
    "Deliveries": [(_SCHEMA, "EventsDelivered", "Sum")],
    "Given up": [(_SCHEMA, name, "Sum") for name in _METRICS],
    "From ingestion to delivery (ms)": [(_SCHEMA, "IngestionToInvocationEndTime", "p99")],
}


class CustomBus(eventsv2.CfnEventBus):
    """A *Custom Event Bus*: see `Bus`. It retains events as long as a classic bus's archive."""

    def __init__(
        self, scope: Construct, id_: str, *, environment: Environment, prefix: str
    ) -> None:
        super().__init__(
            scope,
            id_,
            name=f"orderflow-{environment.name}-{generation_of(scope)}",
            description="The shop's bus",
            storage_configuration=eventsv2.CfnEventBus.StorageConfigurationProperty(
                retention_period_in_days=environment.archive_days
            ),
        )
        self.apply_removal_policy(environment.removal_policy)

    @property
    def arn(self) -> str:
        """The ARN of the bus."""
        return self.attr_event_bus_arn

    @property
    def arns(self) -> list[str]:
        """The ARN of the bus."""
        return [self.arn]

    def home_of(self, producer: Construct) -> str:
        """Returns the ARN of the bus."""
        return self.arn

    @property
    def headline(self) -> str:
        """The headline of its graphs on the dashboard."""
        return "Subscribers"

    @property
    def graphs(self) -> Graphs:
        """Graphs of all its deliveries."""
        return _GRAPHS

    def to_queue(
        self,
        scope: Construct,
        *,
        platform: Platform,
        pattern: events.EventPattern,
        queue: BufferQueue,
    ) -> None:
        """Adds a subscriber."""
        Subscriber(
            scope,
            "Subscriber",
            platform=platform,
            bus=self,
            pattern=pattern,
            target_arn=queue.queue_arn,
            permits=[_permit("sqs:SendMessage", queue.queue_arn)],
        )

    def to_topic(
        self,
        scope: Construct,
        *,
        platform: Platform,
        pattern: events.EventPattern,
        topic: sns.Topic,
        key: kms.IKey,
    ) -> None:
        """Adds a subscriber.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-sns.html
        """
        Subscriber(
            scope,
            "Subscriber",
            platform=platform,
            bus=self,
            pattern=pattern,
            target_arn=topic.topic_arn,
            permits=[
                _permit("sns:Publish", topic.topic_arn),
                _permit(("kms:GenerateDataKey", "kms:Decrypt"), key.key_arn),
            ],
        )

    def to_stream(
        self,
        stream: kinesis.Stream,
        *,
        platform: Platform,
        pattern: events.EventPattern,
        parking: sqs.IQueue,
    ) -> None:
        """Adds a subscriber.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-kinesis.html
        """
        Subscriber(
            stream,
            "Subscriber",
            platform=platform,
            bus=self,
            pattern=pattern,
            target_arn=stream.stream_arn,
            permits=[_permit("kinesis:PutRecords", stream.stream_arn)],
            kinesis_parameters={"partitionKey": "{% $events.Data.detail.id %}"},
        )

    def to_log(
        self, scope: Construct, *, platform: Platform, prefix: str, log_group: logs.LogGroup
    ) -> None:
        """Adds a subscriber that calls PutLogEvents, one event at a time.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-universal-targets.html
        """
        stream = logs.LogStream(
            scope,
            "Stream",
            log_group=log_group,
            removal_policy=platform.environment.removal_policy,
        )
        group, name = log_group.log_group_name, stream.log_stream_name
        message = ", ".join(f'"{field}": $e.{field}' for field in LOGGED)
        Subscriber(
            scope,
            "Subscriber",
            platform=platform,
            bus=self,
            pattern=events.EventPattern(source=events.Match.prefix(prefix)),
            target_arn="arn:aws:events:::aws-sdk:cloudwatchlogs:putLogEvents",
            permits=[
                _permit(
                    "logs:PutLogEvents",
                    Stack.of(scope).format_arn(
                        service="logs", resource=f"log-group:{group}:log-stream:{name}"
                    ),
                )
            ],
            one_by_one=True,
            universal_target_parameters={
                "input": "{% ($e := $events.Data.detail; {"
                f'"logGroupName": "{group}", "logStreamName": "{name}", "logEvents": [{{'
                '"timestamp": $toMillis($events.Data.time), '
                f'"message": $string({{{message}}})}}]}}) %}}'
            },
        )


class Subscriber(Construct):
    """A subscriber with its role, its dead-letter queue, and alarms.

    The role may do what `permits` says, and write to the dead-letter queue. That queue receives
    records without payload, so it is not the one of the consumer: docs/runbook.md says how to
    deliver the events again.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        bus: CustomBus,
        pattern: events.EventPattern,
        target_arn: str,
        permits: Sequence[iam.PolicyStatement],
        one_by_one: bool = False,
        **parameters: Any,
    ) -> None:
        super().__init__(scope, id_)
        parking = DeadLetterQueue(self, "Undelivered", platform=platform, page=_PAGE)
        name = name_of(self, max_length=128)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.PrincipalWithConditions(
                iam.ServicePrincipal("events.amazonaws.com"), self._on_behalf_of(name)
            ),
            # Without a policy of its own, the role is complete before the subscriber uses it.
            inline_policies={
                "Deliver": iam.PolicyDocument(
                    statements=[*permits, _permit("sqs:SendMessage", parking.queue_arn)]
                )
            },
        )
        resource = eventsv2.CfnSubscriber(
            self,
            "Resource",
            name=name,
            event_bus_arn=bus.arn,
            filter_configuration=eventsv2.CfnSubscriber.FilterConfigurationProperty(
                filters=[
                    eventsv2.CfnSubscriber.FilterProperty(
                        scope="DATA", pattern=_text_of(pattern, self)
                    )
                ]
            ),
            invoke_configuration=_Invocation(
                target_arn=target_arn, role_arn=self.role.role_arn, **parameters
            ),
            batch_configuration=eventsv2.CfnSubscriber.BatchConfigurationProperty(
                max_batch_size=1, max_batch_window_in_seconds=0
            )
            if one_by_one
            else None,
            retry_policy=eventsv2.CfnSubscriber.RetryPolicyProperty(
                max_retry_attempts=DELIVERY_ATTEMPTS,
                max_event_age_in_seconds=DELIVERY_AGE.to_seconds(),
            ),
            on_failure_configuration=eventsv2.CfnSubscriber.OnFailureConfigurationProperty(
                arn=parking.queue_arn
            ),
        )
        watch_metrics(
            self,
            _METRICS,
            platform=platform,
            namespace="AWS/EventsV2",
            dimensions={
                "EventBus": bus.arn,
                "Subscriber": resource.attr_subscriber_arn,
            },
            page=_PAGE,
        )

    def _on_behalf_of(self, name: str) -> dict[str, Any]:
        """Returns conditions that admit only the subscriber with this name, and its redrives."""
        stack = Stack.of(self)
        arns = [
            stack.format_arn(service="events", resource="subscriber", resource_name=f"{each}/*")
            for each in (name, name + REDRIVE)
        ]
        return {
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {"aws:SourceArn": arns},
        }


def _permit(actions: str | Sequence[str], resource: str) -> iam.PolicyStatement:
    several = [actions] if isinstance(actions, str) else [*actions]
    return iam.PolicyStatement(actions=several, resources=[resource])


def _text_of(pattern: events.EventPattern, scope: Construct) -> str:
    """Returns a pattern as the text that a subscriber takes."""
    stated = {
        "source": pattern.source,
        "detail-type": pattern.detail_type,
        "detail": pattern.detail,
        "resources": pattern.resources,
    }
    given = {name: value for name, value in stated.items() if value is not None}
    return Stack.of(scope).to_json_string(given)
