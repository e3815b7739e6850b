"""Checks a definition in the Amazon States Language as Step Functions does before it takes one."""

import json
from collections.abc import Iterator
from typing import Any

from moto.core.exceptions import AWSError

from cdk_rehearsal.services.step_functions.distributed import map_problems
from cdk_rehearsal.services.step_functions.expressions import parsed
from cdk_rehearsal.services.step_functions.integrations import unsupported

# States that end a path by themselves, or choose the next one: they have no Next and no End.
_WITHOUT_NEXT = frozenset({"Choice", "Succeed", "Fail"})
# Fields with states of their own.
_WITH_STATES = frozenset({"Branches", "ItemProcessor", "Iterator"})


class InvalidDefinition(AWSError):
    """A definition that CreateStateMachine refuses."""

    TYPE = "InvalidDefinition"


def check_definition(definition: str, workflow_type: str) -> None:
    """Raises InvalidDefinition, naming the state, for what Step Functions would refuse.

    Rules: https://states-language.net/spec.html and, for the ``workflow_type`` EXPRESS,
    https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html.
    Service integrations that the rehearsal does not have are refused, too, by their names.
    """
    try:
        machine = json.loads(definition)
    except ValueError as error:
        raise InvalidDefinition(f"Invalid State Machine Definition: not JSON: {error}") from None
    problems = list(_problems(machine, "/", workflow_type == "EXPRESS", "JSONPath"))
    if problems:
        raise InvalidDefinition(f"Invalid State Machine Definition: '{'; '.join(problems)}'")


def _problems(machine: Any, where: str, express: bool, language: str) -> Iterator[str]:
    states = machine.get("States") if isinstance(machine, dict) else None
    if not isinstance(states, dict) or not states:
        yield f"no States at {where}"
        return
    language = machine.get("QueryLanguage", language)
    reached = set[str]()
    todo = [(machine.get("StartAt"), f"StartAt at {where}")]
    while todo:
        name, origin = todo.pop()
        if name not in states:
            yield f"{origin} names {name!r}, which is no state"
        elif name not in reached:
            reached.add(name)
            todo += _transitions(states[name], f"{where}{name}")
    for name, state in states.items():
        here = f"{where}{name}"
        if name not in reached:
            yield f"state {here} is not reachable"
        yield from _state_problems(state, here, express, state.get("QueryLanguage", language))


def _transitions(state: dict[str, Any], where: str) -> list[tuple[Any, str]]:
    holders = [state, *state.get("Choices", []), *state.get("Catch", [])]
    found = [(holder["Next"], f"Next of {where}") for holder in holders if "Next" in holder]
    if "Default" in state:
        found.append((state["Default"], f"Default of {where}"))
    return found


def _state_problems(
    state: dict[str, Any], where: str, express: bool, language: str
) -> Iterator[str]:
    kind = state.get("Type")
    if kind not in _WITHOUT_NEXT and ("Next" in state) == (state.get("End") is True):
        yield f"state {where} needs exactly one of Next and End"
    for field in ("Retry", "Catch"):
        yield from _rule_problems(state.get(field, []), f"{field} of {where}")
    resource = str(state.get("Resource", ""))
    if kind == "Task" and (problem := unsupported(resource)):
        yield f"state {where}: {problem}"
    waits = resource.endswith((".sync", ".sync:2", ".waitForTaskToken")) or ":activity:" in resource
    if express and waits:
        yield f"state {where}: an Express workflow cannot wait for {resource}"
    for position, branch in enumerate(state.get("Branches", [])):
        yield from _problems(branch, f"{where}/{position}/", express, language)
    processor = state.get("ItemProcessor", state.get("Iterator"))
    if processor is not None:
        if express and processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            yield f"state {where}: an Express workflow has no distributed Map"
        yield from (f"state {where}: {problem}" for problem in map_problems(state))
        yield from _problems(processor, f"{where}/", express, language)
    if language == "JSONata":
        yield from _expression_problems(state, where)


def _expression_problems(state: dict[str, Any], where: str) -> Iterator[str]:
    own = {name: value for name, value in state.items() if name not in _WITH_STATES}
    for expression in _expressions(own):
        try:
            parsed(expression)
        except ValueError as error:
            yield f"state {where}: {error}"


def _expressions(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for each in value.values():
                yield from _expressions(each)
        case list():
            for each in value:
                yield from _expressions(each)
        case str() if value.startswith("{%") and value.endswith("%}"):
            yield value[2:-2].strip()


def _rule_problems(rules: list[dict[str, Any]], where: str) -> Iterator[str]:
    for position, rule in enumerate(rules, start=1):
        errors = rule.get("ErrorEquals", [])
        if not errors:
            yield f"number {position} in the {where} has no ErrorEquals"
        if "States.ALL" in errors and (len(errors) > 1 or position < len(rules)):
            yield f"States.ALL must stand alone and last in the {where}"
