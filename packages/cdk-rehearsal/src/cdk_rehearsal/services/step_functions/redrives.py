"""Redrives: executions of Standard workflows that continue where they failed.

https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.fail.state_fail import StateFail
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded
from moto.stepfunctions.responses import StepFunctionResponse

from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.step_functions.executions import Executions, redrivable
from cdk_rehearsal.services.texts import iso_milliseconds

Place = tuple[tuple[str, int], ...]
"""A branch or iteration: the state that contains it and its index, from the outermost on."""
# After it, the execution runs all of the failed state again, according to the page above.
_TOO_MUCH_DATA = "States.DataLimitExceeded"


@dataclass
class _Progress:
    """The state that a program has entered last with its input, or its output at the end."""

    state: str = ""
    data: Any = None
    ended: bool = False


@dataclass
class _Memory:
    """How far an execution has come, for its next redrive."""

    present: dict[Place, _Progress] = field(default_factory=dict)
    previous: dict[Place, _Progress] = field(default_factory=dict)
    """What was reached before the redrive; each entry is used once."""

    def begin(self, place: Place, *, anew: bool) -> None:
        """Forgets the branches and iterations in a state, those of the past only if ``anew``."""
        for known in (self.present, self.previous) if anew else (self.present,):
            for inner in [each for each in known if each[: len(place)] == place != each]:
                del known[inner]


class _NotRedrivable(AWSError):
    TYPE = "ExecutionNotRedrivable"


class Redrives:
    """Answers RedriveExecution, which moto does not have."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    def patch(self, patches: Patches) -> None:
        """Remembers the progress of Standard executions."""

        def redrive_execution(response: StepFunctionResponse) -> ActionResult:
            arn = response._get_param("executionArn")
            execution = response.stepfunction_backend.describe_execution(arn)
            date = self._redrive(execution, response._get_param("clientToken"))
            return ActionResult({"redriveDate": date})

        patches.set(StepFunctionResponse, "redrive_execution", redrive_execution)
        patches.set(Program, "eval", _remembering(Program.eval))
        patches.set(CommonStateField, "_eval_body", _entering(CommonStateField._eval_body))
        as_frame = Environment.as_inner_frame_of

        def as_inner_frame_of(cls: Any, env: Any, *args: Any, **options: Any) -> Any:
            frame: Any = as_frame(env, *args, **options)
            frame.outer = env
            frame.index = env.frames_opened = vars(env).get("frames_opened", -1) + 1
            if "place" in vars(env):
                # An attempt of a state; all but a redriven one run all branches and iterations.
                frame.redriven_state = vars(env).pop("redriven", False)
                _memory(env).begin(env.place, anew=not frame.redriven_state)
            return frame

        patches.set(Environment, "as_inner_frame_of", classmethod(as_inner_frame_of))

    def _redrive(self, execution: Any, token: str) -> datetime:
        redrives: dict[str, datetime] = vars(execution).setdefault("redrives", {})
        if token in redrives:
            return redrives[token]
        _, reason = redrivable(execution)
        if reason is not None:
            raise _NotRedrivable(reason)
        date = redrives[token] = datetime.now(UTC)
        env = execution.exec_worker.env
        memory = _memory(env)
        again = execution.error == _TOO_MUCH_DATA
        memory.previous = {} if again else {**memory.previous, **memory.present}
        top = memory.present[()]
        # An environment is used again because it has the history and the variables.
        env._program_state = None
        for left in (env._frames, env.stack, env.heap):
            left.clear()
        env.resumes_at = top.state
        env.resumed = True
        env.states.reset(top.data)
        context = env.states.context_object.context_object_data["Execution"]
        context["RedriveCount"] = len(redrives)
        context["RedriveTime"] = iso_milliseconds(date.timestamp())
        execution.exec_status = type(execution.exec_status).RUNNING
        execution.stop_date = execution.error = execution.cause = None
        self._executions.redrive(execution, lambda: _resume(execution, len(redrives)))
        return date


def _resume(execution: Any, count: int) -> None:
    worker = execution.exec_worker
    details: Any = {"executionRedrivenEventDetails": {"redriveCount": count}}
    worker.env.event_manager.add_event(
        context=worker.env.event_history_context,
        event_type=HistoryEventType.ExecutionRedriven,
        event_details=details,
    )
    worker._get_evaluation_entrypoint().eval(worker.env)
    worker._execution_communication.terminated()


def _remembering(original: Callable[..., None]) -> Callable[..., None]:
    """Lets a branch or iteration continue where it was, or keep its output if it had ended."""

    def evaluate(program: Program, env: Any) -> None:
        if not env.is_standard_workflow():
            original(program, env)
            return
        env.place = _place(env) if env.is_frame() else ()
        memory = _memory(env)
        before = memory.previous.pop(env.place, None) if env.is_frame() else None
        if before is not None and not before.ended and vars(env).get("starts_anew"):
            memory.begin(env.place, anew=True)
        elif before is not None:
            env.states.reset(before.data)
            if before.ended:
                env._program_state = ProgramEnded()
                memory.present[env.place] = before
                return
            env.resumes_at = before.state
            env.resumed = True
        original(program, env)
        if isinstance(env.program_state(), ProgramEnded):
            output = env.states.get_input()
            memory.present[env.place] = _Progress(data=output, ended=True)

    return evaluate


def _entering(original: Callable[..., None]) -> Callable[..., None]:
    """Remembers the state that a program enters; one that is resumed has been entered before."""

    def enter(state: CommonStateField, env: Any) -> None:
        if not env.is_standard_workflow():
            original(state, env)
            return
        memory = _memory(env)
        memory.present[env.place] = _Progress(state.name, env.states.get_input())
        resumed = env.redriven = vars(env).pop("resumed", False)
        if resumed and not isinstance(state, StateFail):
            _skip_one(env.event_manager)
        original(state, env)

    return enter


def _skip_one(manager: Any) -> None:
    """Drops the next event, which says that a state was entered."""

    def add_event(*_: Any, **__: Any) -> int:
        del manager.add_event
        return 0

    manager.add_event = add_event


def _place(env: Any) -> Place:
    outer = env.outer
    while not hasattr(outer, "place"):
        outer = outer.outer
    context = env.states.context_object.context_object_data
    index = context["Map"]["Item"]["Index"] if "Map" in context else env.index
    state = outer.states.context_object.context_object_data["State"]["Name"]
    place: Place = outer.place
    return (*place, (state, index))


def _memory(env: Any) -> _Memory:
    while env.is_frame():
        env = env.outer
    memory: _Memory = vars(env).setdefault("memory", _Memory())
    return memory
