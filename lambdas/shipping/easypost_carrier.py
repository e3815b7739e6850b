"""EasyPost as carrier: its shipments, of which each has at most one label.

A shipment is created, its id is stored, and only then its label is bought. So every later call
finds it by its id, however late it comes, and a second purchase is refused.
See docs/decisions/0047-easypost-buys-a-label-at-most-once.md.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from lambdas.eventing import telemetry
from lambdas.eventing.misconfiguration import Misconfigured
from lambdas.eventing.partner import Failed, Limited, NoAnswer, Partner, Refused, Timeouts
from lambdas.eventing.secret import secret
from lambdas.orders.events import Address
from lambdas.shipping.carrier import TooLate, Unavailable, Undeliverable
from lambdas.shipping.carrier_event import REPORTS
from lambdas.shipping.domain import Report
from lambdas.shipping.settings import Dispatch, dispatch, request_settings

T = TypeVar("T")

HOST = "api.easypost.com"

_BRISK = Timeouts(connect_s=1.0, read_s=4.0, total_s=4.0)
_CARRIERS = Timeouts(connect_s=1.0, read_s=12.0, total_s=12.0)
"""For rates, labels and refunds, for which EasyPost asks the carriers."""

LONGEST_S: Mapping[str, float] = {
    "open": _CARRIERS.total_s,
    "buy": _BRISK.total_s + 2 * _CARRIERS.total_s,
    "recall": _BRISK.total_s + _CARRIERS.total_s,
    "order_of": _BRISK.total_s,
}
"""The longest time that each operation takes, in seconds."""

RATES_LAST = timedelta(hours=24)
"""The age up to which rates are used. Older ones are asked for again, as after a late redrive.
https://docs.easypost.com/docs/shipments/rates"""

_OUNCE_G = 28.349523125
_INCH_CM = 2.54
_GONE = "SHIPMENT.REFUND.UNAVAILABLE"
_LATER = frozenset(
    {
        "SHIPMENT.POSTAGE.EXISTS",
        "SHIPMENT.POSTAGE.FAILURE",
        "SHIPMENT.POSTAGE.NO_RESPONSE",
        "SHIPMENT.POSTAGE.TIMED_OUT",
        "SHIPMENT.PURCHASE.IN_PROGRESS",
        "SHIPMENT.REFUND.FAILURE",
    }
)
"""Codes after which the next attempt looks again: another call is under way, or the carrier failed.
https://docs.easypost.com/docs/errors"""

_RETURNED = frozenset({"submitted", "refunded", "not_applicable"})
"""What becomes of a label that is not used. One that is billed when it is scanned costs nothing.
https://docs.easypost.com/docs/shipments/shipping-refund"""


class _Rate(msgspec.Struct, frozen=True):
    """An offer. https://docs.easypost.com/docs/shipments/rates."""

    id: str
    rate: Decimal
    currency: str
    delivery_days: int | None = None


class _Tracker(msgspec.Struct, frozen=True):
    status: str = "unknown"


class _Shipment(msgspec.Struct, frozen=True):
    """A shipment. https://docs.easypost.com/docs/shipments."""

    id: str
    created_at: datetime
    reference: str | None = None
    tracking_code: str | None = None
    refund_status: str | None = None
    tracker: _Tracker | None = None
    rates: tuple[_Rate, ...] = ()

    @property
    def reached(self) -> Report | None:
        """How far the parcel is, if it has left."""
        return REPORTS.get(self.tracker.status) if self.tracker else None


class _Rates(msgspec.Struct, frozen=True):
    rates: tuple[_Rate, ...] = ()


class _Error(msgspec.Struct, frozen=True):
    code: str = "unknown"


class _Refusal(msgspec.Struct, frozen=True):
    """The body of an error. https://docs.easypost.com/guides/errors-guide."""

    error: _Error = _Error()


class EasyPostCarrier:
    """Implements `Carrier`."""

    def __init__(self, secret_arn: str) -> None:
        self._secret_arn = secret_arn

    def open(self, order_id: str, *, address: Address, units: int) -> str:
        """See `Carrier`."""
        body = {"shipment": _description(dispatch(), order_id, address, units)}
        return self._ask("POST", "/v2/shipments", _Shipment, _CARRIERS, json=body).id

    def buy(self, parcel_id: str) -> str:
        """See `Carrier`. Buys the cheapest offer that arrives in time."""
        shipment = self._find(parcel_id)
        if shipment.tracking_code is None:
            rate = _best(self._rates(shipment), days=request_settings().delivery_hours // 24)
            path, body = f"/v2/shipments/{parcel_id}/buy", {"rate": {"id": rate.id}}
            shipment = self._ask("POST", path, _Shipment, _CARRIERS, json=body)
        if shipment.tracking_code is None:
            raise Unavailable(f"the label of {parcel_id} is being bought")
        return shipment.tracking_code

    def recall(self, parcel_id: str) -> None:
        """See `Carrier`. Refunds the label; EasyPost stops no parcel that has left."""
        shipment = self._find(parcel_id)
        if shipment.tracking_code is None or shipment.refund_status in _RETURNED:
            return
        if shipment.reached in {Report.PICKED_UP, Report.DELIVERED}:
            raise TooLate(shipment.reached)
        path = f"/v2/shipments/{parcel_id}/refund"
        try:
            shipment = self._call("POST", path, _Shipment, _CARRIERS, json={})
        except Refused as error:
            if _code(error) == _GONE:
                raise TooLate(Report.PICKED_UP) from error
            raise _meaning(error) from error
        if shipment.refund_status not in _RETURNED:
            # EasyPost recommends to ask again: a new label may not be known to its carrier yet.
            raise Unavailable(f"the refund of {parcel_id} is {shipment.refund_status}")

    def order_of(self, parcel_id: str) -> str | None:
        """See `Carrier`."""
        try:
            return self._call("GET", f"/v2/shipments/{parcel_id}", _Shipment, _BRISK).reference
        except Refused as error:
            if error.answer.status == 404:
                return None
            raise _meaning(error) from error

    def _find(self, parcel_id: str) -> _Shipment:
        return self._ask("GET", f"/v2/shipments/{parcel_id}", _Shipment, _BRISK)

    def _rates(self, shipment: _Shipment) -> tuple[_Rate, ...]:
        """Returns current offers."""
        if shipment.rates and datetime.now(UTC) - shipment.created_at < RATES_LAST:
            return shipment.rates
        path = f"/v2/shipments/{shipment.id}/rerate"
        return self._ask("POST", path, _Rates, _CARRIERS, json={}).rates

    def _ask(
        self, method: str, path: str, answers: type[T], timeouts: Timeouts, **options: Any
    ) -> T:
        """Calls the API where no refusal is expected."""
        try:
            return self._call(method, path, answers, timeouts, **options)
        except Refused as error:
            raise _meaning(error) from error

    def _call(
        self, method: str, path: str, answers: type[T], timeouts: Timeouts, **options: Any
    ) -> T:
        key = secret(self._secret_arn).strip()
        easypost = Partner(HOST, headers={"authorization": f"Bearer {key}"}, timeouts=timeouts)
        try:
            return easypost.call(method, path, answers, **options)
        except (NoAnswer, Failed, Limited) as error:
            telemetry.count("CarrierUnavailable")
            raise Unavailable(str(error)) from error


def _description(sender: Dispatch, order_id: str, address: Address, units: int) -> dict[str, Any]:
    """Returns the parameters of a shipment. Weights are in ounces, lengths in inches.

    https://docs.easypost.com/docs/shipments, https://docs.easypost.com/docs/parcels
    """
    return {
        "reference": order_id,
        "to_address": {
            "name": address.name,
            "street1": address.street,
            "zip": address.postal_code,
            "city": address.city,
            "country": address.country,
        },
        "from_address": {
            "company": sender.sender_name,
            "street1": sender.sender_street,
            "zip": sender.sender_postal_code,
            "city": sender.sender_city,
            "country": sender.sender_country,
            "phone": sender.sender_phone,
        },
        "parcel": {
            "weight": round(units * sender.unit_weight_g / _OUNCE_G, 1),
            "length": round(sender.box_length_cm / _INCH_CM, 1),
            "width": round(sender.box_width_cm / _INCH_CM, 1),
            "height": round(sender.box_height_cm / _INCH_CM, 1),
        },
    }


def _best(rates: tuple[_Rate, ...], *, days: int) -> _Rate:
    """Returns the cheapest rate of those that promise the fewest days, if `days` are too few.

    Raises Unavailable or Misconfigured.
    """
    if not rates:
        raise Unavailable("no carrier offers to take the parcel")
    if len({rate.currency for rate in rates}) > 1:
        raise Misconfigured(
            "EasyPost's carrier accounts have prices in several currencies, which cannot be "
            "compared: keep accounts of one currency (docs/how-to/deploy.md)"
        )
    in_time = [rate for rate in rates if rate.delivery_days and rate.delivery_days <= days]
    return min(in_time or rates, key=lambda rate: rate.rate)


def _code(refused: Refused) -> str:
    try:
        return msgspec.json.decode(refused.answer.body, type=_Refusal).error.code
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "unknown"


def _meaning(refused: Refused) -> Exception:
    """Returns the error to raise for an answer 4xx other than 429."""
    code = _code(refused)
    text = f"{refused} {code}"
    match refused.answer.status:
        case 401 | 403:
            return Misconfigured(f"{text}: correct EasyPost's key (docs/how-to/deploy.md)")
        case 402:
            return Misconfigured(f"{text}: add funds to EasyPost's account")
        case 409:
            return Unavailable(text)
    if code in _LATER:
        return Unavailable(text)
    if code.startswith("ADDRESS."):
        return Undeliverable(f"{text}: ask the customer for another address")
    return Misconfigured(f"{text}: EasyPost does not accept this request")
