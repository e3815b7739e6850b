"""Send an e-mail: SES."""

from functools import partial

from botocore.exceptions import ClientError

from lambdas.eventing import aws, vault
from lambdas.eventing.consumer import Unprocessable, consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Delivery
from lambdas.eventing.misconfiguration import Misconfigured, blames_configuration
from lambdas.notifications import notification_store
from lambdas.notifications.domain import Preferences
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.messages import Message, message
from lambdas.notifications.pace import Pace
from lambdas.notifications.settings import pace_settings, settings

_REJECTED = "MessageRejected"
_REFUSALS = {_REJECTED, "BadRequestException"}
"""Errors that a retry does not fix.
https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html"""


_pace = Pace()


class EmailUnavailable(Exception):
    """SES throttles or fails; a retry may succeed."""


@consumer(NotificationRequested, uses=(GET, PUT, *vault.redeems(Preferences)))
def handler(delivery: Delivery[NotificationRequested]) -> None:
    """Sends once, unless it crashes before that is recorded: SES knows no idempotency key.

    Raises Unprocessable if SES refuses this message, Misconfigured if it refuses every message,
    EmailUnavailable if it throttles or fails, and BeingSent.
    """
    address = notification_store.owed(delivery, Channel.EMAIL)
    if address is None:
        return
    _send(address, message(delivery.event))
    notification_store.record_sent(delivery, Channel.EMAIL)


def _send(address: str, content: Message) -> None:
    call = partial(
        aws.ses().send_email,
        FromEmailAddress=settings().email_sender,
        Destination={"ToAddresses": [address]},
        Content={
            "Simple": {
                "Subject": {"Data": content.subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": content.email, "Charset": "UTF-8"}},
            }
        },
    )
    try:
        _pace.send(call, pace_settings().send_interval_s)
    except ClientError as error:
        # Its text may hold the address, which belongs in no log.
        code, text = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if blames_configuration(code, text):
            why = f", {_unverified(text)}" if code == _REJECTED else ""
            raise Misconfigured(f"SES refused SendEmail with {code}{why}") from None
        if code in _REFUSALS:
            raise Unprocessable(f"SES: {code}") from None
        raise EmailUnavailable(code) from None


def _unverified(text: str) -> str:
    """Say whose address is not verified: the sender's, or the recipient's in the sandbox.

    https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html
    """
    if settings().email_sender in text:
        return "because the sender's address is not verified"
    return "because the recipient's address is not verified, and the account is in the sandbox"
