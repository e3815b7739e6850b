"""Run the checkout of a placed order: one synchronous execution of the workflow."""

import msgspec

from lambdas.checkout.settings import settings
from lambdas.eventing import aws
from lambdas.eventing.consumer import consumer
from lambdas.eventing.event import Delivery
from lambdas.eventing.misconfiguration import Misconfigured, blames_configuration
from lambdas.eventing.task import TaskInput
from lambdas.orders.events import OrderPlaced

PATIENCE_S = 80
"""Timeout of an execution, in seconds: longer than the workflow's own timeout."""

_MISCONFIGURED = {Misconfigured.__name__, "States.Permissions"}
"""Errors of an execution that mean a configuration error of a step or of the workflow.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""


class CheckoutFailed(Exception):
    """An execution failed for another reason than a business answer. A retry may succeed."""


@consumer(OrderPlaced)
def handler(delivery: Delivery[OrderPlaced]) -> None:
    """Runs the checkout workflow. Needs no inbox, because each step may be repeated.

    Raises CheckoutFailed if the execution fails, and Misconfigured if a step or the workflow lacks
    a permission.
    """
    execution = aws.client("stepfunctions", read_timeout_s=PATIENCE_S).start_sync_execution(
        stateMachineArn=settings().state_machine_arn,
        input=msgspec.json.encode(TaskInput(detail=delivery.envelope.carried_on())).decode(),
        name=delivery.event_id,
    )
    if execution["status"] != "SUCCEEDED":
        error, cause = execution.get("error", ""), execution.get("cause", "")
        wrong = error in _MISCONFIGURED or blames_configuration(error)
        raise (Misconfigured if wrong else CheckoutFailed)(
            f"{execution['executionArn']} {execution['status']}: {error} {cause}"
        )
