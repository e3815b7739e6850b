"""List returns: GET /returns, for staff."""

from http import HTTPStatus

from lambdas.eventing.http import Request, Response, endpoint
from lambdas.returns import return_store
from lambdas.returns.representation import represent

MOST = 50
"""Returns in one answer. Those that were decided about make room for the next."""


@endpoint
def handler(request: Request) -> Response:
    """200 with the returns that wait for a decision, the oldest first, or a Problem 403."""
    request.require_staff()
    waiting = [represent(found) for found in return_store.awaiting(limit=MOST)]
    return Response(status=HTTPStatus.OK, body={"returns": waiting})
