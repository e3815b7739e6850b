"""How long things take on virtual time; drawn at random, so that seeds interleave differently."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Spans in seconds, (shortest, longest), from which each delay is drawn.

    They are of the order that is seen in practice, to make orders of events that do happen; a
    rehearsal does not measure the speed of anything. Three are documented: a table's stream is
    polled four times a second, https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html, a shard
    of a data stream once, https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html, and a
    schedule fires within a minute,
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """

    api_call_s: Span = (0.002, 0.012)
    bucket_s: Span = (0.1, 2.0)
    cold_start_s: Span = (0.2, 0.6)
    event_bus_s: Span = (0.02, 0.12)
    web_s: Span = (0.02, 0.2)
    queue_poll_s: Span = (0.005, 0.04)
    schedule_s: Span = (0.0, 60.0)
    shard_poll_s: Span = (0.0, 1.0)
    stream_poll_s: Span = (0.0, 0.25)
    stream_retry_s: Span = (1.0, 60.0)
    """Not drawn: a failed batch of a stream waits as long as the first at first, then twice as
    long each time, up to the second. How long Lambda waits is not documented."""
    topic_s: Span = (0.01, 0.08)
    topic_patience_s: float = 100_000 * 20.0
    """Not drawn: how long a topic goes on trying in its last phase, in which AWS makes 100,000
    tries 20 seconds apart, https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
    """

    def api_call(self, random: Random) -> float:
        """Returns the seconds that an AWS API call takes."""
        return random.uniform(*self.api_call_s)

    def bucket(self, random: Random) -> float:
        """Returns the seconds from a change of an object to its notification."""
        return random.uniform(*self.bucket_s)

    def cold_start(self, random: Random) -> float:
        """Returns the seconds until a new execution environment is ready."""
        return random.uniform(*self.cold_start_s)

    def event_bus(self, random: Random) -> float:
        """Returns the seconds from PutEvents to a rule's target."""
        return random.uniform(*self.event_bus_s)

    def web(self, random: Random) -> float:
        """Returns the seconds that connecting to a host outside takes."""
        return random.uniform(*self.web_s)

    def queue_poll(self, random: Random) -> float:
        """Returns the seconds until a mapping notices a message."""
        return random.uniform(*self.queue_poll_s)

    def schedule(self, random: Random) -> float:
        """Returns the seconds from a schedule's time until it fires."""
        return random.uniform(*self.schedule_s)

    def shard_poll(self, random: Random) -> float:
        """Returns the seconds until a mapping's next look at an idle shard of a data stream."""
        return random.uniform(*self.shard_poll_s)

    def stream_poll(self, random: Random) -> float:
        """Returns the seconds until a mapping's next look at a table's idle stream."""
        return random.uniform(*self.stream_poll_s)

    def topic(self, random: Random) -> float:
        """Returns the seconds from a publish to a subscription's endpoint."""
        return random.uniform(*self.topic_s)


NONE = Latency(
    api_call_s=(0, 0),
    bucket_s=(0, 0),
    cold_start_s=(0, 0),
    event_bus_s=(0, 0),
    web_s=(0, 0),
    queue_poll_s=(0, 0),
    schedule_s=(0, 0),
    shard_poll_s=(0, 0),
    stream_poll_s=(0, 0),
    topic_s=(0, 0),
)
"""No delays at all: for tests that count seconds."""
