"""Take a carrier's event: POST /carrier/events."""

from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing import telemetry
from lambdas.eventing.callback import callback
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.http import Problem, Request
from lambdas.eventing.store import NotStored
from lambdas.shipping import shipment_store
from lambdas.shipping.domain import CarrierEvent, Name, OtherParcel, Undecided
from lambdas.shipping.events import OrderDelivered, OrderShipped


class TakenEvent(Struct, frozen=True, kw_only=True):
    """The event is taken, now or before."""

    event_id: Annotated[Name, Meta(description="The event's", examples=["e-1"])]


class UnknownShipment(Problem, status=HTTPStatus.NOT_FOUND):
    """There is no shipment with this order_id and tracking_id."""


class TryLater(Problem, status=HTTPStatus.CONFLICT, retry_after_s=60):
    """A request to the carrier about this shipment is under way: send the event again later."""


@callback(
    body=CarrierEvent,
    answers=TakenEvent,
    problems=(UnknownShipment, TryLater),
    publishes=(OrderShipped, OrderDelivered),
    uses=(GET, PUT),
)
def handler(request: Request, report: CarrierEvent) -> TakenEvent:
    """Take a carrier's event.

    A repeated event, and one that no longer matters, get the same answer. After a 409 or a 5xx, the
    carrier has to send the same event again.
    """
    try:
        taken = shipment_store.take(report)
    except (NotStored, OtherParcel) as error:
        raise UnknownShipment("there is no shipment with this order_id and tracking_id") from error
    except Undecided as error:
        raise TryLater(
            "a request about this shipment is under way: send the event again"
        ) from error
    telemetry.count(taken)
    return TakenEvent(event_id=report.event_id)
