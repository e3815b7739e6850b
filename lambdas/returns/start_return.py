"""Start a return: one execution of the workflow for each return."""

import msgspec

from lambdas.eventing import aws
from lambdas.eventing.consumer import consumer
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import TaskInput
from lambdas.returns.events import ReturnRequested
from lambdas.returns.settings import workflow_settings


@consumer(ReturnRequested)
def handler(delivery: Delivery[ReturnRequested]) -> None:
    """Needs no inbox: the order's id is the execution's name, which is unique for 90 days.

    After that, a second execution finds the decision in the table, and does nothing.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    client = aws.stepfunctions()
    try:
        client.start_execution(
            stateMachineArn=workflow_settings().state_machine_arn,
            name=delivery.event.order_id,
            input=msgspec.json.encode(TaskInput(detail=delivery.envelope.carried_on())).decode(),
        )
    except client.exceptions.ExecutionAlreadyExists:
        return
