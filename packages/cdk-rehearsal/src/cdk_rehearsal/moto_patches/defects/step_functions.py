"""Defects of the Step Functions interpreter in moto 5.2.5.

**A path through an element of an array gives a list.** The path is definite, so that it selects
one value: https://states-language.net/spec.html#path

    # {"Type": "Pass", "Parameters": {"sku.$": "$.lines[0].sku"}} with the input
    # {"lines": [{"sku": "A"}]} gives {"sku": ["A"]} instead of {"sku": "A"}.

**States.ALL matches errors that cannot be caught, and States.TaskFailed too few.** States.ALL does
not match States.DataLimitExceeded and States.Runtime; States.TaskFailed matches any error except a
timeout; States.Timeout matches States.HeartbeatTimeout:
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html

    declaration = ErrorEqualsDecl([StatesErrorName(StatesErrorNameType.StatesALL)])
    environment.stack.append(StatesErrorName(StatesErrorNameType.StatesRuntime))
    declaration._eval_body(environment)  # Pushes True.

**An error of the States language in a Parallel or Map state fails the execution**, whatever the
state catches, since moto raises ValueError for its name. The catcher takes it (same page).

    # A Parallel state that catches States.Timeout, with a task in a branch that times out: the
    # execution fails with "Custom Error Names MUST NOT begin with the prefix 'States.'".

**A Wait state compares its Timestamp with local time**, in whole seconds. It is in UTC:
https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html

    # With TZ=CET-1 {"Type": "Wait", "Timestamp": "2026-01-05T08:00:00Z"} ends at 07:00 UTC.

**A task with HeartbeatSeconds and no TimeoutSeconds times out after 60 seconds.** The default of
TimeoutSeconds is 99999999: https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html

    # {"Type": "Task", "Resource": "….waitForTaskToken", "HeartbeatSeconds": 50}, with a heartbeat
    # every 30 seconds, fails after 60.

**A missed heartbeat is States.Timeout.** It is States.HeartbeatTimeout (first page on errors).

**A task waits for a heartbeat although its outcome arrived while it was started**, and times out.
SendTaskSuccess ends the task at any time:
https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token

    # A function that calls SendTaskSuccess itself, behind "lambda:invoke.waitForTaskToken" with
    # HeartbeatSeconds: the state ends with a timeout instead of success.

**A Lambda task that the Invoke API refuses fails with the error Exception.** The error is the
service's, such as Lambda.TooManyRequestsException:
https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception

    # "Resource": "arn:aws:lambda:…:function:missing" fails with "Exception" instead of
    # "Lambda.ResourceNotFoundException".

**Escapes stay in the texts that Assign gives to variables.** They are JSON:

    # {"Assign": {"text": "a \\"b\\""}} keeps the backslashes.

**A Lambda task whose role may not invoke the function fails with the error
Lambda.AccessDeniedException.** It is Lambda.AWSLambdaException; the code is in the cause:
https://github.com/awslabs/aws-deployment-framework/issues/460
"""

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from types import ModuleType
from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import (
    ErrorEqualsDecl,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import (
    iteration_worker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_lambda,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import (
    StateTaskLambda,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.eval.callback.callback import HeartbeatTimeoutError
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.asl.utils import json_path

from cdk_rehearsal.sandbox.patching import Patches

_extract_json = json_path.extract_json
# Deep scans, wildcards, slices, unions and filters select any number of values.
_INDEFINITE = re.compile(r"\.\.|\.\*|\[[^\]'\"]*[*?:,]")


def patch(patches: Patches) -> None:
    """Fixes the defects."""
    for module in _importers():
        patches.set(module, "extract_json", _extract)
    patches.set(ErrorEqualsDecl, "_eval_body", _matches_error)
    for module in (branches_decl, iteration_worker):
        patches.set(module, "CustomErrorName", _error_name)
    patches.set(Timestamp, "_get_wait_seconds", _seconds_until)
    visit = "visitAssign_template_value_terminal_string_literal"
    patches.set(Preprocessor, visit, _unescaped(getattr(Preprocessor, visit)))
    for owner, name, replacement in (
        (ExecutionState, "from_state_props", _without_default),
        (StateTaskServiceCallback, "_from_error", _callback_error),
        (StateTaskServiceCallback, "_wait_for_task_token_heartbeat", _wait_for_heartbeat),
        (StateTaskLambda, "_from_error", _lambda_error),
    ):
        patches.set(owner, name, replacement(getattr(owner, name)))
    lambda_task = state_task_service_lambda.StateTaskServiceLambda
    named = _with_general_name(lambda_task._error_cause_from_client_error)
    patches.set(lambda_task, "_error_cause_from_client_error", staticmethod(named))


@cache
def _importers() -> list[ModuleType]:
    return [
        module
        for path, module in sys.modules.items()
        if path.startswith("moto.stepfunctions.parser")
        and getattr(module, "extract_json", None) is _extract_json
    ]


def _extract(path: str, data: Any) -> Any:
    if _INDEFINITE.search(path):
        return _extract_json(path, data)
    matches = vars(json_path)["parse"](path).find(data)
    if not matches:
        raise json_path.NoSuchJsonPathError(json_path=path, data=data)
    return matches[0].value


def _matches_error(declaration: ErrorEqualsDecl, env: Any) -> None:
    error = env.stack.pop().error_name
    names = {name.error_name for name in declaration.error_names}
    terminal = {"States.DataLimitExceeded", "States.Runtime"}
    timeouts = {"States.Timeout", "States.HeartbeatTimeout"}
    env.stack.append(
        error in names
        or ("States.ALL" in names and error not in terminal)
        or ("States.Timeout" in names and error in timeouts)
        or ("States.TaskFailed" in names and error not in terminal | timeouts)
    )


def _unescaped(original: Callable[..., Any]) -> Callable[..., Any]:
    def visit(preprocessor: Preprocessor, ctx: Any) -> Any:
        literal = original(preprocessor, ctx)
        literal.value = json.loads(f'"{literal.value}"')
        return literal

    return visit


def _error_name(error_name: str | None) -> Any:
    if error_name is not None and error_name.startswith("States."):
        return StatesErrorName.from_name(error_name)
    return CustomErrorName(error_name)


def _seconds_until(function: Timestamp, env: Any) -> float:
    function.string.eval(env=env)
    text = env.stack.pop()
    moment = function._from_timestamp_string(timestamp=text)
    if moment is None:
        raise FailureEventException(function._create_failure_event(env, text))
    return float((moment.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())


def _without_default(original: Callable[..., None]) -> Callable[..., None]:
    def from_state_props(state: Any, state_props: Any) -> None:
        original(state, state_props=state_props)
        if isinstance(state.timeout, TimeoutSeconds) and state.timeout.is_default:
            state.timeout = TimeoutSeconds(TimeoutSeconds.DEFAULT_TIMEOUT_SECONDS)

    return from_state_props


def _callback_error(original: Callable[..., Any]) -> Callable[..., Any]:
    def from_error(state: Any, env: Any, ex: Exception) -> Any:
        event = original(state, env=env, ex=ex)
        if isinstance(ex, HeartbeatTimeoutError):
            event.error_name = StatesErrorName(StatesErrorNameType.StatesHeartbeatTimeout)
        return event

    return from_error


def _wait_for_heartbeat(original: Callable[..., Any]) -> Callable[..., Any]:
    def wait(state: Any, env: Any, callback: Any, heartbeat: Any) -> Any:
        return callback.get_outcome() or original(state, env, callback, heartbeat)

    return wait


def _with_general_name(original: Callable[..., Any]) -> Callable[..., Any]:
    def error_and_cause(client_error: ClientError) -> tuple[str, str]:
        error, cause = original(client_error)
        denied = error == "Lambda.AccessDeniedException"
        return "Lambda.AWSLambdaException" if denied else error, cause

    return error_and_cause


def _lambda_error(original: Callable[..., Any]) -> Callable[..., Any]:
    def from_error(state: Any, env: Any, ex: Exception) -> Any:
        event: Any = original(state, env=env, ex=ex)
        if isinstance(ex, ClientError):
            service = state_task_service_lambda.StateTaskServiceLambda
            error, cause = service._error_cause_from_client_error(ex)
            event.error_name = CustomErrorName(error)
            event.event_details["lambdaFunctionFailedEventDetails"].update(error=error, cause=cause)
        return event

    return from_error
