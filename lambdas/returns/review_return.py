"""Review a return: POST /returns/{order_id}/review, for staff."""

from functools import partial

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Request, endpoint
from lambdas.returns import return_store, workflow
from lambdas.returns.domain import NoDecisionDue
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

    The caller becomes its reviewer, and the return is not escalated for now. No body is needed.
    """
    order_id, load = request.path["order_id"], partial(return_of, request)
    try:
        found = return_store.review(order_id, load, request.caller, request)
    except NoDecisionDue:
        found = None
    if found is None or not workflow.show_activity(found):
        raise NotAwaiting(
            "nothing waits for a decision about this return now; look again in a moment"
        )
    return represent(found)
