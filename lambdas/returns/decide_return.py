"""Decide about a return: POST /returns/{order_id}/decision, for staff."""

from http import HTTPStatus

import msgspec

from lambdas.eventing.http import Problem, Request, Response, endpoint
from lambdas.returns import return_store
from lambdas.returns.domain import Decision, State
from lambdas.returns.representation import represent, return_of

_TRIES = 3


class DecideReturn(Decision, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What staff send: whether the order is taken back, and a note that the customer reads."""


@endpoint
def handler(request: Request) -> Response:
    """200 with the return, also when repeated; a Problem 400, 403, 404, or 409."""
    for _ in range(_TRIES):
        found = return_of(request)
        wish = request.decode(DecideReturn)
        decision = Decision(approved=wish.approved, note=wish.note)
        if found.decision == decision:
            return Response(status=HTTPStatus.OK, body=represent(found))
        if found.state is not State.AWAITING:
            break
        if return_store.decide(found, decision, request.caller, request):
            decided = msgspec.structs.replace(found, state=State.DECIDED, decision=decision)
            return Response(status=HTTPStatus.OK, body=represent(decided))
    raise Problem(
        HTTPStatus.CONFLICT,
        "not_awaiting",
        f"the return is {found.state.value}: no decision can be taken, or taken back",
    )
