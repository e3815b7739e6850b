"""Task tokens: tasks that wait for a callback with their outcome, or for a heartbeat.

moto 5.2.5 uses one token for all attempts of a task, so that a retry ends at once with the outcome
of the attempt before, or never. In Step Functions each attempt has its own token:
https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
"""

from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.exceptions import InvalidToken
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import (
    ResourceCondition,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackOutcome,
    CallbackOutcomeFailure,
    CallbackOutcomeSuccess,
)
from moto.stepfunctions.responses import StepFunctionResponse

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.texts import is_json


class TaskTimedOut(AWSError):
    """The task that a token stands for is over."""

    TYPE = "TaskTimedOut"


class InvalidOutput(AWSError):
    """A task's output that is no JSON, or too large."""

    TYPE = "InvalidOutput"


class TaskTokens:
    """The tasks that wait for a callback, each attempt with its own token.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
    """

    def __init__(self) -> None:
        # By token: the attempt's frame of moto's interpreter, and where its outcome is left.
        self._tasks: dict[str, tuple[Any, Any]] = {}

    def patch(self, patches: Patches) -> None:
        """Lets moto's tasks and its API use these tokens."""
        execute = StateTaskServiceCallback._eval_execution

        def eval_execution(state: StateTaskServiceCallback, env: Any) -> None:
            if state.resource.condition == ResourceCondition.WaitForTaskToken:
                self._issue(env)
            execute(state, env=env)

        patches.set(StateTaskServiceCallback, "_eval_execution", eval_execution)
        self._patch_api(patches)

    def _patch_api(self, patches: Patches) -> None:
        def send_task_success(response: StepFunctionResponse) -> ActionResult:
            token, output = response._get_param("taskToken"), response._get_param("output")
            self._endpoint(token)
            if len(output.encode()) > LIMITS["stepfunctions.data_bytes"] or not is_json(output):
                raise InvalidOutput("Invalid Output: 'the output is no JSON, or too large'")
            return self._settle(CallbackOutcomeSuccess(token, output))

        def send_task_failure(response: StepFunctionResponse) -> ActionResult:
            token, error = response._get_param("taskToken"), response._get_param("error")
            cause = response._get_param("cause")
            return self._settle(CallbackOutcomeFailure(token, error or "", cause or ""))

        def send_task_heartbeat(response: StepFunctionResponse) -> ActionResult:
            self._endpoint(response._get_param("taskToken")).notify_heartbeat()
            return EmptyResult()

        patches.set(StepFunctionResponse, "send_task_success", send_task_success)
        patches.set(StepFunctionResponse, "send_task_failure", send_task_failure)
        patches.set(StepFunctionResponse, "send_task_heartbeat", send_task_heartbeat)

    def _issue(self, env: Any) -> None:
        context = env.states.context_object
        token = context.context_object_data["Task"]["Token"]
        if token in self._tasks:
            # A retry.
            token = context.update_task_token()
            env.callback_pool_manager.add(token)
        self._tasks[token] = (env, env.callback_pool_manager.get(token))

    def state_machine(self, token: str) -> str:
        """Returns the ARN of the state machine of a task; `*` if there is no such task."""
        if token not in self._tasks:
            return "*"
        env, _ = self._tasks[token]
        return str(env.states.context_object.context_object_data["StateMachine"]["Id"])

    def _endpoint(self, token: str) -> Any:
        """Returns where the outcome of an open task is left."""
        if token not in self._tasks:
            raise InvalidToken("'Invalid token'")
        env, endpoint = self._tasks[token]
        if endpoint._notify_event.is_set() or not env.is_running():
            raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")
        return endpoint

    def _settle(self, outcome: CallbackOutcome) -> ActionResult:
        self._endpoint(outcome.callback_id).notify(outcome)
        return EmptyResult()
