"""The carrier: accepts parcels, and sends signed callbacks about them."""

import json
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from random import Random
from typing import Protocol

from cdk_rehearsal import HttpResponse, Record, Rehearsal
from lambdas.eventing.signature import EASYPOST
from tools.demo import easypost_host
from tools.demo.easypost_host import STATUSES, EasyPostHost
from tools.demo.evidence import CARRIER, Evidence

SECRET = "Shipping/CarrierSecret"
KEY = "Shipping/EasyPostKey"
_PATH = "/carrier/events"
_TRIES = 12
_PAUSE_S = 1.0
"""A callback is repeated for half an hour; EasyPost repeats it for a day.
https://www.easypost.com/if-the-customers-webhook-url-goes-down-how-does-easypost-respond"""
_THROTTLED = 429


class Ledger(Protocol):
    """What a carrier knows of its parcels."""

    def parcel_id(self, order_id: str) -> str:
        """Returns the carrier's id of the parcel of an order."""

    def way(self, order_id: str) -> list[str]:
        """Returns the kinds of the reports about an order's parcel, in their order."""

    def move(self, order_id: str, kind: str) -> bool:
        """Moves a parcel, and returns whether it may be moved."""

    def hand_over(self, order_id: str) -> None:
        """Delivers a parcel, if there is one that is not recalled, without a callback yet."""


@dataclass
class SandboxLedger:
    """The table of the sandbox carrier, which knows a parcel by its order."""

    shop: Rehearsal

    def parcel_id(self, order_id: str) -> str:
        """See `Ledger`."""
        return order_id

    def way(self, order_id: str) -> list[str]:
        """See `Ledger`."""
        key = {"pk": {"S": order_id}}
        table = self.shop.physical_id(CARRIER)
        item = self.shop.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
        return [kind["S"] for kind in item["reports"]["L"]]

    def move(self, order_id: str, kind: str) -> bool:
        """See `Ledger`. The sandbox reports about recalled parcels, too."""
        return True

    def hand_over(self, order_id: str) -> None:
        """See `Ledger`."""
        client = self.shop.client("dynamodb")
        try:
            client.update_item(
                TableName=self.shop.physical_id(CARRIER),
                Key={"pk": {"S": order_id}},
                UpdateExpression="SET #status = :delivered",
                ConditionExpression="#status = :accepted",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":accepted": {"S": "accepted"},
                    ":delivered": {"S": "delivered"},
                },
            )
        except client.exceptions.ConditionalCheckFailedException:
            return


class EasyPostLedger(EasyPostHost):
    """EasyPost, reachable for the functions of a shop."""

    def __init__(self, shop: Rehearsal) -> None:
        super().__init__(lambda: secret_of(shop, KEY))
        self.host = shop.web.host(
            easypost_host.NAME, self.respond, addresses=[easypost_host.ADDRESS]
        )

    def parcel_id(self, order_id: str) -> str:
        """See `Ledger`."""
        parcel = self.of_order(order_id)
        return parcel.id if parcel else "shp_unknown"

    def hand_over(self, order_id: str) -> None:
        """See `Ledger`."""
        self.move(order_id, "delivered")


def add_parcels(ledger: SandboxLedger | EasyPostLedger, evidence: Evidence) -> None:
    """Adds the ledger to the evidence. The sandbox's is a table, which `gather` reads."""
    if isinstance(ledger, EasyPostLedger):
        evidence.parcels.update(ledger.states())
        evidence.labels.update(ledger.labels())


def ledger_of(shop: Rehearsal) -> SandboxLedger | EasyPostLedger:
    """Returns the ledger of the stage's carrier, and makes its host reachable."""
    uses_easypost = any(resource.path == KEY for resource in shop.resources)
    return EasyPostLedger(shop) if uses_easypost else SandboxLedger(shop)


def secret_of(shop: Rehearsal, path: str) -> str:
    """Returns the value of a secret, by its path."""
    secrets = shop.client("secretsmanager")
    return str(secrets.get_secret_value(SecretId=shop.physical_id(path))["SecretString"])


def carrier_secret(shop: Rehearsal) -> str:
    """Returns the secret with which the carrier signs callbacks."""
    return secret_of(shop, SECRET)


def callback(parcel_id: str, tracking_id: str | None, kind: str, event_id: str) -> str:
    """Returns the body of a callback about a parcel; `kind` is that of a report."""
    status = STATUSES[kind]
    return json.dumps(
        easypost_host.event(parcel_id, tracking_id, status, event_id, datetime.now(UTC))
    )


def signed(body: str, secret: str, *, at: datetime | None = None) -> dict[str, str]:
    """Returns the headers of a callback."""
    return EASYPOST.sign(secret, "POST", _PATH, body.encode(), at=at or datetime.now(UTC))


def send_callback(
    shop: Rehearsal, body: str, secret: str, *, at: datetime | None = None
) -> HttpResponse:
    """Signs a callback and sends it."""
    return shop.http.request("POST", _PATH, headers=signed(body, secret, at=at), body=body)


@dataclass
class SimulatedCarrier:
    """Sends a callback when it picks up a parcel and when it delivers it.

    It loses the parcels of the orders in `lost`, and leaves those in `by_hand` to the viewer of the
    page. If `careless`, it sometimes repeats, reorders or forges callbacks. What it does depends on
    the seed and the order, and not on when the parcel comes, so that runs with the same seed can be
    compared.
    """

    shop: Rehearsal
    seed: int
    lost: Set[str] = frozenset()
    careless: bool = False
    forged: int = 0
    """Callbacks with a wrong signature."""
    accepted_forgeries: list[str] = field(default_factory=list)
    """The forged callbacks that the shop accepted."""
    by_hand: set[str] = field(default_factory=set)
    requested: dict[str, str] = field(default_factory=dict)
    """The tracking ids of the parcels that the shop has asked for, by order."""

    def __post_init__(self) -> None:
        """Opens the carrier."""
        self.ledger = ledger_of(self.shop)

    @cached_property
    def _secret(self) -> str:
        return carrier_secret(self.shop)

    def on_record(self, record: Record) -> None:
        """Carries a parcel once its shipment was requested."""
        if record.kind == "published":
            event = record.detail["event"]
            if event["detail-type"] == "ShipmentRequested.v1":
                data = event["detail"]["data"]
                order_id, tracking_id = data["order_id"], data["tracking_id"]
                self.requested[order_id] = tracking_id
                self.shop.spawn(self._carry, order_id, tracking_id, name="carrier")

    def _carry(self, order_id: str, tracking_id: str) -> None:
        if order_id in self.lost or order_id in self.by_hand:
            return
        random = Random(f"{self.seed} {order_id}")
        kinds = self.ledger.way(order_id)
        parcel_id = self.ledger.parcel_id(order_id)
        if self.careless:
            kinds = random.choices(
                (kinds, kinds[::-1], [*kinds[:1], *kinds], [*kinds, *kinds[1:]]), (85, 5, 5, 5)
            )[0]
        if self.careless and random.random() < 0.02:
            self._forge(order_id, parcel_id, tracking_id)
        for kind in kinds:
            self.shop.scheduler.sleep(random.uniform(0.5, 3.0))
            if not self.ledger.move(order_id, kind):
                return
            # A repeated callback has the same id.
            body = callback(parcel_id, tracking_id, kind, f"{tracking_id}-{kind}")
            self._insist(body, self._secret, lambda status: status < 400)

    def _forge(self, order_id: str, parcel_id: str, tracking_id: str) -> None:
        body = callback(parcel_id, tracking_id, "delivered", f"forged-{tracking_id}")
        status = self._insist(body, "a guess", lambda status: status != _THROTTLED)
        self.forged += 1
        if status != 401:
            self.accepted_forgeries.append(f"forged callback about order {order_id}: {status}")

    def _insist(self, body: str, secret: str, ends: Callable[[int], bool]) -> int:
        """Sends a callback until its status ends it. Returns the last status."""
        status = send_callback(self.shop, body, secret).status
        for attempt in range(_TRIES - 1):
            if ends(status):
                break
            self.shop.scheduler.sleep(_PAUSE_S * 2**attempt)
            status = send_callback(self.shop, body, secret).status
        return status
