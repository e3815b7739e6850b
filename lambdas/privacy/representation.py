"""The representation of an erasure in answers, and the erasure that a request names."""

import re
from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing.event import Moment
from lambdas.eventing.http import Problem, Request
from lambdas.privacy import erasure_store
from lambdas.privacy.domain import Erasure, State
from lambdas.privacy.events import Erased
from lambdas.shared.vocabulary import CustomerId

_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)


class ErasureView(Struct, frozen=True, kw_only=True):
    """The erasure of a customer's personal data; once it is completed, the proof."""

    customer_id: CustomerId
    state: State
    requested_at: Moment
    ended_at: Annotated[Moment | None, Meta(description="When it was refused or completed")]
    reason: Annotated[str | None, Meta(description="Why it was refused, if it was")]
    erased: Annotated[tuple[Erased, ...], Meta(description="What each context erased")]


class NoErasure(Problem, status=HTTPStatus.NOT_FOUND):
    """The erasure of this customer's data was never requested."""


class UnknownCustomer(Problem, status=HTTPStatus.NOT_FOUND):
    """The path names no customer: this is no id of an account."""


def customer_named(request: Request) -> str:
    """Returns the customer that the path names. Raises UnknownCustomer."""
    customer_id = request.path["customer_id"]
    if not _ID.fullmatch(customer_id):
        raise UnknownCustomer(f"{customer_id[:128]!r} is no id of a customer's account")
    return customer_id


def erasure_of(customer_id: str) -> Erasure:
    """Returns the erasure of a customer. Raises NoErasure."""
    found = erasure_store.find(customer_id)
    if found is None:
        raise NoErasure("the erasure of this customer's data was never requested")
    return found


def represent(found: Erasure) -> ErasureView:
    """Returns the representation of an erasure."""
    return ErasureView(
        customer_id=found.customer_id,
        state=found.state,
        requested_at=found.requested_at,
        ended_at=found.ended_at,
        reason=found.reason,
        erased=found.erased,
    )
