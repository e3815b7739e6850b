"""A context's table whose outbox items reach the bus through its stream."""

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from lambdas.eventing import pending, relay
from lambdas.eventing.declaration import Handler
from lambdas.eventing.event import Event
from lambdas.eventing.listing import Listing
from stacks.constructs.alarm import Alarm
from stacks.constructs.context_table import ContextTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queues import MAX_STREAM_RETRIES, DeadLetterQueue

RETRY_HOURS = 20
"""How long the relay retries a batch: less than the 24 hours that a stream keeps its records.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""

BRIEF_GATHERING = Duration.seconds(5)
"""How long the relay gathers events for which nobody waits: fewer invocations cost less."""


class OutboxTable(ContextTable):
    """One table for a context's aggregates, inbox and outbox, and the relay to the bus.

    The relay may publish the events that the handlers of the table's functions declare, and gathers
    them for up to `gathering`. With `pending_index`, `lambdas.eventing.pending` can find the items
    that wait. With `listing`, a store can list its aggregates.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        pending_index: bool = False,
        listing: Listing | None = None,
        append_only: str | None = None,
        gathering: Duration | None = None,
    ) -> None:
        string = dynamodb.AttributeType.STRING
        indexes = {pending.INDEX: (pending.SHARD, pending.SINCE)} if pending_index else {}
        if listing:
            indexes[listing.index] = (listing.group, listing.moment)
        super().__init__(
            scope,
            id_,
            platform=platform,
            indexes=[
                dynamodb.GlobalSecondaryIndexPropsV2(
                    index_name=name,
                    partition_key=dynamodb.Attribute(name=partition, type=string),
                    sort_key=dynamodb.Attribute(name=sort, type=string),
                    projection_type=dynamodb.ProjectionType.KEYS_ONLY,
                )
                for name, (partition, sort) in indexes.items()
            ],
            stream=dynamodb.StreamViewType.NEW_IMAGE,
            append_only=append_only,
        )
        self._published: set[type[Event]] = set()
        self._may_publish = iam.PolicyStatement(
            actions=["events:PutEvents"],
            resources=platform.bus.arns,
            conditions={"Null": {"events:source": "false", "events:detail-type": "false"}},
        )
        self._permit_published()
        self.relay = self._relay(platform, gathering)

    def admit(self, function: lambda_.IFunction, handler: Handler[Any]) -> None:
        """Grants `function` the operations, and the relay the events, that the handler declares."""
        self._grant(function, handler)
        self._published |= handler.publishes
        self._permit_published()

    def _permit_published(self) -> None:
        """Permits the relay to put the published events on the bus, and no others.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
        """
        self._may_publish.add_condition(
            "ForAllValues:StringEquals",
            {
                "events:source": sorted({event.source for event in self._published}),
                "events:detail-type": sorted(event.detail_type() for event in self._published),
            },
        )

    def _relay(self, platform: Platform, gathering: Duration | None) -> PythonFunction:
        function = PythonFunction(
            self,
            "Relay",
            platform=platform,
            handler=relay.handler,
            settings=relay.RelaySettings(event_bus_arn=platform.bus.home_of(self)),
            timeout=Duration.seconds(30),
        )
        function.listen(
            sources.DynamoEventSource(
                self.table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                filters=[
                    lambda_.FilterCriteria.filter(
                        {
                            "eventName": lambda_.FilterRule.is_equal("INSERT"),
                            "dynamodb": {
                                "NewImage": {"kind": {"S": lambda_.FilterRule.is_equal("outbox")}}
                            },
                        }
                    )
                ],
                batch_size=100,
                max_batching_window=gathering,
                # Parallel batches keep only the order of single items, and an aggregate's events
                # have the same partition key, but are different items.
                parallelization_factor=1,
                report_batch_item_failures=True,
                bisect_batch_on_error=True,
                retry_attempts=MAX_STREAM_RETRIES,
                max_record_age=Duration.hours(RETRY_HOURS),
                on_failure=sources.SqsDlq(
                    DeadLetterQueue(
                        self,
                        "Unpublished",
                        platform=platform,
                        page="events-that-the-relay-gave-up-on",
                    )
                ),
            )
        )
        function.add_to_role_policy(self._may_publish)
        Alarm(
            self,
            "Lagging",
            platform=platform,
            metric=function.metric("IteratorAge", period=Duration.minutes(1), statistic="Maximum"),
            threshold=60_000,
            periods=3,
            meaning="Events are committed but reach the bus more than a minute late.",
            page="the-relay-lags",
        )
        return function
