"""The carrier: accepts parcels, and sends signed callbacks about them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from random import Random

from cdk_rehearsal import HttpResponse, Record, Rehearsal
from lambdas.eventing.signature import HEADER, sign

SECRET = "Shipping/CarrierSecret"
_TRIES = 5
_PAUSE_S = 1.0


def carrier_secret(shop: Rehearsal) -> str:
    """Returns the secret with which the carrier signs callbacks."""
    secrets = shop.client("secretsmanager")
    answer = secrets.get_secret_value(SecretId=shop.physical_id(SECRET))
    return str(answer["SecretString"])


def callback(order_id: str, tracking_id: str | None, kind: str, event_id: str) -> str:
    """Returns the body of a callback about a parcel."""
    occurred_at = datetime.now(UTC).isoformat()
    body = {"event_id": event_id, "order_id": order_id, "tracking_id": tracking_id}
    return json.dumps({**body, "kind": kind, "occurred_at": occurred_at})


def send_callback(shop: Rehearsal, body: str, secret: str) -> HttpResponse:
    """Signs a callback and sends it."""
    signature = sign(secret, body.encode(), at=datetime.now(UTC))
    return shop.http.request("POST", "/carrier/events", headers={HEADER: signature}, body=body)


@dataclass
class SimulatedCarrier:
    """Sends a callback when it picks up a parcel and when it delivers it.

    It loses the first `lost` parcels. If `careless`, it sometimes repeats, reorders or forges
    callbacks.
    """

    shop: Rehearsal
    seed: int
    lost: int = 0
    careless: bool = False
    forged: int = 0
    """Callbacks with a wrong signature."""
    accepted_forgeries: list[str] = field(default_factory=list)
    """The forged callbacks that the shop accepted."""

    def __post_init__(self) -> None:
        """Seeds the random choices."""
        self._random = Random(self.seed)

    @cached_property
    def _secret(self) -> str:
        return carrier_secret(self.shop)

    def on_record(self, record: Record) -> None:
        """Carries a parcel once its shipment was requested."""
        if record.kind == "published":
            event = record.detail["event"]
            if event["detail-type"] == "ShipmentRequested.v1":
                data = event["detail"]["data"]
                self.shop.spawn(self._carry, data["order_id"], data["tracking_id"], name="carrier")

    def _carry(self, order_id: str, tracking_id: str) -> None:
        if self.lost:
            self.lost -= 1
            return
        kinds = ["picked_up", "delivered"]
        if self.careless:
            kinds = self._random.choices(
                (kinds, kinds[::-1], [kinds[0], *kinds], [*kinds, kinds[1]]), (85, 5, 5, 5)
            )[0]
        if self.careless and self._random.random() < 0.02:
            self._forge(order_id, tracking_id)
        for kind in kinds:
            self.shop.scheduler.sleep(self._random.uniform(0.5, 3.0))
            # A repeated callback has the same id.
            body = callback(order_id, tracking_id, kind, f"{tracking_id}-{kind}")
            for attempt in range(_TRIES):
                if send_callback(self.shop, body, self._secret).status < 400:
                    break
                self.shop.scheduler.sleep(_PAUSE_S * 2**attempt)

    def _forge(self, order_id: str, tracking_id: str) -> None:
        body = callback(order_id, tracking_id, "delivered", f"forged-{tracking_id}")
        status = send_callback(self.shop, body, "a guess").status
        self.forged += 1
        if status != 401:
            self.accepted_forgeries.append(f"forged callback about order {order_id}: {status}")
