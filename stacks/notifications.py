"""Notifications: messages to customers about their orders, on the channels they chose."""

from math import ceil
from typing import Any, cast

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ses as ses
from aws_cdk.aws_apigatewayv2 import HttpMethod
from constructs import Construct

from lambdas.eventing.consumer import Consumer
from lambdas.notifications import (
    address_customer,
    call_webhook,
    erase_preferences,
    get_preferences,
    send_email,
    send_sms,
    set_preferences,
)
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.settings import PaceSettings, Settings
from stacks.constructs.acknowledge import SOLUTIONS, acknowledge
from stacks.constructs.alarm import Alarm
from stacks.constructs.api import Api
from stacks.constructs.context_stack import ContextStack
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.metric import sms_spending
from stacks.constructs.outbox_table import BRIEF_GATHERING, OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queue_consumer import LEAST_CONCURRENCY
from stacks.constructs.signing_secret import SigningSecret
from stacks.constructs.topic_consumer import EventTopic, TopicConsumer

_SEND_S = 0.1
"""Seconds for a message, with some to spare: `make capacity` measures it."""
_WEBHOOK_DELIVERIES = 20
"""Deliveries before a message to a webhook is parked: for an hour, a host may be down, or so slow
that most deliveries postpone the message."""
_WARN_AT = 0.8
"""The share of the monthly SMS quota at which the alarm fires."""


class Notifications(ContextStack):
    """Keeps customers' preferences. One topic, and for each channel a queue and a sender."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, platform=platform, **kwargs)
        self.table = OutboxTable(self, "Customers", platform=platform, gathering=BRIEF_GATHERING)
        secret = self._webhook_secret()
        self.settings = Settings(
            table_name=self.table.settings.table_name,
            inbox_days=self.table.settings.inbox_days,
            email_sender=platform.environment.email_sender,
            webhook_secret_arn=secret.secret_arn,
        )
        get = self.function("GetPreferences", get_preferences.handler)
        put = self.function("SetPreferences", set_preferences.handler)
        self.erase_preferences = self.function("ErasePreferences", erase_preferences.handler)
        self.consumer(
            EventConsumer,
            "AddressCustomer",
            address_customer.handler,
            seconds_per_order=0.17,
            gathering=BRIEF_GATHERING,
        )
        topic = EventTopic(self, "Requests", platform=platform, carries=NotificationRequested)
        email = self._sender(
            "SendEmail",
            send_email.handler,
            topic,
            Channel.EMAIL,
            **_pace(platform.environment.emails_per_second),
        )
        sms = self._sender(
            "SendSms",
            send_sms.handler,
            topic,
            Channel.SMS,
            **_pace(platform.environment.sms_per_second),
        )
        webhook = self._sender(
            "CallWebhook",
            call_webhook.handler,
            topic,
            Channel.WEBHOOK,
            seconds_per_order=0.2,  # half as much again as measured, for slow hosts
            max_receive_count=_WEBHOOK_DELIVERIES,
        )
        self._sender_identity()
        self._sms_alarm()

        api.route(HttpMethod.GET, "/preferences", get)
        api.route(HttpMethod.PUT, "/preferences", put)
        _allow_email(email, sender=platform.environment.email_sender)
        _allow_sms(sms)
        for signs in (get, put, webhook):
            secret.allow(signs)

    def _sender(
        self,
        id_: str,
        handler: Consumer[Any],
        topic: EventTopic,
        channel: Channel,
        **options: Any,
    ) -> PythonFunction:
        return self.consumer(
            TopicConsumer,
            id_,
            handler,
            topic=topic,
            matching={"channels": [channel]},
            batch_size=1,  # a slow message must not delay, or repeat, others
            **options,
        ).function

    def _webhook_secret(self) -> SigningSecret:
        return SigningSecret(
            self,
            "WebhookSecret",
            platform=self.platform,
            description="What the webhook secrets of customers are made from",
            why_it_stays="Customers check signatures with what is made from it: a new value means "
            "that each of them has to fetch a new secret, so it changes by decision only.",
        )

    def _sender_identity(self) -> None:
        environment = self.platform.environment
        if environment.email_identity is None:
            ses.EmailIdentity(self, "Sender", identity=ses.Identity.email(environment.email_sender))

    def _sms_alarm(self) -> None:
        """Warns before the account's monthly quota is used up: SNS then drops SMS without an error.

        https://docs.aws.amazon.com/sns/latest/dg/channels-sms-awssupport-spend-threshold.html
        """
        Alarm(
            self,
            "SmsSpending",
            platform=self.platform,
            metric=sms_spending(),
            threshold=_WARN_AT * self.platform.environment.sms_usd_per_month,
            meaning="Most of what SMS may cost this month is spent; then none is sent any more.",
            page="sms-cost-too-much",
        )


def _pace(messages_per_second: int) -> dict[str, Any]:
    """Returns options of a sender that together send at this rate, and never faster."""
    senders = max(LEAST_CONCURRENCY, ceil(messages_per_second * _SEND_S))
    pace = PaceSettings(send_interval_s=senders / messages_per_second)
    return {"max_concurrency": senders, "environment": pace.as_environment()}


def _allow_email(function: PythonFunction, *, sender: str) -> None:
    """Permits e-mail from the shop's address only.

    SES checks the permission on each identity and configuration set of a message: the sender's
    address or domain, and the recipient's address if the account has verified it.
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsimpleemailservicev2.html
    https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html
    """
    kinds = ("identity", "configuration-set")
    function.add_to_role_policy(
        iam.PolicyStatement(
            actions=["ses:SendEmail"],
            resources=[
                Stack.of(function).format_arn(service="ses", resource=kind, resource_name="*")
                for kind in kinds
            ],
            conditions={"StringEquals": {"ses:FromAddress": sender}},
        )
    )
    arn = "arn:<AWS::Partition>:ses:<AWS::Region>:<AWS::AccountId>"
    acknowledge(
        cast(iam.Role, function.role),
        {
            f"{SOLUTIONS}IAM5[Resource::{arn}:{kind}/*]": "The stack cannot know which recipients "
            "the account has verified. The condition admits only the shop's sender."
            for kind in kinds
        },
    )


def _allow_sms(function: PythonFunction) -> None:
    """Permits messages to phone numbers, and to no topic.

    A phone number has no ARN that a policy could name, so the policy excludes all topics.
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
    """
    topics = Stack.of(function).format_arn(
        service="sns", region="*", account="*", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME
    )
    function.add_to_role_policy(
        iam.PolicyStatement(actions=["sns:Publish"], not_resources=[topics])
    )
