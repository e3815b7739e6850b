"""Call a webhook: a signed request to a system of the customer."""

from datetime import UTC, datetime

from lambdas.eventing import trace, vault
from lambdas.eventing.consumer import Unprocessable, consumer
from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.event import Delivery
from lambdas.eventing.secret import secret
from lambdas.eventing.signature import HEADER, sign
from lambdas.notifications import notification_store, webhook
from lambdas.notifications.domain import Preferences, signing_secret
from lambdas.notifications.events import Channel, NotificationRequested
from lambdas.notifications.settings import settings

_LATER = {408, 425, 429}
"""Statuses after which a retry may succeed, as after those from 500 on: https://www.rfc-editor.org/rfc/rfc9110#section-15.5"""


class WebhookUnavailable(Exception):
    """The customer's system cannot take the message now."""


@consumer(NotificationRequested, uses=(GET, PUT, UPDATE, *vault.redeems(Preferences)))
def handler(delivery: Delivery[NotificationRequested]) -> None:
    """Posts the event as it is: a CloudEvent that names the customer by id alone.

    A retry has the same Idempotency-Key, after a crash too. Raises Unprocessable for a URL that the
    shop does not call and for a final answer, Unreachable, WebhookUnavailable, BeingSent, and
    OutOfTime if the customer's webhook was too slow lately.
    """
    customer_id = delivery.event.customer_id
    notification_store.require_time(customer_id)
    url = notification_store.owed(delivery, Channel.WEBHOOK)
    if url is None:
        return
    body = delivery.envelope.to_json().encode()
    key = signing_secret(secret(settings().webhook_secret_arn), customer_id)
    headers = {
        "content-type": "application/cloudevents+json",
        "idempotency-key": delivery.event_id,
        trace.HEADER: trace.current() or str(delivery.trace),
        HEADER: sign(key, body, at=datetime.now(UTC)),
    }
    try:
        with notification_store.timing(customer_id):
            status = webhook.post(url, body, headers)
    except webhook.Forbidden as error:
        raise Unprocessable(str(error)) from error
    if status in _LATER or status >= 500:
        raise WebhookUnavailable(f"status {status}")
    if not 200 <= status < 300:
        raise Unprocessable(f"status {status}")
    notification_store.record_sent(delivery, Channel.WEBHOOK)
