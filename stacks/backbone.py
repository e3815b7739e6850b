"""The backbone: event bus, archive, log, schemas, vault of personal data, API, alarm topic."""

from collections.abc import Iterable
from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from lambdas.eventing.event import Event
from stacks.constructs.api import Api
from stacks.constructs.buses import KINDS
from stacks.constructs.customer_key import CustomerKey
from stacks.constructs.event_log import EventLog
from stacks.constructs.packaging import Target
from stacks.constructs.platform import Platform
from stacks.constructs.schema_registry import SchemaRegistry
from stacks.constructs.vault import Vault
from stacks.environment import Environment

SOURCES = "orderflow."
"""The prefix of the `source` of each event."""


class Backbone(Stack):
    """The resources that all contexts share."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        environment: Environment,
        target: Target,
        published: Iterable[type[Event]],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        key = (
            CustomerKey(self, "Key", environment=environment)
            if environment.customer_managed_key
            else None
        )
        alarm_topic = sns.Topic(self, "Alarms", enforce_ssl=True)
        alarms = self.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name="*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        _admit(alarm_topic, "cloudwatch", source=alarms)
        # https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
        budgets = self.format_arn(
            service="budgets", region="", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME
        )
        _admit(alarm_topic, "budgets", source=budgets)
        if environment.alarm_email:
            alarm_topic.add_subscription(subscriptions.EmailSubscription(environment.alarm_email))

        bus = KINDS[environment.bus](self, "Bus", environment=environment, prefix=SOURCES)
        self.platform = Platform(
            environment=environment,
            bus=bus,
            vault=Vault(self, "Vault", environment=environment),
            alarm_topic=alarm_topic,
            target=target,
            key=key,
        )
        EventLog(self, "EventLog", platform=self.platform, prefix=SOURCES)
        SchemaRegistry(self, "Schemas", platform=self.platform, events=published)
        self.api = Api(self, "Api", platform=self.platform)


def _admit(topic: sns.Topic, service: str, *, source: str) -> None:
    """Permits a service to publish to the topic, on behalf of sources in this account only."""
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions={
                "ArnLike": {"aws:SourceArn": source},
                "StringEquals": {"aws:SourceAccount": Stack.of(topic).account},
            },
        )
    )
