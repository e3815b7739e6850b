"""A context's table whose outbox items reach the bus through its stream."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from constructs import Construct

from lambdas.eventing import relay
from lambdas.eventing.event import Event
from lambdas.eventing.settings import TableSettings
from stacks.constructs.alarm import Alarm
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queues import DeadLetterQueue

RETRY_HOURS = 20
"""How long the relay tries one batch: less than the 24 hours that a stream keeps its records.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""


class OutboxTable(Construct):
    """One table for a context's aggregates, inbox and outbox, and the relay to the bus."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        publishes: Sequence[type[Event]],
    ) -> None:
        super().__init__(scope, id_)
        environment = platform.environment
        self.table = dynamodb.TableV2(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing=dynamodb.Billing.on_demand(),
            dynamo_stream=dynamodb.StreamViewType.NEW_IMAGE,
            time_to_live_attribute="expires_at",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=environment.keeps_data,
            removal_policy=environment.removal_policy,
        )
        self.settings = TableSettings(
            table_name=self.table.table_name, inbox_days=environment.inbox_days
        )
        self.relay = PythonFunction(
            self,
            "Relay",
            platform=platform,
            handler=relay.handler,
            settings=relay.RelaySettings(event_bus_name=platform.bus.event_bus_name),
            timeout=Duration.seconds(30),
        )
        self.relay.add_event_source(
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
                # More would be faster, but order within a partition key would be lost: in parallel
                # batches Lambda keeps the order of single items only.
                parallelization_factor=1,
                report_batch_item_failures=True,
                bisect_batch_on_error=True,
                retry_attempts=1000,
                max_record_age=Duration.hours(RETRY_HOURS),
                on_failure=sources.SqsDlq(DeadLetterQueue(self, "Unpublished", platform=platform)),
            )
        )
        self.relay.add_to_role_policy(_may_publish(platform, publishes))
        Alarm(
            self,
            "Lagging",
            platform=platform,
            metric=self.relay.metric(
                "IteratorAge", period=Duration.minutes(1), statistic="Maximum"
            ),
            threshold=60_000,
            periods=3,
            meaning="Events are committed but reach the bus more than a minute late.",
            page="the-relay-lags",
        )

    def allow(self, function: lambda_.IFunction, *operations: str) -> None:
        """Lets `function` use the table by these operations of DynamoDB, and no other."""
        self.table.grant(function, *(f"dynamodb:{operation}" for operation in operations))


def _may_publish(platform: Platform, publishes: Sequence[type[Event]]) -> iam.PolicyStatement:
    """Permits events of these types to be put on the bus, and no others.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    """
    return iam.PolicyStatement(
        actions=["events:PutEvents"],
        resources=[platform.bus.event_bus_arn],
        conditions={
            "ForAllValues:StringEquals": {
                "events:source": sorted({event.source for event in publishes}),
                "events:detail-type": sorted(event.detail_type() for event in publishes),
            },
            "Null": {"events:source": "false", "events:detail-type": "false"},
        },
    )
