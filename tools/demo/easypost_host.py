"""EasyPost, as the shop sees it: the documented part of its API, its own ledger, and its events.

A shipment has at most one label. Rates are valid for a day. The postal codes of the sandbox carrier
keep their meaning: `FLAKY-N` (N purchases fail with 503), and `LOST`, `HASTY` and `STUTTER` for the
reports about a parcel.

https://docs.easypost.com/docs/shipments
https://docs.easypost.com/docs/shipments/shipping-refund
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cdk_rehearsal import Request, Response
from lambdas.shipping.sandbox_carrier import way_of
from tools.demo.partner_host import PartnerHost

NAME = "api.easypost.com"
ADDRESS = "192.175.48.7"
"""A global address without a host: https://www.iana.org/assignments/iana-ipv4-special-registry/"""
_RATES_LAST = timedelta(days=1)
_FLAKY = re.compile(r"FLAKY-(\d{1,4})")
_WAREHOUSE = {"unknown", "pre_transit"}
"""Statuses of a parcel that has not left."""

STATUSES = {"picked_up": "in_transit", "delivered": "delivered", "failed": "return_to_sender"}
"""The status of a tracker for each kind of report."""


@dataclass
class Parcel:
    """A shipment, with its label and tracker."""

    id: str
    order_id: str
    postal_code: str
    weight_oz: float
    created: datetime
    rated: datetime
    tracking_code: str | None = None
    label_bought: int = 0
    refund_status: str | None = None
    status: str = "unknown"
    attempts: int = 0
    seen: list[str] = field(default_factory=list)
    """The statuses that were reported."""

    @property
    def rates(self) -> list[dict[str, Any]]:
        """The offers, which have new ids each time."""
        number = int(self.rated.timestamp())
        return [
            _rate(f"rate_{self.id}_{number}_express", "Express", "19.90", 1),
            _rate(f"rate_{self.id}_{number}_ground", "Ground", "4.90", 3),
            _rate(f"rate_{self.id}_{number}_slow", "Slow", "3.90", 9),
        ]

    @property
    def tracker(self) -> dict[str, Any] | None:
        """The tracker, as the API returns it."""
        if self.tracking_code is None:
            return None
        return {
            "id": self.id.replace("shp_", "trk_"),
            "object": "Tracker",
            "mode": "production",
            "tracking_code": self.tracking_code,
            "shipment_id": self.id,
            "status": self.status,
            "carrier": "Post",
            "tracking_details": [],
        }

    def document(self) -> dict[str, Any]:
        """Returns the shipment, as the API returns it."""
        label = {"object": "PostageLabel", "label_url": f"https://files.example/{self.id}.png"}
        return {
            "id": self.id,
            "object": "Shipment",
            "mode": "production",
            "created_at": self.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reference": self.order_id,
            "to_address": {"object": "Address", "zip": self.postal_code},
            "parcel": {"object": "Parcel", "weight": self.weight_oz},
            "rates": self.rates,
            "messages": [],
            "postage_label": label if self.tracking_code else None,
            "tracking_code": self.tracking_code,
            "refund_status": self.refund_status,
            "status": self.status,
            "tracker": self.tracker,
        }


class EasyPostError(Exception):
    """An error of the API."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        body = {"error": {"code": code, "message": code.lower(), "errors": []}}
        self.response = _json(status, body)


class EasyPostHost(PartnerHost):
    """The host of the API. `key` returns the key of the account."""

    def __init__(self, key: Callable[[], str]) -> None:
        super().__init__()
        self.parcels: dict[str, Parcel] = {}
        self._by_order: defaultdict[str, list[Parcel]] = defaultdict(list)
        self._key = key

    # -- the API --------------------------------------------------------------------------

    def respond(self, request: Request) -> Response:
        """Answers a request."""
        operation, parcel_id = _route(request.method, urlsplit(request.target).path)

        def answer() -> Response:
            try:
                self._admit(request)
                return self._execute(operation, parcel_id, request)
            except EasyPostError as error:
                return error.response

        return self.received(operation, answer)

    def _admit(self, request: Request) -> None:
        expected = f"Bearer {self._key().strip()}"
        if not request.is_tls or request.headers.get("authorization") != expected:
            raise EasyPostError(401, "APIKEY.INACTIVE")

    def _execute(self, operation: str, parcel_id: str, request: Request) -> Response:
        body = json.loads(request.body) if request.body else {}
        match operation:
            case "open":
                return _json(201, self._open(body["shipment"]).document())
            case "find":
                return _json(200, self._find(parcel_id).document())
            case "rerate":
                parcel = self._find(parcel_id)
                parcel.rated = datetime.now(UTC)
                return _json(200, {"rates": parcel.rates})
            case "buy":
                return _json(200, self._buy(self._find(parcel_id), body["rate"]["id"]).document())
            case "refund":
                return _json(200, self._refund(self._find(parcel_id)).document())
        raise EasyPostError(404, "NOT_FOUND")

    def _open(self, described: Mapping[str, Any]) -> Parcel:
        to, sender = described["to_address"], described["from_address"]
        if not all(place.get(name) for place in (to, sender) for name in ("street1", "country")):
            raise EasyPostError(422, "ADDRESS.PARAMETERS.INVALID")
        if to["country"] == "XX":
            raise EasyPostError(422, "ADDRESS.COUNTRY.INVALID")
        now = datetime.now(UTC)
        number = len(self.parcels) + 1
        parcel = Parcel(
            id=f"shp_{number:06}",
            order_id=described["reference"],
            postal_code=to["zip"],
            weight_oz=described["parcel"]["weight"],
            created=now,
            rated=now,
        )
        self.parcels[parcel.id] = parcel
        self._by_order[parcel.order_id].append(parcel)
        return parcel

    def _buy(self, parcel: Parcel, rate_id: str) -> Parcel:
        parcel.attempts += 1
        flaky = _FLAKY.fullmatch(parcel.postal_code)
        if flaky and parcel.attempts <= int(flaky[1]):
            raise EasyPostError(503, "SERVICE.UNAVAILABLE")
        if parcel.tracking_code:
            raise EasyPostError(422, "SHIPMENT.POSTAGE.EXISTS")
        offered = {rate["id"] for rate in parcel.rates}
        if rate_id not in offered or datetime.now(UTC) - parcel.rated > _RATES_LAST:
            raise EasyPostError(422, "RATE.UNAVAILABLE")
        parcel.label_bought += 1
        parcel.tracking_code, parcel.status = f"EZ{parcel.id[4:]}", "pre_transit"
        return parcel

    def _refund(self, parcel: Parcel) -> Parcel:
        if parcel.tracking_code is None:
            raise EasyPostError(422, "SHIPMENT.POSTAGE.REQUIRED")
        if parcel.status not in _WAREHOUSE:
            raise EasyPostError(422, _GONE)
        parcel.refund_status = "submitted"
        return parcel

    def _find(self, parcel_id: str) -> Parcel:
        if parcel_id not in self.parcels:
            raise EasyPostError(404, "NOT_FOUND")
        return self.parcels[parcel_id]

    # -- the parcels ----------------------------------------------------------------------

    def of_order(self, order_id: str) -> Parcel | None:
        """Returns the parcel of an order whose label was bought."""
        parcels = self._by_order.get(order_id, ())
        return next((each for each in parcels if each.tracking_code), None)

    def way(self, order_id: str) -> list[str]:
        """Returns the kinds of the reports about an order's parcel, in their order."""
        parcel = self.of_order(order_id)
        return way_of(parcel.postal_code) if parcel else []

    def move(self, order_id: str, kind: str) -> bool:
        """Moves the parcel of an order. False if it must not leave: its label was refunded."""
        parcel = self.of_order(order_id)
        if parcel is None or parcel.refund_status:
            return False
        if parcel.status != "delivered":
            parcel.status = STATUSES[kind]
        return True

    def states(self) -> dict[str, str]:
        """Returns the state of each order's parcel, as the audit reads it."""
        return {
            parcel.order_id: "recalled" if parcel.refund_status else parcel.status
            for parcel in self.parcels.values()
            if parcel.tracking_code
        }

    def labels(self) -> Counter[str]:
        """Counts the labels of each order."""
        labels: Counter[str] = Counter()
        for parcel in self.parcels.values():
            labels[parcel.order_id] += parcel.label_bought
        return labels


_GONE = "SHIPMENT.REFUND.UNAVAILABLE"


def event(
    parcel_id: str, tracking_id: str | None, status: str, event_id: str, at: datetime
) -> dict[str, Any]:
    """Returns an event about a tracker. https://docs.easypost.com/docs/events."""
    tracker = {
        "id": parcel_id.replace("shp_", "trk_"),
        "object": "Tracker",
        "shipment_id": parcel_id,
        "tracking_code": tracking_id,
        "status": status,
    }
    return {
        "id": event_id,
        "object": "Event",
        "mode": "production",
        "description": "tracker.updated",
        "created_at": at.isoformat(),
        "result": tracker,
    }


def _rate(rate_id: str, service: str, price: str, days: int) -> dict[str, Any]:
    return {
        "id": rate_id,
        "object": "Rate",
        "service": service,
        "carrier": "Post",
        "rate": price,
        "currency": "EUR",
        "delivery_days": days,
    }


def _route(method: str, path: str) -> tuple[str, str]:
    """Returns the operation and the id in a path."""
    match method, path.removeprefix("/v2/").split("/"):
        case "POST", ["shipments"]:
            return "open", ""
        case "GET", ["shipments", parcel_id]:
            return "find", parcel_id
        case "POST", ["shipments", parcel_id, ("buy" | "refund" | "rerate") as operation]:
            return operation, parcel_id
    return "unknown", ""


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return status, {"content-type": "application/json"}, json.dumps(body)
