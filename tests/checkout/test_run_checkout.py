"""Running a checkout: the message is completed only when the execution has succeeded."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lambdas.checkout import run_checkout
from lambdas.checkout.settings import Settings
from lambdas.eventing import aws
from lambdas.eventing.event import Event
from lambdas.orders.events import OrderPlaced
from tests.support.cloud import Cloud, Queue
from tests.support.messages import CONTEXT, batch, enveloped, failed
from tests.support.orders import cancelled, placed
from tests.support.telemetry import spans

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:checkout"


class Workflow:
    """Step Functions with scripted answers; records the executions.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html
    """

    def __init__(self) -> None:
        self.executions: list[dict[str, Any]] = []
        self.answers: list[dict[str, str] | Exception] = []

    def start_sync_execution(self, **request: Any) -> dict[str, Any]:
        self.executions.append(request)
        answer = self.answers.pop(0) if self.answers else {"status": "SUCCEEDED"}
        if isinstance(answer, Exception):
            raise answer
        arn = f"{MACHINE.replace('stateMachine', 'express')}:{request['name']}"
        return {"executionArn": arn, **answer}


@pytest.fixture
def workflow(cloud: Cloud) -> Workflow:
    queue = cloud.queue("parking")
    settings = Settings(state_machine_arn=MACHINE)
    cloud.configure({**settings.as_environment(), "DEAD_LETTER_QUEUE_URL": queue.url})
    workflow = Workflow()
    client = aws.client("stepfunctions", read_timeout_s=run_checkout.PATIENCE_S)
    cloud.monkeypatch.setattr(client, "start_sync_execution", workflow.start_sync_execution)
    return workflow


def run(*events: Event) -> list[str]:
    return failed(run_checkout.handler(batch(*map(enveloped, events)), CONTEXT))


def test_it_runs_the_workflow_with_the_event_as_its_input(
    workflow: Workflow, capsys: pytest.CaptureFixture[str]
) -> None:
    envelope = enveloped(placed())
    assert failed(run_checkout.handler(batch(envelope), CONTEXT)) == []
    (execution,) = workflow.executions
    assert execution["stateMachineArn"] == MACHINE
    state = json.loads(execution["input"])
    (span,) = spans(capsys)
    carried_on = f"00-{span['trace_id']}-{span['span_id']}-01"
    assert state["detail"] == {**json.loads(envelope.to_json()), "traceparent": carried_on}


def test_the_execution_is_named_after_the_event(workflow: Workflow) -> None:
    """A name takes 80 characters.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html
    """
    envelope = enveloped(placed())
    run_checkout.handler(batch(envelope), CONTEXT)
    assert workflow.executions[0]["name"] == envelope.id
    assert len(envelope.id) <= 80


def test_a_task_can_read_the_input_of_the_workflow(workflow: Workflow) -> None:
    from lambdas.eventing.event import Delivery
    from lambdas.eventing.task import Failure, task

    seen: list[OrderPlaced] = []

    @task(OrderPlaced)
    def step(delivery: Delivery[OrderPlaced], failure: Failure | None) -> None:
        assert failure is None
        seen.append(delivery.event)

    run(placed())
    step(json.loads(workflow.executions[0]["input"]), CONTEXT)
    assert seen == [placed()]


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_the_message_of_a_failed_execution_is_delivered_again(
    workflow: Workflow, status: str
) -> None:
    workflow.answers = [{"status": status, "error": "States.Timeout", "cause": "too slow"}]
    assert run(placed()) == ["m1"]
    assert run(placed()) == []
    assert len(workflow.executions) == 2


def test_the_log_names_the_failed_execution_and_its_error(
    workflow: Workflow, caplog: pytest.LogCaptureFixture
) -> None:
    workflow.answers = [{"status": "FAILED", "error": "Contention", "cause": "9 items"}]
    run(placed())
    assert caplog.records[-1].exc_info
    error = str(caplog.records[-1].exc_info[1])
    assert error.endswith("FAILED: Contention 9 items")
    assert ":express:" in error


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="https://sync-states"),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "StartSyncExecution"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_message_of_an_execution_without_an_answer_is_delivered_again(
    workflow: Workflow, error: Exception
) -> None:
    workflow.answers = [error]
    assert run(placed()) == ["m1"]


@pytest.mark.parametrize(
    "answer",
    [
        ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "StartSyncExecution"
        ),
        {"status": "FAILED", "error": "Misconfigured", "cause": "PutItem was refused"},
        {"status": "FAILED", "error": "States.Permissions", "cause": "may not invoke"},
        {"status": "FAILED", "error": "Lambda.AccessDeniedException", "cause": "may not invoke"},
    ],
    ids=["the call", "a step", "the workflow", "an invocation"],
)
def test_a_checkout_that_lacks_a_permission_is_parked_at_once(
    workflow: Workflow, answer: Any
) -> None:
    workflow.answers = [answer]
    assert run(placed()) == []
    assert len(workflow.executions) == 1
    (queue_url,) = aws.sqs().list_queues()["QueueUrls"]
    (parked,) = Queue(queue_url).messages()
    reason = parked["MessageAttributes"]["Reason"]["StringValue"]
    assert reason.startswith("checkout.run_checkout is configured wrongly")


def test_a_failed_checkout_does_not_delay_others(workflow: Workflow) -> None:
    workflow.answers = [{"status": "SUCCEEDED"}, {"status": "FAILED"}, {"status": "SUCCEEDED"}]
    assert run(*[placed(order_id=str(number)) for number in range(3)]) == ["m2"]
    assert len(workflow.executions) == 3


def test_a_redelivered_message_runs_the_workflow_again(workflow: Workflow) -> None:
    """The steps are idempotent. An inbox here would lose a checkout that crashed half-way."""
    envelope = enveloped(placed())
    for _ in range(2):
        assert failed(run_checkout.handler(batch(envelope), CONTEXT)) == []
    assert len(workflow.executions) == 2


def test_an_event_of_another_type_is_parked_without_an_execution(workflow: Workflow) -> None:
    assert run(cancelled()) == []
    assert workflow.executions == []
    (queue_url,) = aws.sqs().list_queues()["QueueUrls"]
    assert len(Queue(queue_url).messages()) == 1
