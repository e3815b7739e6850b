"""A partner whose webhook receives messages about orders."""

from collections import Counter
from dataclasses import dataclass, field

from cdk_rehearsal import Rehearsal, Request, Response
from lambdas.notifications.events import Channel

PARTNER = "hooks.partner.example"
_ADDRESS = "93.184.216.34"
"""A public address, which nothing outside a rehearsal is ever sent to."""


@dataclass
class WebhookPartner:
    """Accepts each message once, by its idempotency key. Every ninth call fails."""

    shop: Rehearsal
    received: dict[str, str] = field(default_factory=dict)
    """The path of each message, by idempotency key."""
    calls: Counter[int] = field(default_factory=Counter)
    """The number of answers by status."""

    def open(self) -> None:
        """Makes the webhook reachable."""
        self.shop.web.host(PARTNER, self._respond, addresses=[_ADDRESS])

    def _respond(self, request: Request) -> Response:
        status = 503 if self.calls.total() % 9 == 8 else 204
        self.calls[status] += 1
        if status == 204:
            self.received[request.headers["idempotency-key"]] = request.target
        return status, {}, b""

    def sent_messages(self) -> dict[Channel, Counter[str]]:
        """Returns the messages that arrived anywhere outside, by channel and address."""
        return {
            Channel.EMAIL: Counter(
                address for mail in self.shop.sent_email for address in mail.to_addresses
            ),
            Channel.SMS: Counter(sms.phone_number for sms in self.shop.sent_sms),
            Channel.WEBHOOK: Counter(f"https://{PARTNER}{path}" for path in self.received.values()),
        }
