"""What tasks of workflows leave behind: work in the background, and waiting without an end."""

from collections.abc import Iterator
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource, listed
from cdk_rehearsal.topology.values import table

STATE_MACHINE = "AWS::StepFunctions::StateMachine"

_ANSWERING = frozenset(
    {"apigateway", "bedrock", "dynamodb", "events", "http", "lambda", "sns", "sqs", "states"}
)
"""Optimized integrations that answer at once, or whose messages other rules follow.

https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
"""
_STARTS = ("run", "start", "submit")
_WAITS = (".sync", ".sync:2", ".waitForTaskToken")
_LIMITS = ("HeartbeatSeconds", "HeartbeatSecondsPath", "TimeoutSeconds", "TimeoutSecondsPath")


def unfollowed_tasks(assembly: Assembly) -> Iterator[tuple[Resource, str]]:
    """Yields what no rule covers of workflows: definitions, jobs, and waiting for a token.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html
    """
    for machine in assembly.all_of(STATE_MACHINE):
        try:
            definition = assembly.definition(machine)
        except (LookupError, ValueError):
            definition = {}
        if "States" not in definition:
            yield machine, "its definition is not in the template"
        limited = "TimeoutSeconds" in definition
        for name, state in _states(definition):
            resource = state.get("Resource")
            if state.get("Type") == "Task" and isinstance(resource, str):
                for says in _unfollowed(
                    resource, limited or any(each in state for each in _LIMITS)
                ):
                    yield machine, f"state {name!r} {says}"


def _unfollowed(resource: str, limited: bool) -> Iterator[str]:
    _, found, integration = resource.partition(":states:::")
    if not found:
        return  # A function or an activity.
    service, _, action = integration.partition(":")
    if service == "aws-sdk":
        service, _, action = action.partition(":")
        answers = not action.startswith(_STARTS) or service == "sfn"
    else:
        answers = service in _ANSWERING or action.startswith(("get", "list"))
    if action.endswith(".waitForTaskToken") and not limited:
        yield "waits for its token up to a year: set HeartbeatSeconds or TimeoutSeconds"
    if not answers and not action.endswith(_WAITS):
        yield f"does not wait for the work that {service}:{action} starts"


def _states(definition: Any) -> Iterator[tuple[str, Any]]:
    """All states, with those in branches and maps."""
    for name, state in table(table(definition).get("States")).items():
        yield name, table(state)
        inner = [*listed(table(state).get("Branches"))]
        inner += [table(state).get(part) for part in ("Iterator", "ItemProcessor")]
        for each in inner:
            yield from _states(each)
