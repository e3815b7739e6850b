"""The carrier: takes parcels, and calls the shop back about each, as carriers do."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from cdk_rehearsal import Record, Rehearsal
from lambdas.eventing.signature import HEADER, sign

SECRET = "Shipping/CarrierSecret"
_TRIES = 5
_PAUSE_S = 1.0


@dataclass
class Carrier:
    """Hears of each parcel, and tells the shop when it is picked up and when it is delivered.

    `lost` says of how many parcels it never tells anything. With `careless` it sometimes tells
    twice, or of the delivery first.
    """

    shop: Rehearsal
    seed: int
    lost: int = 0
    careless: bool = False
    forged: int = 0
    """Call-backs with a wrong signature."""
    forgeries: list[str] = field(default_factory=list)
    """The forged call-backs that the shop accepted nevertheless."""

    def __post_init__(self) -> None:
        """Prepares to be repeatable."""
        self._random = Random(self.seed)
        self._secret: str | None = None

    def seen(self, record: Record) -> None:
        """Takes a parcel when the shop has told that the carrier agreed to it."""
        if record.kind != "published":
            return
        event = record.detail["event"]
        if event["detail-type"] != "ShipmentRequested.v1":
            return
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
            # A call-back that is told twice has the same id.
            self._call(order_id, tracking_id, kind, f"{tracking_id}-{kind}")

    def _call(self, order_id: str, tracking_id: str, kind: str, event_id: str) -> None:
        body = self._body(order_id, tracking_id, kind, event_id)
        for attempt in range(_TRIES):
            status = self._send(body, sign(self._shared(), body, at=datetime.now(UTC)))
            if status < 400:
                return
            self.shop.scheduler.sleep(_PAUSE_S * 2**attempt)

    def _forge(self, order_id: str, tracking_id: str) -> None:
        """Somebody else says that a parcel arrived."""
        body = self._body(order_id, tracking_id, "delivered", f"forged-{tracking_id}")
        status = self._send(body, sign("a guess", body, at=datetime.now(UTC)))
        self.forged += 1
        if status != 401:
            self.forgeries.append(f"a forged call-back about order {order_id}: {status}")

    def _body(self, order_id: str, tracking_id: str, kind: str, event_id: str) -> bytes:
        told: dict[str, Any] = {
            "event_id": event_id,
            "order_id": order_id,
            "tracking_id": tracking_id,
            "kind": kind,
            "occurred_at": datetime.now(UTC).isoformat(),
        }
        return json.dumps(told).encode()

    def _send(self, body: bytes, signature: str) -> int:
        response = self.shop.http.request(
            "POST", "/carrier/events", headers={HEADER: signature}, body=body.decode()
        )
        return response.status

    def _shared(self) -> str:
        if self._secret is None:
            answer = self.shop.client("secretsmanager").get_secret_value(
                SecretId=self.shop.physical_id(SECRET)
            )
            self._secret = answer["SecretString"]
        return self._secret
