"""Run the checkout of a placed order: one synchronous execution of the workflow."""

import msgspec

from lambdas.checkout.settings import settings
from lambdas.eventing import aws
from lambdas.eventing.consumer import consumer
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import TaskInput
from lambdas.orders.events import OrderPlaced

PATIENCE_S = 100
"""How long to wait for an execution, in seconds: longer than the workflow's own time-out."""


class CheckoutFailed(Exception):
    """An execution failed for a reason that is no business answer. It is to be run again."""


@consumer(OrderPlaced)
def handler(delivery: Delivery[OrderPlaced]) -> None:
    """Needs no inbox: each step of the workflow may be repeated."""
    execution = aws.client("stepfunctions", read_timeout_s=PATIENCE_S).start_sync_execution(
        stateMachineArn=settings().state_machine_arn,
        input=msgspec.json.encode(TaskInput(detail=delivery.envelope)).decode(),
        name=delivery.event_id,
    )
    if execution["status"] != "SUCCEEDED":
        raise CheckoutFailed(
            f"{execution['executionArn']} {execution['status']}: {execution.get('error')} "
            f"{execution.get('cause')}"
        )
