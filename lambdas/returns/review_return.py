"""Review a return: POST /returns/{order_id}/review, for staff."""

from functools import partial

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.returns import return_store, workflow
from lambdas.returns.domain import NoDecisionDue, OwnReturn
from lambdas.returns.representation import (
    CustomerNotNamed,
    NotAwaiting,
    OwnOrder,
    ReturnView,
    UnknownReturn,
    clerk_of,
    represent,
    return_of,
)


@endpoint(
    answers=ReturnView,
    audience=Audience.STAFF,
    problems=(CustomerNotNamed, OwnOrder, UnknownReturn, NotAwaiting),
    uses=(GET, UPDATE),
)
def handler(request: Request) -> ReturnView:
    """Review a return.

    The caller becomes its reviewer, and the return is not escalated for now. No body is needed.
    """
    order_id, load = request.path["order_id"], partial(return_of, request)
    try:
        found = return_store.review(order_id, load, clerk_of(request), request)
    except OwnReturn as error:
        raise OwnOrder("this is your own order: a colleague has to handle its return") from error
    except NoDecisionDue:
        found = None
    if found is None or not workflow.show_activity(found):
        raise NotAwaiting(
            "nothing waits for a decision about this return now; look again in a moment"
        )
    return represent(found)
