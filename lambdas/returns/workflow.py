"""The workflow of a return, while it waits for a decision."""

import msgspec

from lambdas.eventing import aws, telemetry
from lambdas.returns.domain import Return


def resume(found: Return) -> None:
    """Tells the workflow what was decided, if it waits and something was.

    To be called by whoever stored the token or heard of the decision, after that: the one who comes
    second finds both. So a decision reaches the workflow in whatever order the two happen.
    """
    if found.task_token is None or found.decision is None:
        return
    client = aws.stepfunctions()
    output = msgspec.json.encode({"approved": found.decision.approved}).decode()
    try:
        client.send_task_success(taskToken=found.task_token, output=output)
    except (client.exceptions.TaskTimedOut, client.exceptions.TaskDoesNotExist):
        # Answered before; or that wait is over, and the next one finds the decision in the table.
        telemetry.count("UnheardDecisions")


def show_activity(found: Return) -> bool:
    """Tells the workflow that somebody looks at the return. False if that wait is over."""
    if found.task_token is None:
        return False
    client = aws.stepfunctions()
    try:
        client.send_task_heartbeat(taskToken=found.task_token)
    except (client.exceptions.TaskTimedOut, client.exceptions.TaskDoesNotExist):
        return False
    return True
