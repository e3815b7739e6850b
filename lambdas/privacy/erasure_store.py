"""Privacy's table: one erasure per customer, from its request to its proof."""

from datetime import UTC, datetime
from uuid import uuid4

from lambdas.eventing.event import Cause
from lambdas.eventing.store import Store
from lambdas.privacy.domain import Erasure
from lambdas.privacy.events import Erased, ErasureRequested
from lambdas.privacy.settings import settings

_erasures = Store(
    Erasure,
    "erasure",
    settings,
    lambda customer_id: (f"CUSTOMER#{customer_id}", "ERASURE"),
    id_field="customer_id",
)

find = _erasures.find


def request(customer_id: str, requested_by: str, cause: Cause) -> Erasure:
    """Returns the erasure of a customer: requested now, in progress, or complete."""
    erasure_id, now = str(uuid4()), datetime.now(UTC)
    found, _ = _erasures.change(
        customer_id,
        lambda found: found.again(erasure_id, requested_by, now),
        cause,
        begin=lambda: Erasure.request(customer_id, erasure_id, requested_by, now),
    )
    return found


def refuse(event: ErasureRequested, reason: str, cause: Cause) -> bool:
    """Ends a request without an effect, and returns whether this call did."""
    return _erasures.change(
        event.customer_id,
        lambda found: found.refuse(event.erasure_id, reason, datetime.now(UTC)),
        cause,
    )[1]


def complete(event: ErasureRequested, erased: tuple[Erased, ...], cause: Cause) -> bool:
    """Stores the proof of an erasure, and returns whether this call did."""
    return _erasures.change(
        event.customer_id,
        lambda found: found.complete(event.erasure_id, erased, datetime.now(UTC)),
        cause,
    )[1]
