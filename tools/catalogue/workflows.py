"""State machines: their states and transitions."""

from collections.abc import Iterator
from typing import Any

from tools.catalogue.durations import spoken
from tools.catalogue.model import Transition, WorkflowState

_COMPARISONS = {
    "BooleanEquals": "is",
    "StringEquals": "is",
    "NumericEquals": "is",
    "IsPresent": "is present:",
}


def states(definition: dict[str, Any]) -> tuple[WorkflowState, ...]:
    """Returns the states of a definition in its order, beginning with the start."""
    start = definition["StartAt"]
    ordered = sorted(definition["States"].items(), key=lambda item: item[0] != start)
    return tuple(_state(name, state) for name, state in ordered)


def transitions(definition: dict[str, Any]) -> tuple[Transition, ...]:
    """Returns the transitions of a definition."""
    return tuple(
        Transition(source=name, target=target, label=label, failure=failure)
        for name, state in definition["States"].items()
        for target, label, failure in _leaving(state)
    )


def _state(name: str, state: dict[str, Any]) -> WorkflowState:
    unknown = state["Type"] not in {"Task", "Choice", "Succeed", "Fail", "Wait", "Pass"}
    if unknown:
        raise NotImplementedError(f"state {name}: the catalogue cannot draw a {state['Type']}")
    return WorkflowState(
        name=name,
        type=state["Type"],
        function=state.get("Parameters", {}).get("FunctionName"),
        waits=str(state.get("Resource", "")).endswith(".waitForTaskToken"),
        facts=tuple(_facts(state)),
    )


def _facts(state: dict[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if "TimeoutSeconds" in state:
        yield "times out", f"after {spoken(state['TimeoutSeconds'])}", ()
    if "HeartbeatSeconds" in state:
        yield "expects a heartbeat", f"within {spoken(state['HeartbeatSeconds'])}", ()
    for retry in state.get("Retry", []):
        yield (
            "retries",
            f"up to {retry['MaxAttempts']} times, after {spoken(retry['IntervalSeconds'])}, "
            f"backoff rate {retry['BackoffRate']}, "
            f"at most {spoken(retry['MaxDelaySeconds'])}",
            tuple(retry["ErrorEquals"]),
        )
    for catch in state.get("Catch", []):
        yield "continues", f"at {catch['Next']}", tuple(catch["ErrorEquals"])


def _leaving(state: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for choice in state.get("Choices", []):
        yield choice["Next"], _condition(choice), False
    if "Default" in state:
        yield state["Default"], "otherwise", False
    if "Next" in state:
        yield state["Next"], "", False
    for catch in state.get("Catch", []):
        yield catch["Next"], ", ".join(catch["ErrorEquals"]), True


def _condition(choice: dict[str, Any]) -> str:
    variable = str(choice.get("Variable", "")).removeprefix("$.").rpartition(".")[2]
    for key, value in choice.items():
        if key in _COMPARISONS:
            return variable if value is True else f"{variable} {_COMPARISONS[key]} {value}"
    return "if"
