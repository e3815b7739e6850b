"""Get the erasure of the caller's data: GET /erasure."""

from lambdas.eventing.declaration import GET
from lambdas.eventing.http import Request, endpoint
from lambdas.privacy.representation import ErasureView, NoErasure, erasure_of, represent


@endpoint(answers=ErasureView, problems=(NoErasure,), uses=(GET,))
def handler(request: Request) -> ErasureView:
    """Get the erasure of the caller's personal data.

    After the account is deleted, this works until the access token expires.
    """
    return represent(erasure_of(request.caller))
