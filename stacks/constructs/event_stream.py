"""A data stream of events, with alarms on rejected records."""

import jsii
from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_sqs as sqs
from aws_cdk.interfaces.aws_events import IRuleRef
from constructs import Construct

from stacks.constructs.alarm import Alarm
from stacks.constructs.platform import Platform
from stacks.constructs.rule import DELIVERY_AGE, DELIVERY_ATTEMPTS, Rule

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
        Rule(
            self,
            "Rule",
            platform=platform,
            pattern=pattern,
            target=_StreamTarget(self, partition_key_path="$.detail.id", parking=parking),
        )

    def allow_putting(self, grantee: iam.IGrantable) -> None:
        """Grants `grantee` putting records on the stream."""
        iam.Grant.add_to_principal(
            grantee=grantee, actions=["kinesis:PutRecords"], resource_arns=[self.stream_arn]
        )


@jsii.implements(events.IRuleTarget)
class _StreamTarget:
    """A stream as a rule's target.

    The library's own target lets the bus list shards, and does not admit it to the dead-letter
    queue.
    """

    def __init__(
        self, stream: kinesis.Stream, *, partition_key_path: str, parking: sqs.IQueue
    ) -> None:
        self._stream = stream
        self._partition_key_path = partition_key_path
        self._parking = parking

    def bind(
        self,
        rule: IRuleRef,
        id: str | None = None,  # noqa: A002 - the interface's name
    ) -> events.RuleTargetConfig:
        """Returns the target's properties, and grants the rule its permissions."""
        eventbridge = iam.ServicePrincipal("events.amazonaws.com")
        role = iam.Role(self._stream, "RuleRole", assumed_by=eventbridge)
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
        role.add_to_policy(
            iam.PolicyStatement(actions=["kinesis:PutRecord"], resources=[self._stream.stream_arn])
        )
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
        self._parking.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[eventbridge],
                actions=["sqs:SendMessage"],
                resources=[self._parking.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.rule_ref.rule_arn}},
            )
        )
        return events.RuleTargetConfig(
            arn=self._stream.stream_arn,
            role=role,
            kinesis_parameters=events.CfnRule.KinesisParametersProperty(
                partition_key_path=self._partition_key_path
            ),
            dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=self._parking.queue_arn),
            retry_policy=events.CfnRule.RetryPolicyProperty(
                maximum_event_age_in_seconds=DELIVERY_AGE.to_seconds(),
                maximum_retry_attempts=DELIVERY_ATTEMPTS,
            ),
        )
