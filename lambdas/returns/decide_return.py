"""Decide about a return: POST /returns/{order_id}/decision, for staff."""

import msgspec

from lambdas.eventing.declaration import GET, UPDATE
from lambdas.eventing.http import Request, endpoint
from lambdas.returns import return_store
from lambdas.returns.domain import Decision, State
from lambdas.returns.events import ReturnDecided
from lambdas.returns.representation import (
    NotAwaiting,
    ReturnView,
    UnknownReturn,
    represent,
    return_of,
)

_TRIES = 3


class DecideReturn(Decision, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What staff send: whether the order is taken back, and a note that the customer reads."""


@endpoint(
    body=DecideReturn,
    answers=ReturnView,
    staff_only=True,
    problems=(UnknownReturn, NotAwaiting),
    publishes=(ReturnDecided,),
    uses=(GET, UPDATE),
)
def handler(request: Request, wish: DecideReturn) -> ReturnView:
    """Decide about a return.

    Approved, the customer gets the money back and the units are for sale again; otherwise the
    customer reads the note. A repetition of the same decision gets the same answer.
    """
    decision = Decision(approved=wish.approved, note=wish.note)
    for _ in range(_TRIES):
        found = return_of(request)
        if found.decision == decision:
            return represent(found)
        if found.state is not State.AWAITING:
            break
        if return_store.decide(found, decision, request.caller, request):
            decided = msgspec.structs.replace(found, state=State.DECIDED, decision=decision)
            return represent(decided)
    raise NotAwaiting(f"the return is {found.state.value}: no decision can be taken, or taken back")
