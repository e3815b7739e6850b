"""The privacy context as its callers see it."""

from dataclasses import dataclass
from typing import Any

from lambdas.eventing import aws
from lambdas.eventing.event import CloudEvent
from lambdas.eventing.settings import TableSettings
from lambdas.privacy import (
    complete_erasure,
    delete_account,
    get_customer_erasure,
    get_erasure,
    refuse_erasure,
    request_customer_erasure,
    request_erasure,
    start_erasure,
)
from lambdas.privacy.events import ErasureEvent, ErasureRequested
from lambdas.privacy.settings import AccountSettings, WorkflowSettings
from tests.support.cloud import Cloud, Queue, Table
from tests.support.messages import CONTEXT, Answer, Call, batch, enveloped, failed, task_input
from tests.support.workflow import StepFunctions

SETTINGS = TableSettings(table_name="privacy", inbox_days=22)
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:privacy"
RESULTS = {
    "EraseOrders": {"context": "orders", "kinds": ["Address", "PaymentMethod"]},
    "DeleteAccount": {"context": "privacy", "kinds": ["Account"]},
}
"""What the steps of an erasure return."""


@dataclass(frozen=True)
class Privacy:
    """Calls the context's functions as API Gateway, Lambda and the workflow do."""

    table: Table
    parking: Queue
    service: StepFunctions
    pool: str

    @classmethod
    def in_cloud(cls, cloud: Cloud) -> "Privacy":
        """Creates the context with an empty table and an empty user pool."""
        table = cloud.table(SETTINGS.table_name)
        parking = cloud.queue("parking")
        pool = aws.cognito().create_user_pool(PoolName="shop", UsernameAttributes=["email"])
        pool_id = pool["UserPool"]["Id"]
        cloud.configure(
            {
                **SETTINGS.as_environment(),
                **WorkflowSettings(state_machine_arn=MACHINE).as_environment(),
                **AccountSettings(user_pool_id=pool_id).as_environment(),
                "DEAD_LETTER_QUEUE_URL": parking.url,
            }
        )
        return cls(table, parking, StepFunctions(cloud.monkeypatch), pool_id)

    def sign_up(self, email: str = "ada@example.com") -> str:
        """Creates an account; returns the customer's id."""
        user = aws.cognito().admin_create_user(UserPoolId=self.pool, Username=email)["User"]
        (subject,) = [each["Value"] for each in user["Attributes"] if each["Name"] == "sub"]
        return subject

    def accounts(self) -> list[str]:
        """The ids of all accounts."""
        users = aws.cognito().list_users(UserPoolId=self.pool)["Users"]
        return [user["Username"] for user in users]

    def request(self, customer: str = "customer-1") -> Answer:
        """Requests the erasure of the caller's data."""
        return Call(route="POST /erasure", caller=customer).send(request_erasure.handler)

    def get(self, customer: str = "customer-1") -> Answer:
        """Gets the erasure of the caller's data."""
        return Call(route="GET /erasure", caller=customer).send(get_erasure.handler)

    def request_for(self, customer: str) -> Answer:
        """Requests the erasure of a customer's data, as staff."""
        return self._staff("POST", customer, request_customer_erasure.handler)

    def get_for(self, customer: str) -> Answer:
        """Gets the erasure of a customer's data, as staff."""
        return self._staff("GET", customer, get_customer_erasure.handler)

    def event(self) -> CloudEvent:
        """The event of the latest request."""
        found = self.table.envelopes(ErasureRequested)
        return max(found, key=lambda envelope: envelope.time)

    def start(self) -> list[str]:
        """Delivers it; returns the ids of messages to be delivered again."""
        return failed(start_erasure.handler(batch(self.event()), CONTEXT))

    def refuse(self, event: CloudEvent | None = None) -> None:
        """Runs the workflow's task that refuses an erasure."""
        state = task_input(event or self.event(), error="OrdersOpen", reason="orders_open")
        refuse_erasure.handler(state, CONTEXT)

    def delete_account(self, customer: str) -> Any:
        """Runs the workflow's task that deletes an account."""
        event = ErasureRequested(customer_id=customer, erasure_id="erasure-1")
        return delete_account.handler(task_input(enveloped(event)), CONTEXT)

    def complete(self, event: CloudEvent | None = None) -> None:
        """Runs the workflow's task that completes an erasure."""
        state = {**task_input(event or self.event()), "results": RESULTS}
        complete_erasure.handler(state, CONTEXT)

    def events(self, event_type: type[ErasureEvent]) -> list[ErasureEvent]:
        """The published events of one type."""
        return self.table.events(event_type)

    def _staff(self, method: str, customer: str, handler: Any) -> Answer:
        return Call(
            route=f"{method} /customers/{{customer_id}}/erasure",
            path={"customer_id": customer},
            caller="staff-1",
        ).send(handler)
