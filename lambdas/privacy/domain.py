"""Rules of privacy, without AWS."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from lambdas.eventing.aggregate import Aggregate, Change
from lambdas.eventing.event import Moment
from lambdas.privacy.events import CustomerErased, Erased, ErasureRefused, ErasureRequested


class State(StrEnum):
    """The state of an erasure."""

    REQUESTED = "requested"
    REFUSED = "refused"
    COMPLETED = "completed"


class Erasure(Aggregate, frozen=True, kw_only=True):
    """The erasure of a customer's personal data. It contains none: when complete, it is the proof.

    Each customer has one at most.
    """

    customer_id: str
    erasure_id: str
    state: State
    requested_at: Moment
    requested_by: str
    """The id of the customer, or of the staff member who requested it on their behalf."""
    ended_at: Moment | None = None
    reason: str | None = None
    erased: tuple[Erased, ...] = ()

    @classmethod
    def request(
        cls, customer_id: str, erasure_id: str, requested_by: str, now: datetime
    ) -> Change[Self]:
        """Requests the erasure of a customer's personal data."""
        new = cls(
            customer_id=customer_id,
            erasure_id=erasure_id,
            state=State.REQUESTED,
            requested_at=now,
            requested_by=requested_by,
        )
        event = ErasureRequested(customer_id=customer_id, erasure_id=erasure_id)
        return Change(new, (event,))

    def again(self, erasure_id: str, requested_by: str, now: datetime) -> Change[Self] | None:
        """Requests it once more after a refusal; does nothing if it is in progress or complete."""
        if self.state is not State.REFUSED:
            return None
        event = ErasureRequested(customer_id=self.customer_id, erasure_id=erasure_id)
        return self.becomes(
            event,
            erasure_id=erasure_id,
            state=State.REQUESTED,
            requested_at=now,
            requested_by=requested_by,
            ended_at=None,
            reason=None,
        )

    def refuse(self, erasure_id: str, reason: str, now: datetime) -> Change[Self] | None:
        """Ends this request without an effect; does nothing if it has ended."""
        if not self._is_open(erasure_id):
            return None
        event = ErasureRefused(customer_id=self.customer_id, erasure_id=erasure_id, reason=reason)
        return self.becomes(event, state=State.REFUSED, ended_at=now, reason=reason)

    def complete(
        self, erasure_id: str, erased: tuple[Erased, ...], now: datetime
    ) -> Change[Self] | None:
        """Ends this request with the proof; does nothing if it has ended."""
        if not self._is_open(erasure_id):
            return None
        event = CustomerErased(customer_id=self.customer_id, erasure_id=erasure_id, erased=erased)
        return self.becomes(event, state=State.COMPLETED, ended_at=now, erased=erased)

    def _is_open(self, erasure_id: str) -> bool:
        return self.state is State.REQUESTED and self.erasure_id == erasure_id
