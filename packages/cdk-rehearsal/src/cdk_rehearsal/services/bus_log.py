"""The events that a Custom Event Bus retains."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cdk_rehearsal.services.bus_events import BusEvent
from cdk_rehearsal.spool import Spooled

DAY_S = 86_400.0


class Seen(NamedTuple):
    """An event that an entry may repeat: when it came, its id and its sequence number."""

    ingested: float
    id: str
    number: str


@dataclass(eq=False)
class Bus:
    """A bus with the events that it retains."""

    name: str
    arn: str
    days: int
    created: float
    stated: dict[str, Any]
    events: Spooled[BusEvent]
    """All events, by their numbers. Those that are no longer retained are not read."""
    seen: OrderedDict[tuple[str, str], Seen] = field(default_factory=OrderedDict)
    """The events of the last minutes, by their groups and deduplication ids."""
    policy: tuple[str, str] | None = None
    """The resource policy `default`, and its revision."""

    @property
    def numbered(self) -> int:
        """The number of the next event."""
        return len(self.events)

    @property
    def retention_s(self) -> float:
        """How long an event is retained, in seconds."""
        return self.days * DAY_S

    def since(self, position: int, now: float) -> Iterator[BusEvent]:
        """Yields the retained events from a position on."""
        start = self.window_start(now)
        for event in self.events[position:]:
            if event.ingested >= start:
                yield event

    def position_at(self, moment: float) -> int:
        """Returns the number of the first event from a time on."""
        return bisect_left(self.events, moment, key=lambda event: event.ingested)

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
