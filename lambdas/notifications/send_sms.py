"""Send an SMS: SNS, straight to a phone number."""

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
from lambdas.notifications.messages import message
from lambdas.notifications.pace import Pace
from lambdas.notifications.settings import pace_settings

_REFUSALS = {"InvalidParameter", "InvalidParameterValue"}
"""Errors that a retry does not fix, such as an invalid number.
https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""


_pace = Pace()


class SmsUnavailable(Exception):
    """SNS throttles or fails; a retry may succeed."""


@consumer(NotificationRequested, uses=(GET, PUT, *vault.redeems(Preferences)))
def handler(delivery: Delivery[NotificationRequested]) -> None:
    """Sends once, unless it crashes before that is recorded: SNS knows no idempotency key.

    Raises Unprocessable if SNS refuses this message, Misconfigured if it refuses every message,
    SmsUnavailable if it throttles or fails, and BeingSent.
    """
    phone = notification_store.owed(delivery, Channel.SMS)
    if phone is None:
        return
    _send(phone, message(delivery.event).sms)
    notification_store.record_sent(delivery, Channel.SMS)


def _send(phone: str, text: str) -> None:
    call = partial(
        aws.sns().publish,
        PhoneNumber=phone,
        Message=text,
        MessageAttributes={
            "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}
        },
    )
    try:
        _pace.send(call, pace_settings().send_interval_s)
    except ClientError as error:
        # Its text may hold the number, which belongs in no log.
        code, said = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if blames_configuration(code, said):
            raise Misconfigured(f"SNS refused Publish with {code}") from None
        if code in _REFUSALS:
            raise Unprocessable(f"SNS: {code}") from None
        raise SmsUnavailable(code) from None
