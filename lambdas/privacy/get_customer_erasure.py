"""Get the erasure of a customer's data: GET /customers/{customer_id}/erasure, for staff."""

from lambdas.eventing.declaration import GET
from lambdas.eventing.http import Request, endpoint
from lambdas.privacy.representation import (
    ErasureView,
    NoErasure,
    UnknownCustomer,
    customer_named,
    erasure_of,
    represent,
)


@endpoint(answers=ErasureView, staff_only=True, problems=(UnknownCustomer, NoErasure), uses=(GET,))
def handler(request: Request) -> ErasureView:
    """Get the erasure of a customer's personal data: when it is completed, the proof."""
    return represent(erasure_of(customer_named(request)))
