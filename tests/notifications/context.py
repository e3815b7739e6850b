"""The notifications context as its callers, the bus and the topic see it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.ses.models import ses_backends
from moto.sns.models import sns_backends

from lambdas.eventing import aws
from lambdas.eventing.consumer import Consumer
from lambdas.eventing.event import CloudEvent, Event
from lambdas.notifications import (
    address_customer,
    call_webhook,
    erase_preferences,
    get_preferences,
    send_email,
    send_sms,
    set_preferences,
    webhook,
)
from lambdas.notifications.domain import Told
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.settings import PaceSettings, Settings
from lambdas.orders.events import (
    OrderCancelled,
    OrderExpired,
    OrderRejected,
    RejectionReason,
)
from lambdas.privacy.events import ErasureRequested
from lambdas.returns.events import OrderReturned, RefusalReason, ReturnRefused
from lambdas.shipping.events import OrderDelivered, OrderShipped, ShipmentOverdue
from tests.support.cloud import REGION, Cloud, Queue, Table, Vault
from tests.support.messages import CONTEXT, Answer, Call, batch, enveloped, failed, task_input
from tests.support.orders import confirmed, placed

ORDER = "6f1c2f0e-58a5-5f2b-8f0c-3f9f4b1d2a77"
SENDER = "orders@orderflow.example"
MASTER_SECRET = "m" * 64
DUE = datetime(2026, 1, 9, 12, tzinfo=UTC)

ALL_ON: dict[str, Any] = {
    "email": {"address": "ada@example.com"},
    "sms": {"phone": "+4930123456"},
    "webhook": {"url": "https://hooks.example.com/orders?token=t"},
}
SENDERS: dict[Channel, Consumer[Any]] = {
    Channel.EMAIL: send_email.handler,
    Channel.SMS: send_sms.handler,
    Channel.WEBHOOK: call_webhook.handler,
}


def samples() -> list[Told]:
    """One event of each type that customers are notified of, all about one order."""
    order = {"order_id": ORDER, "customer_id": "customer-1"}
    return [
        placed(order_id=ORDER),
        confirmed(order_id=ORDER),
        OrderRejected(**order, reason=RejectionReason.OUT_OF_STOCK),
        OrderCancelled(**order, confirmed=True),
        OrderExpired(**order),
        OrderShipped(order_id=ORDER),
        OrderDelivered(order_id=ORDER),
        ShipmentOverdue(order_id=ORDER, due_at=DUE),
        OrderReturned(**order),
        ReturnRefused(**order, reason=RefusalReason.USED),
    ]


@dataclass(frozen=True)
class Received:
    """A request that a customer's system received."""

    url: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Notifications:
    """Calls the context's functions as Lambda does, and reads the messages that left the shop."""

    cloud: Cloud
    table: Table
    vault: Vault
    parking: Queue
    calls: list[Received] = field(default_factory=list)
    answer: int | Exception = 204
    """The response of customers' systems."""

    @classmethod
    def in_cloud(cls, cloud: Cloud) -> "Notifications":
        """Creates the context with an empty table."""
        table = cloud.table("notifications")
        parking = cloud.queue("parking")
        secret = aws.secrets().create_secret(Name="webhook", SecretString=MASTER_SECRET)
        aws.ses().create_email_identity(EmailIdentity=SENDER)
        settings = Settings(
            table_name="notifications",
            inbox_days=22,
            email_sender=SENDER,
            webhook_secret_arn=secret["ARN"],
        )
        cloud.configure(
            {
                **settings.as_environment(),
                **PaceSettings(send_interval_s=0).as_environment(),
                "DEAD_LETTER_QUEUE_URL": parking.url,
            }
        )
        context = cls(cloud, table, cloud.vault(), parking)
        cloud.monkeypatch.setattr(webhook, "post", context._post)
        return context

    def put(self, body: Any, caller: str = "customer-1") -> Answer:
        """Sets a customer's preferences; returns the response."""
        return Call(route="PUT /preferences", body=body, caller=caller).send(
            set_preferences.handler
        )

    def get(self, caller: str = "customer-1") -> Answer:
        """Requests a customer's preferences; returns the response."""
        return Call(route="GET /preferences", caller=caller).send(get_preferences.handler)

    def erase(self, caller: str = "customer-1") -> Any:
        """Runs the workflow's task that erases a customer's preferences."""
        event = ErasureRequested(customer_id=caller, erasure_id="erasure-1")
        return erase_preferences.handler(task_input(enveloped(event)), CONTEXT)

    def prefer(self, **channels: Any) -> None:
        """Sets the preferences of customer-1."""
        assert self.put(channels).status == 200

    def deliver(self, *events: Event | CloudEvent) -> list[str]:
        """Delivers events; returns the ids of those to be delivered again."""
        messages = [
            event if isinstance(event, CloudEvent) else enveloped(event) for event in events
        ]
        return failed(address_customer.handler(batch(*messages), CONTEXT))

    def requests(self) -> list[CloudEvent]:
        """The requested notifications."""
        return self.table.envelopes(NotificationRequested)

    def request(self, event: Told | None = None) -> CloudEvent:
        """Delivers an event; returns the only notification request that it causes."""
        before = {envelope.id for envelope in self.requests()}
        assert self.deliver(event or placed(order_id=ORDER)) == []
        (envelope,) = [new for new in self.requests() if new.id not in before]
        return envelope

    def send(self, channel: Channel, *messages: CloudEvent) -> list[str]:
        """Delivers requests to a channel; returns the ids of those to be delivered again."""
        return failed(SENDERS[channel](batch(*messages), CONTEXT))

    def sent(self, channel: Channel) -> int:
        """The number of messages sent on a channel."""
        return {
            Channel.EMAIL: len(self.emails()),
            Channel.SMS: len(self.texts()),
            Channel.WEBHOOK: len(self.calls),
        }[channel]

    def emails(self) -> list[Any]:
        """The e-mails that SES accepted."""
        return list(ses_backends[ACCOUNT_ID][REGION].sent_messages)

    def texts(self) -> list[tuple[str, str]]:
        """The phone numbers and texts that SNS accepted."""
        return list(sns_backends[ACCOUNT_ID][REGION].sms_messages.values())

    def parked(self) -> list[str]:
        """The reasons of parked messages."""
        return [
            message["MessageAttributes"]["Reason"]["StringValue"]
            for message in self.parking.messages()
        ]

    def records(self) -> Sequence[Any]:
        """The records of sent messages."""
        return self.table.items("sent")

    def fail(self, client: Any, operation: str, error: Exception) -> None:
        """Makes an operation of an AWS client fail from now on."""

        def refuse(**_: Any) -> None:
            raise error

        self.cloud.monkeypatch.setattr(client, operation, refuse)

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.calls.append(Received(url, body, headers))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
