"""Rules of returns, without AWS."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from msgspec import Struct, structs

from lambdas.eventing.aggregate import Aggregate, Change, Refusal
from lambdas.eventing.event import Moment
from lambdas.returns.events import (
    Approved,
    OrderReturned,
    RefusalReason,
    ReturnDecided,
    ReturnDecidedV1,
    ReturnReason,
    ReturnRefused,
    ReturnRefusedV1,
    ReturnRequested,
    ReturnRequestedV1,
    WhyNot,
)

RETURN_DAYS = 30
"""Days after its delivery in which an order can be returned."""


class ApprovalStands(Refusal):
    """Staff approved the return before it was refused for lack of a decision."""


class NoDecisionDue(Exception):
    """The return does not wait for a decision."""


class OwnReturn(Exception):
    """A staff member may not handle the return of their own order."""


class Clerk(Struct, frozen=True, kw_only=True):
    """A staff member, and the id of their customer account, if they have one."""

    staff_id: str
    customer_id: str | None


class State(StrEnum):
    """The state of a return. Staff can decide only while it is `AWAITING`."""

    REQUESTED = "requested"
    AWAITING = "awaiting"
    DECIDED = "decided"
    RETURNED = "returned"
    REFUSED = "refused"


class Decision(Struct, frozen=True, kw_only=True):
    """A decision of staff about a return."""

    approved: Approved
    reason: WhyNot = None
    """None also in a refusal of an earlier release, which had a note."""


NOT_REVIEWED = Decision(approved=False, reason=RefusalReason.NOT_REVIEWED)
"""The decision about a return that staff did not review in spite of an alarm. It does not refund
money: a notified customer can complain, but a refund cannot be taken back."""


class Order(Struct, frozen=True, kw_only=True):
    """The facts about an order: its customer, and the time of its delivery."""

    customer_id: str | None = None
    delivered_at: Moment | None = None
    traceparent: str | None = None
    """The trace of the order, which its return continues."""


class Return(Aggregate, frozen=True, kw_only=True):
    """The return of an order."""

    order_id: str
    customer_id: str
    reason: str
    """A code of ReturnReason; free text in returns of earlier releases."""
    state: State
    requested_at: Moment
    task_token: str | None = None
    """The token with which the workflow waits, now or the last time."""
    reviewer: str | None = None
    escalated_at: Moment | None = None
    decision: Decision | None = None
    decider: str | None = None

    @classmethod
    def request(
        cls, requested: ReturnRequested, now: datetime, traceparent: str | None = None
    ) -> Change[Self]:
        """Begins a return, in the trace of its order."""
        new = cls(
            order_id=requested.order_id,
            customer_id=requested.customer_id,
            reason=requested.reason,
            state=State.REQUESTED,
            requested_at=now,
            traceparent=traceparent,
        )
        older = ReturnRequestedV1(
            order_id=requested.order_id,
            customer_id=requested.customer_id,
            reason=requested.reason,
        )
        return Change(new, (requested,), also_as=(older,))

    @property
    def known_reason(self) -> ReturnReason:
        """The reason as one of the known ones."""
        return ReturnReason.of(self.reason)

    @property
    def pending_since(self) -> datetime | None:
        """The time since which the return has waited for a decision, or None."""
        return self.requested_at if self.state is State.AWAITING else None

    def await_decision(self, task_token: str) -> Change[Self]:
        """Keeps the token with which the workflow waits now.

        With the first token, it begins to wait for a decision.
        """
        state = State.AWAITING if self.state is State.REQUESTED else self.state
        return self.becomes(state=state, task_token=task_token)

    def review(self, clerk: Clerk) -> Change[Self]:
        """Sets the reviewer. Raises OwnReturn or NoDecisionDue."""
        self._check_owner(clerk)
        self._check_awaiting()
        return self.becomes(reviewer=clerk.staff_id)

    def escalate(self, now: datetime) -> Change[Self] | None:
        """Marks it, once, as not reviewed for too long; does nothing if staff have decided."""
        if self.state is not State.AWAITING or self.escalated_at:
            return None
        return self.becomes(escalated_at=now)

    def decide(self, decision: Decision, clerk: Clerk) -> Change[Self] | None:
        """Takes a decision; does nothing if it is the one that stands.

        Raises OwnReturn or NoDecisionDue.
        """
        self._check_owner(clerk)
        if self.decision == decision:
            return None
        self._check_awaiting()
        event = ReturnDecided(
            order_id=self.order_id,
            customer_id=self.customer_id,
            approved=decision.approved,
            reason=decision.reason,
        )
        older = ReturnDecidedV1(
            order_id=self.order_id,
            customer_id=self.customer_id,
            approved=decision.approved,
            note=decision.reason or "approved",
        )
        change = self.becomes(event, state=State.DECIDED, decision=decision, decider=clerk.staff_id)
        return structs.replace(change, also_as=(older,))

    def complete(self) -> Change[Self] | None:
        """Ends it when the money is refunded and the units are for sale again."""
        if self.state is State.RETURNED:
            return None
        event = OrderReturned(order_id=self.order_id, customer_id=self.customer_id)
        return self.becomes(event, state=State.RETURNED)

    def refuse(self) -> Change[Self] | None:
        """Ends it without a refund, for lack of a decision if there is none.

        Raises ApprovalStands if staff approved it.
        """
        if self.state is State.REFUSED:
            return None
        decision = self.decision or NOT_REVIEWED
        if decision.approved:
            raise ApprovalStands(self.state.value)
        reason = decision.reason or RefusalReason.CONDITIONS_NOT_MET
        event = ReturnRefused(order_id=self.order_id, customer_id=self.customer_id, reason=reason)
        older = ReturnRefusedV1(order_id=self.order_id, customer_id=self.customer_id, reason=reason)
        change = self.becomes(event, state=State.REFUSED, decision=decision)
        return structs.replace(change, also_as=(older,))

    def _check_owner(self, clerk: Clerk) -> None:
        if clerk.customer_id == self.customer_id:
            raise OwnReturn(self.order_id)

    def _check_awaiting(self) -> None:
        if self.state is not State.AWAITING:
            raise NoDecisionDue(self.state.value)


def in_time(delivered_at: datetime, now: datetime) -> bool:
    """Whether an order with this time of delivery can still be returned."""
    return now - delivered_at <= timedelta(days=RETURN_DAYS)
