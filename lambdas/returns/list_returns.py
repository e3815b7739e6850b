"""List returns: GET /returns, for staff."""

from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing import pending
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.returns import return_store
from lambdas.returns.representation import ReturnView, represent

MOST = 50
"""Maximum returns in one answer. Decided returns make room for the next."""


class WaitingReturns(Struct, frozen=True, kw_only=True):
    """Returns that wait for a decision."""

    returns: Annotated[
        tuple[ReturnView, ...], Meta(max_length=MOST, description="The oldest first")
    ]


@endpoint(answers=WaitingReturns, audience=Audience.STAFF, uses=pending.FIND)
def handler(request: Request) -> WaitingReturns:
    """List returns.

    Only those that wait for a decision. Decided returns make room for the next.
    """
    waiting = return_store.awaiting(limit=MOST)
    return WaitingReturns(returns=tuple(represent(found) for found in waiting))
