"""Step Functions: moto's interpreter on the rehearsal's clock, calling the rehearsal's functions.

moto interprets the Amazon States Language, but in threads that sleep for real, with a new client
for every task, and without Express workflows. This module puts it on the scheduler and adds what
is missing.
"""

import copy
import json
import marshal
import random
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import moto.backend_index
import moto.stepfunctions.parser.utils as parser_utils
import moto.stepfunctions.urls as stepfunctions_urls
from botocore.exceptions import ClientError
from moto.core.config import default_user_config
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.api import InvalidDefinition as ParserInvalidDefinition
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state import state
from moto.stepfunctions.parser.asl.component.state.exec.state_task import (
    lambda_eval_utils,
    state_task_lambda,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service,
)
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.models import (
    StepFunctionsParserBackend,
    stepfunctions_parser_backends,
)
from moto.stepfunctions.responses import StepFunctionResponse

from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.mixing import Mixing
from cdk_rehearsal.moto_patches.defects import step_functions as defects
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.functions import PayloadTooLarge, Throttled
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.step_functions.callbacks import TaskTokens
from cdk_rehearsal.services.step_functions.definition import InvalidDefinition, check_definition
from cdk_rehearsal.services.step_functions.distributed import DistributedMaps
from cdk_rehearsal.services.step_functions.executions import (
    Definition,
    ExecutionEvent,
    Executions,
    described,
)
from cdk_rehearsal.services.step_functions.expressions import Expressions
from cdk_rehearsal.services.step_functions.integrations import Integrations, sdk_metadata
from cdk_rehearsal.services.step_functions.redrives import Redrives
from cdk_rehearsal.virtual_time.processes import Process, Signal
from cdk_rehearsal.virtual_time.scheduler import Scheduler

_REPLACED: dict[str, object] = {
    "threading": threading,
    "Thread": threading.Thread,
    "Event": threading.Event,
    "Lock": threading.Lock,
    "time": time,
    "copy": copy,
    "random": random,
    "boto_client_for": boto_client.boto_client_for,
    "TMP_THREADS": parser_utils.TMP_THREADS,
}
"""What a rehearsal replaces in the interpreter, by the names that it has there."""
_SYNC_URL = r"https?://sync-states\.(.+)\.amazonaws.com"


@cache
def _uses() -> list[tuple[ModuleType, str]]:
    """Returns where the interpreter's modules have these; searched once, before any is replaced."""
    return [
        (module, name)
        for path, module in sys.modules.items()
        if path.startswith(_PARSER)
        for name, original in _REPLACED.items()
        if getattr(module, name, None) is original
    ]


class StateMachines:
    """All state machines; moto keeps their definitions and the executions' histories."""

    def __init__(
        self, core: Core, lambdas: LambdaService, report: Callable[[ExecutionEvent], None]
    ) -> None:
        """``report`` is called with everything that an execution does."""
        self._core = core
        self._scheduler = core.scheduler
        self._lambdas = lambdas
        self._report = report
        self._executions = Executions(core, report)
        self._integrations = Integrations(self._client)

    def name_release(self, name: str) -> None:
        """Gives all definitions the name of a release."""
        self._executions.release = name

    def update(self, arn: str, definition: str, release: str, mixing: Mixing) -> None:
        """Changes the definition of a state machine; executions have either one for a while."""
        client = self._core.client("stepfunctions")
        former = client.describe_state_machine(stateMachineArn=arn)["definition"]
        client.update_state_machine(stateMachineArn=arn, definition=definition)
        self._executions.update(arn, former, Definition(definition, release), mixing)

    def remove_version(self, arn: str) -> None:
        """Deletes a version. moto 5.2 lacks DeleteStateMachineVersion."""
        machine, _, version = arn.rpartition(":")
        backend = stepfunctions_parser_backends[self._core.account][self._core.region]
        del backend.describe_state_machine(machine).versions[int(version)]

    def install(self, patches: Patches) -> None:
        """Runs moto's state machines on the scheduler."""
        config = {**default_user_config.get("stepfunctions", {}), "execute_state_machine": True}
        patches.item(cast("Any", default_user_config), "stepfunctions", config)
        defects.patch(patches)
        self._patch_threads(patches)
        self._patch_interpreter(patches)
        self._patch_lambda(patches)
        self._patch_api(patches)
        tokens = TaskTokens()
        tokens.patch(patches)
        self._core.access.machine_of_task = tokens.state_machine
        self._integrations.patch(patches)
        expressions = Expressions(self._core.new_id, self._scheduler.random)
        expressions.patch(patches)
        DistributedMaps(self._core, expressions.in_state).patch(patches)
        Redrives(self._executions).patch(patches)

    # -- time and threads -----------------------------------------------------------------

    def _patch_threads(self, patches: Patches) -> None:
        """Replaces threads, events, locks, sleep and chance wherever the interpreter uses them."""
        scheduler = self._scheduler
        thread = type("Thread", (_Thread,), {"scheduler": scheduler})

        def event() -> Signal:
            return Signal(scheduler)

        def client_for(region: str, service: str, state_credentials: Any = None) -> Any:
            role = state_credentials.role_arn if state_credentials else ""
            return self._integrations.client(service, role)

        def generator(seed: Any = None) -> random.Random:
            return scheduler.random if seed is None else random.Random(seed)

        substitutes: dict[str, object] = {
            "threading": SimpleNamespace(Thread=thread, Event=event, Lock=_NoLock, RLock=_NoLock),
            "Thread": thread,
            "Event": event,
            "Lock": _NoLock,
            "time": SimpleNamespace(time=time.time, sleep=scheduler.sleep),
            "copy": SimpleNamespace(copy=copy.copy, deepcopy=_copied),
            "random": SimpleNamespace(uniform=scheduler.random.uniform, Random=generator),
            "boto_client_for": client_for,
            # moto keeps every thread that it ever made in a list.
            "TMP_THREADS": _Nothing(),
        }
        for module, name in _uses():
            patches.set(module, name, substitutes[name])
        patches.set(parser_utils, "uuid4", lambda: uuid.UUID(self._core.new_id()))

    def _client(self, service: str, role: str = "") -> Any:
        """Returns a client that acts in the role of a state machine or of one task."""
        principal = self._core.access.session(role, "states") if role else None
        return self._core.client(service, principal)

    # -- the interpreter ------------------------------------------------------------------

    def _patch_interpreter(self, patches: Patches) -> None:
        interpreter = self
        entered = CommonStateField._eval_body
        stop = Environment.set_stop

        def run_program(program: Program, env: Any) -> None:
            interpreter._run_program(program, env)

        def enter_state(state: CommonStateField, env: Any) -> None:
            interpreter._enter(state, env)
            entered(state, env)

        def set_stop(env: Environment, *args: Any, **kwargs: Any) -> None:
            stop(env, *args, **kwargs)
            if (over := vars(env).get("over")) is not None:
                over.set()

        def wait(function: WaitFunction, env: Any, wait_seconds: float) -> None:
            interpreter._wait(env, wait_seconds)

        patches.set(Environment, "set_stop", set_stop)
        for module in (state, state_task_lambda, state_task_service):
            patches.set(module, "is_within_size_quota", _fits)
        patches.set(Program, "eval", run_program)
        patches.set(CommonStateField, "_eval_body", enter_state)
        patches.set(WaitFunction, "_wait_interval", wait)
        # Express workflows have no history that one could ask for.
        for name in ("_get_state_entered_event_details", "_get_state_exited_event_details"):
            patches.set(CommonStateField, name, _for_history(getattr(CommonStateField, name)))
        # An execution reports its failure; moto also logs it, with the whole definition.
        for name in ("_log_failure_event_exception", "_log_exception"):
            patches.set(EvalComponent, name, lambda *_, **__: None)
        # A path costs a millisecond to parse, each time that a state is entered.
        for module in (json_path, result_path):
            patches.set(module, "parse", cache(module.parse))

    def _run_program(self, program: Program, env: Any) -> None:
        timeout = program.timeout_seconds.timeout_seconds if program.timeout_seconds else None
        if not env.is_frame():
            kind = "standard_s" if env.is_standard_workflow() else "express_s"
            longest = LIMITS[f"stepfunctions.{kind}"]
            timeout = min(timeout or longest, longest)
        env.next_state_name = vars(env).pop("resumes_at", program.start_at.start_at_name)
        if env.is_frame() and timeout is None:
            EvalComponent.eval(program, env)
            return
        over = env.over = Signal(self._scheduler)
        process = self._scheduler.spawn(
            self._evaluate, program, env, over, name="state machine", daemon=True
        )
        if not over.wait(timeout):
            env.set_timed_out()
        if not process.done:
            # A Wait state notices by itself that it is to stop, a task does not.
            self._scheduler.sleep(0)
        if process.done:
            process.result()
            return
        process.kill()
        stopped = isinstance(env.program_state(), ProgramStopped)
        env.event_manager.add_event(
            context=env.event_history_context,
            event_type=HistoryEventType.ExecutionAborted
            if stopped
            else HistoryEventType.ExecutionTimedOut,
        )

    def _evaluate(self, program: Program, env: Any, over: Signal) -> None:
        try:
            EvalComponent.eval(program, env)
        finally:
            over.set()

    def _wait(self, env: Any, seconds: float) -> None:
        """Waits, in virtual time exactly as long as asked for, or until the execution ends."""
        process = self._scheduler.current
        if seconds <= 0 or process is None:
            return
        # A Wait state ends by itself, so that it is work.
        process.daemon = False
        try:
            env.program_state_event.wait(seconds)
        finally:
            process.daemon = True

    def _enter(self, state: CommonStateField, env: Any) -> None:
        if env.is_standard_workflow():
            _check_history(env)
        context = env.states.context_object.context_object_data
        started = datetime.fromisoformat(context["Execution"]["StartTime"])
        now = self._scheduler.now()
        self._report(
            ExecutionEvent(
                "entered",
                now,
                context["StateMachine"]["Id"],
                context["Execution"]["Id"],
                env.execution_type,
                now - started.timestamp(),
                state=state.name,
            )
        )

    # -- Lambda tasks ---------------------------------------------------------------------

    def _patch_lambda(self, patches: Patches) -> None:
        patches.set(lambda_eval_utils, "execute_lambda_function_integration", self._invoke)

    def _invoke(
        self, env: Any, parameters: dict[str, Any], region: str, state_credentials: Any
    ) -> None:
        """Invokes a function for a task, with the errors that the Invoke API answers.

        https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
        """
        lambdas = self._lambdas
        name = ":".join(filter(None, (parameters["FunctionName"], parameters.get("Qualifier"))))
        function = lambdas.functions.get(name)
        if function is None:
            raise _client_error("ResourceNotFoundException", 404, f"Function not found: {name}")
        access = self._core.access
        try:
            principal = access.session(state_credentials.role_arn, "states")
            access.authorize(principal, "lambda:InvokeFunction", function.arn)
        except Denied as denied:
            raise _client_error("AccessDeniedException", 403, str(denied)) from None
        context = env.states.context_object.context_object_data
        payload = parameters.get("Payload") or b"{}"
        try:
            result = lambdas.invoke(
                function,
                payload.decode(),
                source=self._core.path_of(context["StateMachine"]["Id"]),
                execution=context["Execution"]["Id"],
            )
        except Throttled as error:
            raise _client_error("TooManyRequestsException", 429, str(error)) from None
        except PayloadTooLarge as error:
            raise _client_error("RequestTooLargeException", 413, str(error)) from None
        if result.function_error:
            raise lambda_eval_utils.LambdaFunctionErrorException(
                result.function_error, json.dumps(result.payload, separators=(",", ":"))
            )
        env.stack.append(
            {
                "ExecutedVersion": "$LATEST",
                "Payload": result.payload,
                **sdk_metadata(
                    {
                        "HTTPHeaders": {
                            "Content-Type": "application/json",
                            "X-Amz-Executed-Version": "$LATEST",
                            "x-amzn-RequestId": result.request_id,
                        },
                        "HTTPStatusCode": 200,
                        "RequestId": result.request_id,
                    }
                ),
                "StatusCode": 200,
            }
        )

    # -- the API --------------------------------------------------------------------------

    def _patch_api(self, patches: Patches) -> None:
        executions = self._executions
        create = StepFunctionsParserBackend.create_state_machine
        update = StepFunctionsParserBackend.update_state_machine

        def create_state_machine(backend: Any, *args: Any, **kwargs: Any) -> Any:
            check_definition(kwargs["definition"], kwargs.get("sm_type") or "STANDARD")
            try:
                return create(backend, *args, **kwargs)
            except ParserInvalidDefinition as error:
                raise InvalidDefinition(str(error)) from None

        def update_state_machine(backend: Any, arn: str, *args: Any, **kwargs: Any) -> Any:
            definition = args[0] if args else kwargs.get("definition")
            if definition is not None:
                check_definition(definition, backend.describe_state_machine(arn).type)
            machine = update(backend, arn, *args, **kwargs)
            if kwargs.get("publish") and machine.latest_version is not None:
                executions.published(machine.latest_version.arn, machine.arn)
            return machine

        def start_execution(
            backend: Any,
            state_machine_arn: str,
            name: str | None = None,
            execution_input: str | None = None,
            trace_header: str | None = None,
        ) -> Any:
            return executions.start(backend, state_machine_arn, name, execution_input, trace_header)

        def start_sync_execution(response: StepFunctionResponse) -> ActionResult:
            return ActionResult(
                executions.start_sync(
                    response.stepfunction_backend,
                    response._get_param("stateMachineArn"),
                    response._get_param("name"),
                    response._get_param("input"),
                    response._get_param("traceHeader"),
                )
            )

        def describe_execution(response: StepFunctionResponse) -> ActionResult:
            arn = response._get_param("executionArn")
            return ActionResult(described(response.stepfunction_backend.describe_execution(arn)))

        patches.set(StepFunctionsParserBackend, "create_state_machine", create_state_machine)
        patches.set(StepFunctionsParserBackend, "update_state_machine", update_state_machine)
        patches.set(StepFunctionsParserBackend, "start_execution", start_execution)
        patches.set(StepFunctionResponse, "start_sync_execution", start_sync_execution)
        patches.set(StepFunctionResponse, "describe_execution", describe_execution)
        # botocore puts "sync-" before the host name of this one operation.
        patches.append(stepfunctions_urls.url_bases, _SYNC_URL)
        patches.append(
            moto.backend_index.backend_url_patterns, ("stepfunctions", re.compile(_SYNC_URL))
        )


_PARSER = "moto.stepfunctions.parser"


class _Thread:
    """A process with the interface of threading.Thread, as far as moto uses it.

    As a daemon it is not at work while it waits, for a task token or for its own kind.
    """

    scheduler: Scheduler
    native_id = 0

    def __init__(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        name: str | None = None,
        daemon: bool | None = None,
    ) -> None:
        self._target = target
        self._args = args
        self._name = name
        self._process: Process | None = None

    def start(self) -> None:
        self._process = self.scheduler.spawn(
            self._target, *self._args, name=self._name, daemon=True
        )

    def join(self, timeout: float | None = None) -> None:
        if self._process is not None:
            self._process.join(timeout)

    def is_alive(self) -> bool:
        return self._process is not None and not self._process.done


class _NoLock:
    """A lock is not needed where exactly one process runs, and gives way only when it waits."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


class _Nothing(list[Any]):
    """A list that keeps nothing."""

    def append(self, item: Any) -> None:
        return None


def _fits(value: Any) -> bool:
    """Whether a result is within the limit: of what Lambda answers, only the payload counts."""
    if isinstance(value, dict) and value.keys() >= {"ExecutedVersion", "Payload"}:
        value = value["Payload"]
    text = to_json_str(value, separators=(",", ":"))
    return len(text.encode()) <= LIMITS["stepfunctions.data_bytes"]


def _check_history(env: Any) -> None:
    """Fails an execution whose history has no room for another state.

    https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html
    """
    most = LIMITS["stepfunctions.history_events"]
    if len(env.event_manager._history_event_list) < most - 1:
        return
    error = StatesErrorNameType.StatesRuntime
    cause = f"The execution reached the maximum number of history events ({most})."
    details: Any = {"executionFailedEventDetails": {"error": error.to_name(), "cause": cause}}
    raise FailureEventException(
        FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=error),
            event_type=HistoryEventType.ExecutionFailed,
            event_details=details,
        )
    )


def _for_history(original: Callable[..., Any]) -> Callable[..., Any]:
    def details(state: CommonStateField, env: Any) -> Any:
        return original(state, env=env) if env.is_standard_workflow() else {"name": state.name}

    return details


def _copied(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """A deep copy; moto makes dozens for each state, nearly all of them of JSON documents."""
    try:
        return marshal.loads(marshal.dumps(value))  # noqa: S302, no foreign bytes
    except ValueError:
        return copy.deepcopy(value, memo)


def _client_error(code: str, status: int, message: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
                "HostId": "",
            },
        },
        "Invoke",
    )
