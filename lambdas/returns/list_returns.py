"""List returns: GET /returns, for staff."""

from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing import pending
from lambdas.eventing.http import Audience, Request, endpoint
from lambdas.eventing.listing import Cursor, Position
from lambdas.returns import return_store
from lambdas.returns.representation import ReturnView, represent

PAGE = 50
"""Maximum returns in one answer."""


class ReturnsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query string: which returns, and where the page begins."""

    waiting: Annotated[
        bool, Meta(description="Only returns that wait for a decision, the oldest first")
    ] = False
    after: Cursor | None = None

    def __post_init__(self) -> None:
        """Rejects a cursor that is not one, or that is combined with `waiting`."""
        if self.waiting and self.after:
            raise ValueError("`after` has no meaning with `waiting`: decided returns leave it")
        _ = self.position

    @property
    def position(self) -> Position | None:
        """The position before the page. Raises ValueError if there is no such position."""
        return Position.at(self.after) if self.after else None


class ReturnList(Struct, frozen=True, kw_only=True):
    """Returns, of all customers."""

    returns: Annotated[
        tuple[ReturnView, ...],
        Meta(max_length=PAGE, description="The newest first; with `waiting`, the oldest first"),
    ]
    next: Annotated[str | None, Meta(description="Value of `after` for the next page, if any")]


@endpoint(
    query=ReturnsQuery,
    answers=ReturnList,
    audience=Audience.STAFF,
    uses=(*return_store.BY_TIME.find, *pending.FIND),
)
def handler(request: Request, query: ReturnsQuery) -> ReturnList:
    """List returns.

    All of them, or those that wait for a decision: decided returns make room for the next. A return
    is in the list about a second after it was requested.
    """
    if query.waiting:
        waiting = return_store.awaiting(limit=PAGE)
        return ReturnList(returns=tuple(map(represent, waiting)), next=None)
    page = return_store.newest(limit=PAGE, after=query.position)
    return ReturnList(returns=tuple(map(represent, page.found)), next=page.next)
