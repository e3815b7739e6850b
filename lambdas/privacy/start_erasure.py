"""Start an erasure: one execution of the workflow for each request."""

import msgspec

from lambdas.eventing import aws
from lambdas.eventing.consumer import consumer
from lambdas.eventing.event import Delivery
from lambdas.eventing.task import TaskInput
from lambdas.privacy.events import ErasureRequested
from lambdas.privacy.settings import workflow_settings


@consumer(ErasureRequested)
def handler(delivery: Delivery[ErasureRequested]) -> None:
    """Needs no inbox: the request's id is the execution's name, which is unique for 90 days.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    client = aws.stepfunctions()
    try:
        client.start_execution(
            stateMachineArn=workflow_settings().state_machine_arn,
            name=delivery.event.erasure_id,
            input=msgspec.json.encode(TaskInput(detail=delivery.envelope.carried_on())).decode(),
        )
    except client.exceptions.ExecutionAlreadyExists:
        return
