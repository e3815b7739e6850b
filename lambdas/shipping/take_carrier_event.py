"""Take a carrier's event: POST /carrier/events."""

from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing import telemetry
from lambdas.eventing.callback import callback
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.http import Problem, Request
from lambdas.eventing.signature import EASYPOST
from lambdas.eventing.store import NotStored
from lambdas.shipping import shipment_store
from lambdas.shipping.carrier import Unavailable
from lambdas.shipping.carrier_event import CarrierEvent, Id
from lambdas.shipping.carriers import carrier
from lambdas.shipping.domain import OtherParcel, Undecided
from lambdas.shipping.events import OrderDelivered, OrderShipped


class TakenEvent(Struct, frozen=True, kw_only=True):
    """The event is taken, now or before, or does not concern the shop."""

    event_id: Annotated[Id, Meta(description="The event's", examples=["evt_1"])]


class TryLater(Problem, status=HTTPStatus.CONFLICT, retry_after_s=60):
    """A request to the carrier about this shipment is under way: send the event again later."""


class CarrierUnavailable(Problem, status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=60):
    """The carrier does not say to which order the parcel belongs: send the event again later."""


@callback(
    body=CarrierEvent,
    answers=TakenEvent,
    scheme=EASYPOST,
    problems=(TryLater, CarrierUnavailable),
    publishes=(OrderShipped, OrderDelivered),
    uses=(GET, PUT),
)
def handler(request: Request, event: CarrierEvent) -> TakenEvent:
    """Take a carrier's event.

    A repeated event, and one that no longer matters or does not concern the shop, get the same
    answer. After a 409 or a 5xx, the carrier has to send the same event again.
    """
    if report := event.report:
        try:
            order_id = carrier().order_of(report.parcel_id)
            taken = shipment_store.take(order_id, report) if order_id else None
        except Unavailable as error:
            raise CarrierUnavailable("the parcel cannot be read: send the event again") from error
        except Undecided as error:
            raise TryLater(
                "a request about this shipment is under way: send the event again"
            ) from error
        except (NotStored, OtherParcel):
            taken = None
        # Another stage or system has the same account.
        telemetry.count(taken or "UnknownParcels")
    return TakenEvent(event_id=event.id)
