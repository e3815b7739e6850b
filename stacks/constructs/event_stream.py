"""A data stream of events, with alarms on rejected records."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.alarm import Alarm
from stacks.constructs.platform import Platform

RETENTION_DAYS = 7
"""How long a record can be read: long enough to fetch records of a parked batch."""

_REFUSALS = {
    "WriteProvisionedThroughputExceeded": "The stream throttles those who write to it.",
    "PutRecords.FailedRecords": "The stream fails to take records, for reasons of its own.",
}
"""https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html"""


class EventStream(kinesis.Stream):
    """An encrypted on-demand stream.

    It uses the service's key, for which writers and readers need no permission.
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
        """Routes all events of a pattern from the bus to the stream, or else to `parking`.

        The partition key is the event's id: events spread over all shards, and duplicates are in
        the same shard.
        """
        platform.bus.to_stream(self, platform=platform, pattern=pattern, parking=parking)

    def allow_putting(self, grantee: iam.IGrantable) -> None:
        """Grants `grantee` putting records on the stream."""
        iam.Grant.add_to_principal(
            grantee=grantee, actions=["kinesis:PutRecords"], resource_arns=[self.stream_arn]
        )
