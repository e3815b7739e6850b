"""Send an e-mail: SES."""

from botocore.exceptions import ClientError

from lambdas.eventing import aws
from lambdas.eventing.consumer import Unprocessable, consumer
from lambdas.eventing.event import Delivery
from lambdas.notifications import notification_store
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.messages import Message, message
from lambdas.notifications.settings import settings

_REFUSALS = {"MessageRejected", "BadRequestException"}
"""What a repetition does not mend.
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html"""


class EmailUnavailable(Exception):
    """SES does not take e-mail now: it throttles, fails, or has stopped the account."""


@consumer(NotificationRequested)
def handler(delivery: Delivery[NotificationRequested]) -> None:
    """Sends once, unless it crashes before that is recorded: SES knows no idempotency key.

    Raises Unprocessable if SES refuses the message, EmailUnavailable, BeingSent.
    """
    address = notification_store.owed(delivery, Channel.EMAIL)
    if address is None:
        return
    _send(address, message(delivery.event))
    notification_store.record_sent(delivery, Channel.EMAIL)


def _send(address: str, content: Message) -> None:
    try:
        aws.ses().send_email(
            FromEmailAddress=settings().email_sender,
            Destination={"ToAddresses": [address]},
            Content={
                "Simple": {
                    "Subject": {"Data": content.subject, "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": content.email, "Charset": "UTF-8"}},
                }
            },
        )
    except ClientError as error:
        # Its text may hold the address, which belongs in no log.
        code = error.response["Error"]["Code"]
        if code in _REFUSALS:
            raise Unprocessable(f"SES: {code}") from None
        raise EmailUnavailable(code) from None
