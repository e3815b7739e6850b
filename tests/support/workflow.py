"""Workflows, step by step: a synthesized definition that runs the real tasks."""

import json
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from lambdas.eventing import aws
from tests.support.messages import CONTEXT

State = dict[str, Any]


class TaskError(Exception):
    """An error that Step Functions itself raises, such as `States.Timeout`."""


@dataclass
class StepFunctions:
    """Step Functions as handlers see it: executions by name, tasks that wait for an answer.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
    """

    monkeypatch: pytest.MonkeyPatch
    executions: dict[str, str] = field(default_factory=dict)
    """The input of each execution."""
    waiting: list[str] = field(default_factory=list)
    """The tokens of tasks that wait."""
    answers: dict[str, Any] = field(default_factory=dict)
    heartbeats: list[str] = field(default_factory=list)
    tokens: int = 0

    def __post_init__(self) -> None:
        for call in (self.start_execution, self.send_task_success, self.send_task_heartbeat):
            self.monkeypatch.setattr(aws.stepfunctions(), call.__name__, call)

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:  # noqa: A002, N803
        if self.executions.setdefault(name, input) != input:
            raise self._error("ExecutionAlreadyExists")

    def send_task_success(self, *, taskToken: str, output: str) -> None:  # noqa: N803
        self._end(taskToken)
        self.answers[taskToken] = json.loads(output)

    def send_task_heartbeat(self, *, taskToken: str) -> None:  # noqa: N803
        if taskToken not in self.waiting:
            raise self._error("TaskTimedOut")
        self.heartbeats.append(taskToken)

    def wait(self) -> str:
        """Returns the token of a task that begins to wait."""
        self.tokens += 1
        token = f"token-{self.tokens}"
        self.waiting.append(token)
        return token

    def give_up(self, token: str) -> None:
        """Accepts no answer for a token from now on."""
        self._end(token)

    def _end(self, token: str) -> None:
        if token not in self.waiting:
            raise self._error("TaskTimedOut")
        self.waiting.remove(token)

    def _error(self, name: str) -> Exception:
        error: type[Exception] = getattr(aws.stepfunctions().exceptions, name)
        return error({"Error": {"Code": name, "Message": name}}, "operation")


@dataclass
class Workflow:
    """A state machine of an assembly. Supports the states that the definitions of this shop use."""

    assembly: Assembly
    machine: Resource
    service: StepFunctions | None = None
    """Needed for tasks that wait."""

    def run(self, state: State) -> Generator[str, str | None, str]:
        """Runs an execution; yields the name of a task before each attempt.

        Also yields while a task waits; if the name of an error is sent in, the wait ends with it.
        Returns the name of the final state; raises an error that no state handles.
        """
        definition = self.assembly.definition(self.machine)
        states, name = definition["States"], definition["StartAt"]
        attempts: Counter[str] = Counter()
        while states[name]["Type"] != "Succeed":
            here = states[name]
            if here["Type"] == "Choice":
                name = _choose(here, state)
                continue
            yield name
            try:
                result = yield from self._perform(name, here, state)
            except Exception as error:
                what = str(error) if isinstance(error, TaskError) else type(error).__name__
                if _retried(here, what, attempts):
                    continue
                catcher = _caught(here, what)
                if catcher is None:
                    raise
                cause = json.dumps({"errorMessage": str(error), "errorType": what})
                state = _put(state, catcher["ResultPath"], {"Error": what, "Cause": cause})
                name = catcher["Next"]
            else:
                state = _put(state, here["ResultPath"], result)
                name = here["Next"]
            attempts.clear()
        return str(name)

    def _perform(self, name: str, task: State, state: State) -> Generator[str, str | None, Any]:
        handler = self._handler(task)
        if not task["Resource"].endswith(".waitForTaskToken"):
            return handler(state, CONTEXT)
        assert self.service
        token = self.service.wait()
        payload = {"detail.$": "$.detail", "token.$": "$$.Task.Token"}
        assert task["Parameters"]["Payload"] == payload
        try:
            handler({"detail": state["detail"], "token": token}, CONTEXT)
            while token not in self.service.answers:
                if error := (yield f"{name} waits"):
                    raise TaskError(error)
            return self.service.answers[token]
        finally:
            if token in self.service.waiting:
                self.service.give_up(token)

    def _handler(self, task: State) -> Any:
        function = self.assembly.at(task["Parameters"]["FunctionName"])
        module, _, attribute = function.properties["Handler"].rpartition(".")
        return getattr(import_module(module), attribute)


def _choose(choice: State, state: State) -> str:
    for rule in choice["Choices"]:
        value: Any = state
        for part in rule["Variable"].removeprefix("$.").split("."):
            value = value[part]
        if value is rule["BooleanEquals"]:
            return str(rule["Next"])
    return str(choice["Default"])


def _retried(task: State, error: str, attempts: Counter[str]) -> bool:
    for retrier in task.get("Retry", []):
        if error in retrier["ErrorEquals"] and attempts[error] < retrier["MaxAttempts"]:
            attempts[error] += 1
            return True
    return False


def _caught(task: State, error: str) -> State | None:
    """The first catcher for an error. A missed heartbeat is a timeout, too.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    names = {error, "States.Timeout"} if error == "States.HeartbeatTimeout" else {error}
    for catcher in task.get("Catch", []):
        if names & set(catcher["ErrorEquals"]):
            found: State = catcher
            return found
    return None


def _put(state: State, path: str | None, result: Any) -> State:
    return state if path is None else {**state, path.removeprefix("$."): result}
