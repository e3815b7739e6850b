"""The classic event bus: rules route its events, and an archive keeps them."""

from collections.abc import Sequence
from typing import Any, cast

import jsii
from aws_cdk import ArnFormat, CfnResource, Duration, Fn, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.interfaces.aws_events import IRuleRef
from constructs import Construct

from stacks.constructs.bus import DELIVERY_AGE, DELIVERY_ATTEMPTS, LOGGED, Graphs
from stacks.constructs.naming import generation_of
from stacks.constructs.platform import Platform
from stacks.constructs.queues import BufferQueue, DeadLetterQueue
from stacks.constructs.rule import PAGE, Rule, watch
from stacks.environment import Environment

_SCHEMA = "AWS/Events,EventBusName,RuleName"


_GRAPHS: Graphs = {
    "Deliveries": [(_SCHEMA, "Invocations", "Sum")],
    "Given up or parked": [
        (_SCHEMA, "FailedInvocations", "Sum"),
        (_SCHEMA, "InvocationsSentToDlq", "Sum"),
        (_SCHEMA, "InvocationsFailedToBeSentToDlq", "Sum"),
    ],
    "From ingestion to delivery (ms)": [(_SCHEMA, "IngestionToInvocationSuccessLatency", "p99")],
}


class ClassicBus(events.EventBus):
    """A *Custom Event Bus - Classic*: see `Bus`. Events whose source has `prefix` are archived."""

    def __init__(
        self, scope: Construct, id_: str, *, environment: Environment, prefix: str
    ) -> None:
        super().__init__(
            scope,
            id_,
            # A bus must have a name. In some stages this one outlives its stack, see below.
            event_bus_name=f"orderflow-{environment.name}-{generation_of(scope)}",
            description="The shop's bus",
        )
        archive = self.archive(
            "Archive",
            description="What can be replayed",
            event_pattern=events.EventPattern(source=events.Match.prefix(prefix)),
            retention=Duration.days(environment.archive_days),
        )
        # An archive can be replayed only to its own bus, so both are retained or neither.
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html
        for kept in (archive, self):
            cast(CfnResource, kept.node.default_child).apply_removal_policy(
                environment.removal_policy
            )

    @property
    def arn(self) -> str:
        """The ARN of the bus."""
        return self.event_bus_arn

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
        return "Rules"

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
        """Adds a rule. Events that it cannot deliver go to the queue's dead-letter queue.

        They have the shape of those that the consumer cannot process, so one redrive repeats both.
        """
        target = targets.SqsQueue(
            queue,
            dead_letter_queue=queue.parking,
            max_event_age=DELIVERY_AGE,
            retry_attempts=DELIVERY_ATTEMPTS,
        )
        Rule(scope, "Rule", platform=platform, bus=self, pattern=pattern, target=target)

    def to_topic(
        self,
        scope: Construct,
        *,
        platform: Platform,
        pattern: events.EventPattern,
        topic: sns.Topic,
        key: kms.IKey,
    ) -> None:
        """Adds a rule. Events that it cannot deliver have their own dead-letter queue.

        SQS cannot redrive into a topic. The library admits the bus to the topic and to its key,
        without naming the rule: EventBridge supports conditions in neither policy.
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
        https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
        """
        target = targets.SnsTopic(
            topic,
            dead_letter_queue=DeadLetterQueue(scope, "DeadLetters", platform=platform, page=PAGE),
            max_event_age=DELIVERY_AGE,
            retry_attempts=DELIVERY_ATTEMPTS,
        )
        Rule(scope, "Rule", platform=platform, bus=self, pattern=pattern, target=target)

    def to_stream(
        self,
        stream: kinesis.Stream,
        *,
        platform: Platform,
        pattern: events.EventPattern,
        parking: sqs.IQueue,
    ) -> None:
        """Adds a rule, with a role that may put records."""
        target = RoleTarget(
            stream,
            arn=stream.stream_arn,
            actions=["kinesis:PutRecord"],
            parking=parking,
            kinesis_parameters=events.CfnRule.KinesisParametersProperty(
                partition_key_path="$.detail.id"
            ),
        )
        Rule(stream, "Rule", platform=platform, bus=self, pattern=pattern, target=target)

    def to_log(
        self, scope: Construct, *, platform: Platform, prefix: str, log_group: logs.LogGroup
    ) -> None:
        """Adds a rule.

        The library's own log target would add a custom resource, so this does without it.
        """
        parking = DeadLetterQueue(scope, "DeadLetters", platform=platform)
        rule = events.CfnRule(
            scope,
            "Rule",
            description="Every event, for the log",
            event_bus_name=self.event_bus_name,
            event_pattern={"source": [{"prefix": prefix}]},
            targets=[_log_target(log_group, parking)],
        )
        watch(
            rule,
            platform=platform,
            bus=self,
            rule_name=Fn.select(2, Fn.split("/", rule.attr_arn)),
        )
        name = f"orderflow-{platform.environment.name}-event-log"
        _admit(scope, rule, parking, log_group, policy_name=name)


def _log_target(
    log_group: logs.LogGroup, parking: DeadLetterQueue
) -> events.CfnRule.TargetProperty:
    message = ", ".join(f'\\"{field}\\": \\"<{field}>\\"' for field in LOGGED)
    paths = {field: f"$.detail.{field}" for field in LOGGED}
    return events.CfnRule.TargetProperty(
        id="Log",
        # The group's own ARN attribute includes its streams (`:*`).
        arn=Stack.of(log_group).format_arn(
            service="logs",
            resource="log-group",
            resource_name=log_group.log_group_name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        ),
        dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=parking.queue_arn),
        retry_policy=events.CfnRule.RetryPolicyProperty(
            maximum_event_age_in_seconds=DELIVERY_AGE.to_seconds(),
            maximum_retry_attempts=DELIVERY_ATTEMPTS,
        ),
        input_transformer=events.CfnRule.InputTransformerProperty(
            input_paths_map={**paths, "received": "$.time"},
            input_template=f'{{"timestamp": "<received>", "message": "{{{message}}}"}}',
        ),
    )


def _admit(
    scope: Construct,
    rule: events.CfnRule,
    parking: DeadLetterQueue,
    log_group: logs.LogGroup,
    *,
    policy_name: str,
) -> None:
    """Permits the rule to write to the group and to the dead-letter queue.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    eventbridge = iam.ServicePrincipal("events.amazonaws.com")
    from_the_rule = {"ArnEquals": {"aws:SourceArn": rule.attr_arn}}
    writers = [eventbridge, iam.ServicePrincipal("delivery.logs.amazonaws.com")]
    logs.ResourcePolicy(
        scope,
        "Policy",
        # These policies belong to the account, so each stage needs its own.
        resource_policy_name=policy_name,
        policy_statements=[
            iam.PolicyStatement(
                principals=writers,
                actions=["logs:CreateLogStream"],
                resources=[log_group.log_group_arn],
            ),
            iam.PolicyStatement(
                principals=writers,
                actions=["logs:PutLogEvents"],
                resources=[log_group.log_group_arn],
                conditions=from_the_rule,
            ),
        ],
    )
    parking.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[eventbridge],
            actions=["sqs:SendMessage"],
            resources=[parking.queue_arn],
            conditions=from_the_rule,
        )
    )


@jsii.implements(events.IRuleTarget)
class RoleTarget:
    """A rule's target to which a role delivers. `scope` receives the role.

    The library's own target of a stream lets the bus list shards, and does not admit it to the
    dead-letter queue. It has no target for a Custom Event Bus.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
    """

    def __init__(
        self,
        scope: Construct,
        *,
        arn: str,
        actions: Sequence[str],
        parking: sqs.IQueue,
        **parameters: Any,
    ) -> None:
        self._scope = scope
        self._arn = arn
        self._actions = actions
        self._parking = parking
        self._parameters = parameters

    def bind(
        self,
        rule: IRuleRef,
        id: str | None = None,  # noqa: A002 - the interface's name
    ) -> events.RuleTargetConfig:
        """Returns the target's properties, and grants the rule its permissions."""
        eventbridge = iam.ServicePrincipal("events.amazonaws.com")
        role = iam.Role(self._scope, "RuleRole", assumed_by=eventbridge)
        role.add_to_policy(iam.PolicyStatement(actions=[*self._actions], resources=[self._arn]))
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
            arn=self._arn,
            role=role,
            dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=self._parking.queue_arn),
            retry_policy=events.CfnRule.RetryPolicyProperty(
                maximum_event_age_in_seconds=DELIVERY_AGE.to_seconds(),
                maximum_retry_attempts=DELIVERY_ATTEMPTS,
            ),
            **self._parameters,
        )
