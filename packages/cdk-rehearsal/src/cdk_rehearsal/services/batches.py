"""Batches: who runs their consumers, and the items that an answer reports as failed."""

from collections.abc import Sequence
from typing import Any, Protocol

from cdk_rehearsal.services.functions import InvocationResult


class Invoker(Protocol):
    """A service that runs consumers."""

    def invoke(self, function: Any, payload: str, /, *, source: str) -> InvocationResult:
        """Hands a batch to a consumer, and waits for its answer."""


def failed_items(
    result: InvocationResult, identifiers: Sequence[str], *, reports_failures: bool
) -> list[str]:
    """Returns the identifiers of the items that failed: none, some or all.

    Without ``ReportBatchItemFailures`` only an error fails a batch, and then all of it. With it,
    an empty or absent list is success; anything malformed, or an unknown identifier, fails all:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    everything = list(identifiers)
    if result.failed:
        return everything
    if not reports_failures or result.payload is None:
        return []
    answer: Any = result.payload
    if not isinstance(answer, dict):
        return everything
    failures = answer.get("batchItemFailures")
    if failures is None:
        return []
    if not isinstance(failures, list):
        return everything
    failed = set()
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if identifier not in identifiers:
            return everything
        failed.add(identifier)
    return [identifier for identifier in identifiers if identifier in failed]
