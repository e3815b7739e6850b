"""The events that a Custom Event Bus retains."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cdk_rehearsal.services.bus_events import BusEvent

DAY_S = 86_400.0


@dataclass(eq=False)
class Bus:
    """A bus with the events that it retains."""

    name: str
    arn: str
    days: int
    created: float
    stated: dict[str, Any]
    events: list[BusEvent] = field(default_factory=list)
    numbered: int = 0
    seen: dict[tuple[str, str], tuple[float, BusEvent]] = field(default_factory=dict)
    policy: tuple[str, str] | None = None
    """The resource policy `default`, and its revision."""

    @property
    def retention_s(self) -> float:
        """How long an event is retained, in seconds."""
        return self.days * DAY_S

    def since(self, position: int, now: float) -> Iterator[BusEvent]:
        """Yields the retained events from a position on."""
        start = self.window_start(now)
        first = bisect_left(self.events, position, key=lambda event: event.number)
        for event in self.events[first:]:
            if event.ingested >= start:
                yield event

    def position_at(self, moment: float) -> int:
        """Returns the number of the first event from a time on."""
        index = bisect_left(self.events, moment, key=lambda event: event.ingested)
        return self.events[index].number if index < len(self.events) else self.numbered

    def window_start(self, now: float) -> float:
        """Returns the earliest time from which the bus has events.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-create.html
        """
        return max(now - self.retention_s, self.created)


def epoch(value: Any) -> float:
    """Returns a time of a request in seconds since the epoch."""
    return value.timestamp() if isinstance(value, datetime) else float(value)


def moment(value: float) -> datetime:
    """Returns a virtual time as answers have it."""
    return datetime.fromtimestamp(value, UTC)
