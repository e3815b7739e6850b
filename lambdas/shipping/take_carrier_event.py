"""Take a carrier's event: POST /carrier/events."""

from http import HTTPStatus

from lambdas.eventing import telemetry
from lambdas.eventing.callback import callback
from lambdas.eventing.http import Problem, Request, Response
from lambdas.shipping import shipment_store
from lambdas.shipping.shipment_store import CarrierEvent, Undecided, UnknownShipment

_RETRY_AFTER_S = 60


@callback
def handler(request: Request) -> Response:
    """200, also when repeated or of no consequence any more; a Problem 400, 401, 404 or 409.

    After a 409 or a 5xx the carrier has to send the same event again.
    """
    report = request.decode(CarrierEvent)
    try:
        taken = shipment_store.take(report)
    except UnknownShipment as error:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "unknown_shipment",
            "there is no shipment with this order_id and tracking_id",
        ) from error
    except Undecided as error:
        raise Problem(
            HTTPStatus.CONFLICT,
            "try_later",
            "a request about this shipment is under way: send the event again",
            headers={"retry-after": str(_RETRY_AFTER_S)},
        ) from error
    telemetry.count(taken)
    return Response(status=HTTPStatus.OK, body={"event_id": report.event_id})
