"""Sweeps: scheduled work in batches, as long as the function may run."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from lambdas.eventing import telemetry
from lambdas.eventing.event import Delivery, E

B = TypeVar("B")

MARGIN_S = 5
"""A sweep begins no batch when it has less time left, in seconds; the next sweep continues."""


def in_time(batches: Iterable[B], delivery: Delivery[E]) -> Iterator[B]:
    """Yields batches until the time is nearly up, which it counts as `UnfinishedSweeps`."""
    for batch in batches:
        if delivery.seconds_left() < MARGIN_S:
            telemetry.count("UnfinishedSweeps")
            return
        yield batch
