"""Settings of functions of a deployed application that explain what they do, and do not do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdk_rehearsal.console.deployed.account import Account
from cdk_rehearsal.console.deployed.places import Places
from cdk_rehearsal.errors import RehearsalError

READS = ("Enabled", "Enabling", "Updating", "Creating")
"""States of a mapping that reads its source, or will do so by itself.
https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html"""


def mapping_of(places: Places, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the page shows about an event source mapping.

    https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
    """
    source = str(answer.get("EventSourceArn", ""))
    result = str(answer.get("LastProcessingResult") or "")
    return {
        "source": places.path_of(source) or source,
        "state": answer["State"],
        "reads": answer["State"] in READS,
        "reason": answer.get("StateTransitionReason") or "",
        "batch": answer.get("BatchSize"),
        "window_s": answer.get("MaximumBatchingWindowInSeconds") or 0,
        "concurrency": (answer.get("ScalingConfig") or {}).get("MaximumConcurrency"),
        "result": result,
        "problem": result.upper().startswith("PROBLEM"),
    }


def reserved_concurrency(account: Account, places: Places, path: str) -> int | None:
    """Returns how many invocations a function may have at once, or None if none are reserved.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html
    """
    for function, name in places.of("AWS::Lambda::Function"):
        if function.path == path:
            answer = account.require("lambda", "get_function_concurrency", FunctionName=name)
            reserved: int | None = answer.get("ReservedConcurrentExecutions")
            return reserved
    raise RehearsalError(f"there is no function {path}")
