"""The log of a bus: the envelope of each event, without its data."""

from aws_cdk import ArnFormat, Fn, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.constructs.naming import generation_of
from stacks.constructs.platform import Platform
from stacks.constructs.queues import DeadLetterQueue
from stacks.constructs.rule import DELIVERY_AGE, DELIVERY_ATTEMPTS, watch

_LOGGED = {
    "time": "$.detail.time",
    "type": "$.detail.type",
    "id": "$.detail.id",
    "source": "$.detail.source",
    "subject": "$.detail.subject",
    "correlationid": "$.detail.correlationid",
    "causationid": "$.detail.causationid",
}


class EventLog(Construct):
    """Logs the envelope of each event whose source has `prefix`. Customers' data are not logged.

    The library's own log target would add a custom resource, so this construct does without it.
    """

    def __init__(self, scope: Construct, id_: str, *, platform: Platform, prefix: str) -> None:
        super().__init__(scope, id_)
        environment = platform.environment
        self.log_group = logs.LogGroup(
            self,
            "Group",
            # EventBridge delivers only to groups with this prefix.
            log_group_name=f"/aws/events/orderflow-{environment.name}-{generation_of(self)}",
            retention=environment.log_retention,
            removal_policy=environment.removal_policy,
        )
        parking = DeadLetterQueue(self, "DeadLetters", platform=platform)
        rule = events.CfnRule(
            self,
            "Rule",
            description="Every event, for the log",
            event_bus_name=platform.bus.event_bus_name,
            event_pattern={"source": [{"prefix": prefix}]},
            targets=[self._target(parking)],
        )
        watch(rule, platform=platform, rule_name=Fn.select(2, Fn.split("/", rule.attr_arn)))
        self._admit(rule, parking, policy_name=f"orderflow-{environment.name}-event-log")

    def _target(self, parking: DeadLetterQueue) -> events.CfnRule.TargetProperty:
        message = ", ".join(f'\\"{field}\\": \\"<{field}>\\"' for field in _LOGGED)
        return events.CfnRule.TargetProperty(
            id="Log",
            # The group's own ARN attribute includes its streams (`:*`).
            arn=Stack.of(self).format_arn(
                service="logs",
                resource="log-group",
                resource_name=self.log_group.log_group_name,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            ),
            dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=parking.queue_arn),
            retry_policy=events.CfnRule.RetryPolicyProperty(
                maximum_event_age_in_seconds=DELIVERY_AGE.to_seconds(),
                maximum_retry_attempts=DELIVERY_ATTEMPTS,
            ),
            input_transformer=events.CfnRule.InputTransformerProperty(
                input_paths_map={**_LOGGED, "received": "$.time"},
                input_template=f'{{"timestamp": "<received>", "message": "{{{message}}}"}}',
            ),
        )

    def _admit(self, rule: events.CfnRule, parking: DeadLetterQueue, *, policy_name: str) -> None:
        """Permits the rule to write to the group and to the dead-letter queue.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
        """
        eventbridge = iam.ServicePrincipal("events.amazonaws.com")
        from_the_rule = {"ArnEquals": {"aws:SourceArn": rule.attr_arn}}
        writers = [eventbridge, iam.ServicePrincipal("delivery.logs.amazonaws.com")]
        logs.ResourcePolicy(
            self,
            "Policy",
            # These policies belong to the account, so each stage needs its own.
            resource_policy_name=policy_name,
            policy_statements=[
                iam.PolicyStatement(
                    principals=writers,
                    actions=["logs:CreateLogStream"],
                    resources=[self.log_group.log_group_arn],
                ),
                iam.PolicyStatement(
                    principals=writers,
                    actions=["logs:PutLogEvents"],
                    resources=[self.log_group.log_group_arn],
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
