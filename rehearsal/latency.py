"""How long things take on virtual time; drawn at random, so that seeds interleave differently."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Spans in seconds, (shortest, longest), from which each delay is drawn.

    They are of the order that is seen in practice, to make orders of events that do happen; a
    rehearsal does not measure the speed of anything. Only polling of a stream is documented, four
    times a second: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
    """

    api_call_s: Span = (0.002, 0.012)
    cold_start_s: Span = (0.2, 0.6)
    event_bus_s: Span = (0.02, 0.12)
    queue_poll_s: Span = (0.005, 0.04)
    stream_poll_s: Span = (0.0, 0.25)

    def api_call(self, random: Random) -> float:
        """Return the seconds that an AWS API call takes."""
        return random.uniform(*self.api_call_s)

    def cold_start(self, random: Random) -> float:
        """Return the seconds until a new execution environment is ready."""
        return random.uniform(*self.cold_start_s)

    def event_bus(self, random: Random) -> float:
        """Return the seconds from PutEvents to a rule's target."""
        return random.uniform(*self.event_bus_s)

    def queue_poll(self, random: Random) -> float:
        """Return the seconds until a mapping notices a message."""
        return random.uniform(*self.queue_poll_s)

    def stream_poll(self, random: Random) -> float:
        """Return the seconds until a mapping's next look at an idle stream."""
        return random.uniform(*self.stream_poll_s)


NONE = Latency(
    api_call_s=(0, 0),
    cold_start_s=(0, 0),
    event_bus_s=(0, 0),
    queue_poll_s=(0, 0),
    stream_poll_s=(0, 0),
)
"""No delays at all: for tests that count seconds."""
