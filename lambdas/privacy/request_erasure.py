"""Request the erasure of the caller's data: POST /erasure."""

from http import HTTPStatus

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Request, endpoint
from lambdas.privacy import erasure_store
from lambdas.privacy.events import ErasureRequested
from lambdas.privacy.representation import ErasureView, represent


@endpoint(
    answers=ErasureView,
    status=HTTPStatus.ACCEPTED,
    location="/erasure",
    publishes=(ErasureRequested,),
    uses=(GET, UPDATE),
)
def handler(request: Request) -> ErasureView:
    """Request the erasure of the caller's personal data.

    The account is deleted, and an hour later all personal data. It is refused while an order or a
    return is open: poll its address for the outcome. A repetition gets the same answer. No body is
    needed.
    """
    return represent(erasure_store.request(request.caller, request.caller, request))
