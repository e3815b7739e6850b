"""The returns context as its callers see it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from lambdas.eventing.event import CloudEvent, Event
from lambdas.eventing.settings import TableSettings
from lambdas.returns import (
    await_decision,
    complete_return,
    decide_return,
    escalate_return,
    keep_order,
    list_returns,
    refuse_return,
    request_return,
    resume_return,
    review_return,
    start_return,
)
from lambdas.returns.events import (
    RefusalReason,
    ReturnDecided,
    ReturnEvent,
    ReturnReason,
    ReturnRequested,
)
from lambdas.returns.return_store import BY_TIME
from lambdas.returns.settings import WorkflowSettings
from lambdas.shared.staff import CUSTOMER_CLAIM, NO_CUSTOMER
from lambdas.shipping.events import OrderDelivered
from tests.support.cloud import Cloud, Queue, Table
from tests.support.messages import CONTEXT, Answer, Call, batch, enveloped, failed, task_input
from tests.support.orders import confirmed
from tests.support.workflow import StepFunctions

SETTINGS = TableSettings(table_name="returns", inbox_days=22)
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:returns"
ORDERS = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(10))
ORDER = ORDERS[1]


@dataclass(frozen=True)
class Returns:
    """Calls the context's functions as API Gateway, Lambda and the workflow do."""

    table: Table
    parking: Queue
    service: StepFunctions

    @classmethod
    def in_cloud(cls, cloud: Cloud) -> "Returns":
        """Creates the context with an empty table and without executions of its workflow."""
        table = cloud.table(SETTINGS.table_name, pending_index=True, listing=BY_TIME)
        parking = cloud.queue("parking")
        cloud.configure(
            {
                **SETTINGS.as_environment(),
                **WorkflowSettings(state_machine_arn=MACHINE).as_environment(),
                "DEAD_LETTER_QUEUE_URL": parking.url,
            }
        )
        return cls(table, parking, StepFunctions(cloud.monkeypatch))

    def receive(self, *events: Event | CloudEvent) -> None:
        """Delivers events of orders and shipping, one by one."""
        for each in events:
            envelope = each if isinstance(each, CloudEvent) else enveloped(each)
            assert failed(keep_order.handler(batch(envelope), CONTEXT)) == []

    def delivered(
        self, order_id: str = ORDER, *, customer: str = "customer-1", at: datetime | None = None
    ) -> str:
        """Makes an order delivered, now or at another time; returns its id."""
        delivery = enveloped(OrderDelivered(order_id=order_id))
        if at:
            delivery = msgspec.structs.replace(delivery, time=at)
        self.receive(confirmed(order_id=order_id, customer=customer), delivery)
        return order_id

    def request(
        self,
        order_id: str = ORDER,
        *,
        reason: Any = ReturnReason.UNWANTED,
        caller: str = "customer-1",
        body: Any = None,
    ) -> Answer:
        """Requests a return."""
        return Call(
            route="POST /orders/{order_id}/returns",
            path={"order_id": order_id},
            body={"reason": reason} if body is None else body,
            caller=caller,
        ).send(request_return.handler)

    def requested(self, order_id: str = ORDER) -> str:
        """Requests the return of a delivered order; returns its id."""
        self.delivered(order_id)
        assert self.request(order_id).status == 202
        return order_id

    def event(self, order_id: str = ORDER) -> CloudEvent:
        """The event that starts a return, the same for each delivery."""
        (event,) = [e for e in self.table.envelopes(ReturnRequested) if e.subject == order_id]
        return event

    def start(self, order_id: str = ORDER) -> list[str]:
        """Delivers this event; returns the ids of messages to be delivered again."""
        return failed(start_return.handler(batch(self.event(order_id)), CONTEXT))

    def ask(self, order_id: str = ORDER) -> str:
        """Makes the workflow wait for a decision; returns the token of its task."""
        token = self.service.wait()
        await_decision.handler({**task_input(self.event(order_id)), "token": token}, CONTEXT)
        return token

    def awaiting(self, order_id: str = ORDER) -> str:
        """Requests a return that waits for a decision; returns the id of its order."""
        self.requested(order_id)
        self.ask(order_id)
        return order_id

    def escalate(self, order_id: str = ORDER) -> None:
        """Runs the workflow's task that escalates a return."""
        escalate_return.handler(task_input(self.event(order_id)), CONTEXT)

    def complete(self, order_id: str = ORDER) -> None:
        """Runs the workflow's task that completes a return."""
        complete_return.handler(task_input(self.event(order_id)), CONTEXT)

    def refuse(self, order_id: str = ORDER) -> None:
        """Runs the workflow's task that refuses a return."""
        refuse_return.handler(task_input(self.event(order_id)), CONTEXT)

    def resume(self, order_id: str = ORDER) -> list[str]:
        """Delivers the event of the decision; returns the ids of messages to be delivered again."""
        decided = [e for e in self.table.envelopes(ReturnDecided) if e.subject == order_id]
        return failed(resume_return.handler(batch(*decided), CONTEXT))

    def page(self, **query: str) -> Answer:
        """Lists returns."""
        return self._staff("GET /returns", list_returns.handler, "", query=query)

    def waiting(self) -> Answer:
        """Lists the returns that wait for a decision."""
        return self.page(waiting="true")

    def review(self, order_id: str = ORDER, **member: Any) -> Answer:
        """Assigns a return to a reviewer."""
        route = "POST /returns/{order_id}/review"
        return self._staff(route, review_return.handler, order_id, **member)

    def decide(
        self,
        order_id: str = ORDER,
        *,
        approved: Any = True,
        caller: str = "staff-1",
        account: str | None = NO_CUSTOMER,
        **changes: Any,
    ) -> Answer:
        """Decides about a return, as a staff member with this customer account.

        A refusal has a reason; `changes` replace it.
        """
        why = {} if approved is True else {"reason": RefusalReason.USED}
        body = {"approved": approved, **why, **changes}
        route = "POST /returns/{order_id}/decision"
        return self._staff(
            route, decide_return.handler, order_id, caller=caller, account=account, body=body
        )

    def state(self) -> Any:
        """The state of the only return."""
        return self.table.one("return")["state"]

    def events(self, event_type: type[ReturnEvent]) -> list[ReturnEvent]:
        """The published events of one type."""
        return self.table.events(event_type)

    def _staff(
        self,
        route: str,
        handler: Any,
        order_id: str,
        *,
        caller: str = "staff-1",
        account: str | None = NO_CUSTOMER,
        **options: Any,
    ) -> Answer:
        path = {"order_id": order_id} if order_id else {}
        claims = {} if account is None else {CUSTOMER_CLAIM: account}
        return Call(route=route, path=path, caller=caller, claims=claims, **options).send(handler)
