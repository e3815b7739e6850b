"""Notifications: customers are told what happens to their orders, on the channels they chose."""

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
    events,
    get_preferences,
    send_email,
    send_sms,
    set_preferences,
)
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.settings import Settings
from stacks.constructs.acknowledge import SOLUTIONS, acknowledge
from stacks.constructs.alarm import Alarm
from stacks.constructs.api import Api
from stacks.constructs.event_consumer import EventConsumer
from stacks.constructs.metric import sms_spending
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import Handler, PythonFunction
from stacks.constructs.signing_secret import SigningSecret
from stacks.constructs.topic_consumer import EventTopic, TopicConsumer

_SENDERS = 2
"""How many e-mails, and how many SMS, are sent at the same time: the fewest that a queue's mapping
can have. Both services limit messages per second (SES to 1 in its sandbox), and who is refused too
often is parked. Raise it together with the account's quotas.
https://docs.aws.amazon.com/ses/latest/dg/quotas.html
"""
_WARN_AT = 0.8
"""At which part of the month's money for SMS somebody is told."""


class Notifications(Stack):
    """Knows who wants to hear of what. One topic, and for each channel a queue and a sender."""

    def __init__(
        self, scope: Construct, id_: str, *, platform: Platform, api: Api, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        customers = OutboxTable(self, "Customers", platform=platform, publishes=events.PUBLISHED)
        if platform.environment.email_identity is None:
            sender = ses.Identity.email(platform.environment.email_sender)
            ses.EmailIdentity(self, "Sender", identity=sender)
        webhook_secret = SigningSecret(
            self,
            "WebhookSecret",
            platform=platform,
            description="What the webhook secrets of customers are made from",
            why_it_stays="Customers check signatures with what is made from it: a new value means "
            "that each of them has to fetch a new secret, so it changes by decision only.",
        )
        settings = Settings(
            table_name=customers.settings.table_name,
            inbox_days=customers.settings.inbox_days,
            email_sender=platform.environment.email_sender,
            webhook_secret_arn=webhook_secret.secret_arn,
        )

        def function(id_: str, handler: Handler) -> PythonFunction:
            return PythonFunction(self, id_, platform=platform, handler=handler, settings=settings)

        get = function("GetPreferences", get_preferences.handler)
        put = function("SetPreferences", set_preferences.handler)
        EventConsumer(
            self,
            "AddressCustomer",
            platform=platform,
            consumer=address_customer.handler,
            table=customers,
            operations=["GetItem", "PutItem"],
            settings=settings,
        )
        topic = EventTopic(self, "Requests", platform=platform, carries=NotificationRequested)

        def channel(
            id_: str, channel: Channel, consumer: Consumer[Any], **options: Any
        ) -> PythonFunction:
            return TopicConsumer(
                self,
                id_,
                platform=platform,
                topic=topic,
                matching={"channels": [channel]},
                consumer=consumer,
                table=customers,
                operations=["GetItem", "PutItem"],
                settings=settings,
                batch_size=1,  # one that is slow to send must not hold up, or repeat, others
                **options,
            ).function

        email = channel("SendEmail", Channel.EMAIL, send_email.handler, max_concurrency=_SENDERS)
        sms = channel("SendSms", Channel.SMS, send_sms.handler, max_concurrency=_SENDERS)
        webhook = channel("CallWebhook", Channel.WEBHOOK, call_webhook.handler)

        api.route(HttpMethod.GET, "/preferences", get)
        api.route(HttpMethod.PUT, "/preferences", put)

        customers.allow(get, "GetItem")
        customers.allow(put, "PutItem")
        _allow_email(email, sender=platform.environment.email_sender)
        _allow_sms(sms)
        for signs in (get, put, webhook):
            webhook_secret.allow(signs)
        _watch_sms_spending(self, platform)


def _watch_sms_spending(scope: Construct, platform: Platform) -> None:
    """Tells before the account's monthly quota is used up: SNS then drops SMS without an error.

    https://docs.aws.amazon.com/sns/latest/dg/channels-sms-awssupport-spend-threshold.html
    """
    Alarm(
        scope,
        "SmsSpending",
        platform=platform,
        metric=sms_spending(),
        threshold=_WARN_AT * platform.environment.sms_usd_per_month,
        meaning="Most of what SMS may cost this month is spent; then none is sent any more.",
        page="sms-cost-too-much",
    )


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

    A phone number has no ARN that a policy could name; all that has one is excluded.
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
    """
    topics = Stack.of(function).format_arn(
        service="sns", region="*", account="*", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME
    )
    function.add_to_role_policy(
        iam.PolicyStatement(actions=["sns:Publish"], not_resources=[topics])
    )
