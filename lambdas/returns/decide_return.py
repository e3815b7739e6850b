"""Decide about a return: POST /returns/{order_id}/decision, for staff."""

from functools import partial

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.returns import return_store
from lambdas.returns.domain import Decision, NoDecisionDue, OwnReturn
from lambdas.returns.events import RefusalReason, ReturnDecided, ReturnDecidedV1
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


class DecideReturn(Decision, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request body: whether the order is taken back, and if not, why."""

    def __post_init__(self) -> None:
        """Rejects a refusal without a reason of staff, and an approval with one."""
        if self.approved and self.reason:
            raise ValueError("reason: an approval has none: leave it out")
        if not self.approved and self.reason in {None, RefusalReason.NOT_REVIEWED}:
            codes = ", ".join(each for each in RefusalReason if each != RefusalReason.NOT_REVIEWED)
            raise ValueError(f"reason: a refusal needs one of {codes}")


@endpoint(
    body=DecideReturn,
    answers=ReturnView,
    audience=Audience.STAFF,
    problems=(CustomerNotNamed, OwnOrder, UnknownReturn, NotAwaiting),
    publishes=(ReturnDecided, ReturnDecidedV1),
    uses=(GET, UPDATE),
)
def handler(request: Request, command: DecideReturn) -> ReturnView:
    """Decide about a return.

    An approval refunds the customer and puts the units back for sale. Otherwise the customer learns
    the reason. A repetition of the same decision gets the same answer.
    """
    decision = Decision(approved=command.approved, reason=command.reason)
    order_id, load = request.path["order_id"], partial(return_of, request)
    try:
        return represent(return_store.decide(order_id, load, decision, clerk_of(request), request))
    except OwnReturn as error:
        raise OwnOrder("this is your own order: a colleague has to handle its return") from error
    except NoDecisionDue as error:
        raise NotAwaiting(
            f"the return is {error}: no decision can be taken, or taken back"
        ) from error
