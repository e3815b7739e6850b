"""Logs with the ids of events, a record of each unit of work, and metrics without API calls."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import msgspec
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

import lambdas
from lambdas.eventing import trace
from lambdas.eventing.event import Cause
from lambdas.eventing.trace import Span

Kind = Literal["server", "consumer", "producer", "internal"]
"""The kinds of spans of OpenTelemetry that handlers have.
https://opentelemetry.io/docs/specs/otel/trace/api/#spankind"""


class _Start:
    """What this execution environment knows about its own start."""

    cold = True
    loaded_at = lambdas.LOADING_SINCE


@cache
def logger() -> Logger:
    """Returns the logger: JSON lines, with service and level from the function's environment."""
    return Logger()


@cache
def _metrics() -> Metrics:
    """Returns the metrics, with namespace and service from the function's environment."""
    return Metrics()


@contextmanager
def tracing(cause: Cause, **keys: str | int) -> Iterator[Logger]:
    """Adds the ids of `cause` and `keys` to each log line of the block."""
    ids = {
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        **keys,
    }
    with logger().append_context_keys(**ids):
        yield logger()


@contextmanager
def span(
    cause: Cause,
    *,
    name: str,
    kind: Kind,
    links: Sequence[str] = (),
    **keys: str | int,
) -> Iterator[Span]:
    """Records the block as a unit of work: one line of JSON when it ends, in each of its traces.

    `links` are the `traceparent`s of what it handles together. `keys` are in the record and in each
    log line of the block. A function that is stopped, as by its timeout, leaves no record.
    docs/reference/traces.md describes the record.
    """
    began, start = Span(cause.trace), time.time()
    about = {
        "name": name,
        "kind": kind,
        "start": datetime.fromtimestamp(start, UTC).isoformat(timespec="microseconds"),
        "service": logger().service,
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        "subject": cause.subject,
        **keys,
        **_start_of_environment(),
    }

    def write(**how: str) -> None:
        took = {"duration_ms": round((time.time() - start) * 1000, 3), "outcome": began.outcome}
        for line in _records(began, {**about, **took, **how}, links):
            sys.stdout.write(f"{line}\n")

    try:
        with tracing(cause, **keys), trace.run(began):
            yield began
    except Exception as failure:
        began.outcome = "failed"
        write(error=type(failure).__name__)
        raise
    write()


def loaded() -> None:
    """Notes that the code of the function is loaded: what a cold start waits for."""
    _Start.loaded_at = time.time()


def _start_of_environment() -> Mapping[str, Any]:
    """Returns the duration of the imports, in milliseconds, the first time."""
    if not _Start.cold:
        return {}
    _Start.cold = False
    loading_s = _Start.loaded_at - lambdas.LOADING_SINCE
    return {"cold": True, "init_ms": round(loading_s * 1000, 1)}


def _records(span: Span, about: Mapping[str, Any], links: Sequence[str]) -> Iterator[str]:
    """Yields the records of a span. Those in several traces are linked with each other."""
    contexts = [*span.contexts]
    for parent, own in contexts:
        published = [event for event in span.published if event.trace == own]
        others = [str(other) for _, other in contexts if other != own]
        record = {
            "type": "span",
            "trace_id": own.trace_id,
            "span_id": own.span_id,
            "parent_id": parent.span_id,
            **about,
            "published": [event.id for event in published],
            "subject": about["subject"] or next((event.subject for event in published), None),
            "links": [*others, *links],
        }
        given = {name: value for name, value in record.items() if value not in (None, "", [])}
        yield msgspec.json.encode(given).decode()


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
