"""Decide about a price: POST /prices/decision, for staff."""

from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing.declaration import GET, PUT, UPDATE
from lambdas.eventing.http import Audience, Problem, Request, endpoint
from lambdas.inventory import price_store
from lambdas.inventory.events import ItemPriced, Sku
from lambdas.inventory.prices import PriceView, represent
from lambdas.inventory.pricing import NoProposal, OwnProposal, PriceReason


class DecidePrice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request body: a proposal, and whether its price is to apply."""

    sku: Sku
    number: Annotated[int, Meta(ge=1, description="The proposal's number", examples=[4])]
    approved: bool
    reason: PriceReason


class NoSuchProposal(Problem, status=HTTPStatus.CONFLICT):
    """The proposal does not wait for a decision: it was decided or replaced."""


class OwnPrice(Problem, status=HTTPStatus.FORBIDDEN):
    """The caller proposed the price: a colleague has to decide."""


@endpoint(
    body=DecidePrice,
    answers=PriceView,
    audience=Audience.STAFF,
    problems=(NoSuchProposal, OwnPrice),
    publishes=(ItemPriced,),
    uses=(GET, UPDATE, PUT),
)
def handler(request: Request, command: DecidePrice) -> PriceView:
    """Decide about a price that waits for approval.

    The first decision counts. A repetition gets the same answer.
    """
    try:
        pricing = price_store.decide(
            command.sku,
            command.number,
            approved=command.approved,
            reason=command.reason,
            by=request.caller,
            cause=request,
        )
    except NoProposal:
        raise NoSuchProposal(
            f"proposal {command.number} for {command.sku} does not wait: list the proposals again"
        ) from None
    except OwnProposal:
        raise OwnPrice("you proposed this price yourself: ask a colleague to decide") from None
    return represent(pricing)
