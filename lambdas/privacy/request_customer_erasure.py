"""Request the erasure of a customer's data: POST /customers/{customer_id}/erasure, for staff."""

from http import HTTPStatus

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.privacy import erasure_store
from lambdas.privacy.events import ErasureRequested
from lambdas.privacy.representation import (
    ErasureView,
    UnknownCustomer,
    customer_named,
    represent,
)


@endpoint(
    answers=ErasureView,
    status=HTTPStatus.ACCEPTED,
    location="/customers/{customer_id}/erasure",
    audience=Audience.STAFF,
    problems=(UnknownCustomer,),
    publishes=(ErasureRequested,),
    uses=(GET, UPDATE),
)
def handler(request: Request) -> ErasureView:
    """Request the erasure of a customer's personal data.

    For a customer who asks in another way than through the shop. The proof names the staff member.
    No body is needed.
    """
    customer_id = customer_named(request)
    return represent(erasure_store.request(customer_id, request.caller, request))
