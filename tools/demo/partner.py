"""A partner of the shop, outside: its system is called when something happens to its orders."""

from collections import Counter
from dataclasses import dataclass, field

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.services.web import Request, Response

PARTNER = "hooks.partner.example"
_ADDRESS = "192.52.193.7"
"""A global address that is no host's: https://www.iana.org/assignments/iana-ipv4-special-registry/"""


@dataclass
class Partner:
    """Counts each message once, by its idempotency key, and does not always answer at once."""

    shop: Rehearsal
    received: dict[str, str] = field(default_factory=dict)
    """By idempotency key: the path to which the message came."""
    calls: Counter[int] = field(default_factory=Counter)
    """Answers, by status."""

    def open(self) -> None:
        """Connects the partner's system to the world."""
        self.shop.web.host(PARTNER, self._respond, addresses=[_ADDRESS])

    def _respond(self, request: Request) -> Response:
        # Every ninth call comes while the system is busy.
        status = 503 if self.calls.total() % 9 == 8 else 204
        self.calls[status] += 1
        if status == 204:
            self.received[request.headers["idempotency-key"]] = request.target
        return status, {}, b""
