"""A data stream of events, with alarms for what it refuses."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.alarm import Alarm
from stacks.constructs.platform import Platform
from stacks.constructs.rule import DELIVERY_AGE, DELIVERY_ATTEMPTS, Rule

RETENTION_DAYS = 7
"""How long a record can be read: time enough to fetch what a consumer gave up after a day."""

_REFUSALS = {
    "WriteProvisionedThroughputExceeded": "The stream throttles those who write to it.",
    "PutRecords.FailedRecords": "The stream fails to take records, for reasons of its own.",
}
"""https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html"""


class EventStream(kinesis.Stream):
    """An encrypted stream whose number of shards follows the traffic.

    The key is that of the service, which asks no permission of writers and readers.
    https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
    https://docs.aws.amazon.com/streams/latest/dev/how-do-i-size-a-stream.html
    """

    def __init__(self, scope: Construct, id_: str, *, platform: Platform) -> None:
        super().__init__(
            scope,
            id_,
            stream_mode=kinesis.StreamMode.ON_DEMAND,
            encryption=kinesis.StreamEncryption.MANAGED,
            retention_period=Duration.days(RETENTION_DAYS),
            removal_policy=platform.environment.removal_policy,
        )
        for name, meaning in _REFUSALS.items():
            Alarm(
                self,
                name.replace(".", ""),
                platform=platform,
                metric=self.metric(name, period=Duration.minutes(5), statistic="Sum"),
                threshold=1,
                periods=3,
                meaning=meaning,
                page="a-stream-refuses-records",
            )

    def take_from_bus(
        self, *, platform: Platform, pattern: events.EventPattern, parking: sqs.IQueue
    ) -> None:
        """Has the bus put all events of a pattern on the stream, and park what it cannot put.

        The event's own id is the partition key: events spread over all shards, and what is
        delivered twice meets in one.
        """
        Rule(
            self,
            "Rule",
            platform=platform,
            pattern=pattern,
            target=targets.KinesisStream(
                self,
                partition_key_path="$.detail.id",
                dead_letter_queue=parking,
                max_event_age=DELIVERY_AGE,
                retry_attempts=DELIVERY_ATTEMPTS,
            ),
        )

    def allow_putting(self, grantee: iam.IGrantable) -> None:
        """Lets `grantee` put records on the stream, and do nothing else with it."""
        iam.Grant.add_to_principal(
            grantee=grantee, actions=["kinesis:PutRecords"], resource_arns=[self.stream_arn]
        )
