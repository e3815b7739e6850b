"""Get the erasure of a customer's data: GET /customers/{customer_id}/erasure, for staff."""

from lambdas.eventing.declaration import GET
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.privacy.representation import (
    ErasureView,
    NoErasure,
    UnknownCustomer,
    customer_named,
    erasure_of,
    represent,
)


@endpoint(
    answers=ErasureView, audience=Audience.STAFF, problems=(UnknownCustomer, NoErasure), uses=(GET,)
)
def handler(request: Request) -> ErasureView:
    """Get the erasure of a customer's personal data: when it is completed, the proof."""
    return represent(erasure_of(customer_named(request)))
