"""Calls to the workflow of a return, while it waits for a decision."""

import msgspec

from lambdas.eventing import aws, telemetry
from lambdas.returns.domain import Return


def resume(found: Return) -> None:
    """Gives the decision to the workflow, if it waits and there is one.

    Both the function that stores the token and the one that receives the decision's event call this
    afterwards. The later one finds both, so the decision reaches the workflow in either order.
    """
    if found.task_token is None or found.decision is None:
        return
    client = aws.stepfunctions()
    output = msgspec.json.encode({"approved": found.decision.approved}).decode()
    try:
        client.send_task_success(taskToken=found.task_token, output=output)
    except (client.exceptions.TaskTimedOut, client.exceptions.TaskDoesNotExist):
        # It was answered before, or that wait is over and the next one finds the decision.
        telemetry.count("UnheardDecisions")


def show_activity(found: Return) -> bool:
    """Tells the workflow that staff review the return. Returns False if that wait is over."""
    if found.task_token is None:
        return False
    client = aws.stepfunctions()
    try:
        client.send_task_heartbeat(taskToken=found.task_token)
    except (client.exceptions.TaskTimedOut, client.exceptions.TaskDoesNotExist):
        return False
    return True
