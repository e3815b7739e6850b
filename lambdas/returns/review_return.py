"""Review a return: POST /returns/{order_id}/review, for staff."""

import msgspec

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Request, endpoint
from lambdas.returns import return_store, workflow
from lambdas.returns.domain import State
from lambdas.returns.representation import (
    NotAwaiting,
    ReturnView,
    UnknownReturn,
    represent,
    return_of,
)


@endpoint(
    answers=ReturnView, staff_only=True, problems=(UnknownReturn, NotAwaiting), uses=(GET, UPDATE)
)
def handler(request: Request) -> ReturnView:
    """Review a return.

    From then on the case is the caller's, and is not escalated for now. No body is needed.
    """
    found = return_of(request)
    if (
        found.state is not State.AWAITING
        or not return_store.review(found, request.caller, request)
        or not workflow.show_activity(found)
    ):
        raise NotAwaiting(
            "nothing waits for a decision about this return now; look again in a moment"
        )
    return represent(msgspec.structs.replace(found, reviewer=request.caller))
