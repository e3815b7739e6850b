"""Logs with the ids of events, and metrics without API calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from lambdas.eventing.event import Cause


@cache
def logger() -> Logger:
    """Returns the logger: JSON lines, with service and level from the function's environment."""
    return Logger()


@cache
def _metrics() -> Metrics:
    """Returns the metrics, with namespace and service from the function's environment."""
    return Metrics()


@contextmanager
def tracing(cause: Cause, **keys: str) -> Iterator[Logger]:
    """Adds the ids of `cause` and `keys` to each log line of the block."""
    ids = {
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        **keys,
    }
    with logger().append_context_keys(**ids):
        yield logger()


def count(name: str, amount: int = 1) -> None:
    """Adds `amount` to the metric `name` of this service, to be sent by `flush`."""
    _metrics().add_metric(name=name, unit=MetricUnit.Count, value=amount)


def measure(name: str, milliseconds: float) -> None:
    """Adds a duration to the metric `name` of this service, to be sent by `flush`."""
    _metrics().add_metric(name=name, unit=MetricUnit.Milliseconds, value=milliseconds)


def flush() -> None:
    """Writes the collected metrics to the log in CloudWatch's embedded metric format."""
    if _metrics().metric_set:
        _metrics().flush_metrics()
