"""Review a return: POST /returns/{order_id}/review, for staff."""

from http import HTTPStatus

import msgspec

from lambdas.eventing.http import Problem, Request, Response, endpoint
from lambdas.returns import return_store, workflow
from lambdas.returns.domain import State
from lambdas.returns.representation import represent, return_of


@endpoint
def handler(request: Request) -> Response:
    """200: the case is the caller's, and not escalated for now; a Problem 403, 404, or 409."""
    found = return_of(request)
    if (
        found.state is not State.AWAITING
        or not return_store.review(found, request.caller, request)
        or not workflow.show_activity(found)
    ):
        raise Problem(
            HTTPStatus.CONFLICT,
            "not_awaiting",
            "nothing waits for a decision about this return now; look again in a moment",
        )
    mine = msgspec.structs.replace(found, reviewer=request.caller)
    return Response(status=HTTPStatus.OK, body=represent(mine))
