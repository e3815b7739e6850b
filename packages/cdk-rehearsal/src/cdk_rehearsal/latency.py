"""How long things take on virtual time; drawn at random, so that seeds interleave differently."""

from dataclasses import dataclass

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
    """From the change of an object to its notification."""
    cold_start_s: Span = (0.2, 0.6)
    event_bus_s: Span = (0.02, 0.12)
    """From PutEvents to a rule's or a subscriber's target."""
    replay_s: Span = (1.0, 30.0)
    """From the creation of a subscriber that reads the past to its first event. AWS says only that
    there is such a delay:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-replay.html"""
    web_s: Span = (0.02, 0.2)
    """The connection to a host outside AWS."""
    log_subscription_s: Span = (1.0, 10.0)
    """From a log event to its delivery; usually less than three minutes:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html"""
    queue_poll_s: Span = (0.005, 0.04)
    schedule_s: Span = (0.0, 60.0)
    """From a schedule's time until it fires."""
    shard_poll_s: Span = (0.0, 1.0)
    stream_poll_s: Span = (0.0, 0.25)
    stream_retry_s: Span = (1.0, 60.0)
    """Not drawn: the first and the longest pause before a failed batch of a stream is retried. Each
    pause is twice as long as the one before. AWS does not document the real pauses."""
    handler_cpu_s: float = 0.0
    """Not drawn: the time that a whole CPU needs for an invocation, besides its API calls. A
    function has a share of a CPU, by its memory:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
    call_cpu_s: float = 0.0
    """Not drawn: the time that a whole CPU needs for an API call."""
    topic_s: Span = (0.01, 0.08)
    """From a publish to a subscription's endpoint."""
    topic_patience_s: float = 100_000 * 20.0
    """Not drawn: the length of the last phase of a topic's retries, in which AWS makes 100,000
    attempts 20 seconds apart:
    https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html"""


BILLED = Latency(handler_cpu_s=0.005, call_cpu_s=0.0025)
"""With the CPU time of handlers, so that a bill has something to count.

A call of boto3 1.43 over HTTP without TLS takes 1.4 ms (GetItem) to 1.8 ms (TransactWriteItems with
four items) on Python 3.11 and a server's x86 CPU; the rest is for TLS. An invocation without calls
parses an event, decides, and writes a line of log.
"""

NONE = Latency(
    api_call_s=(0, 0),
    bucket_s=(0, 0),
    cold_start_s=(0, 0),
    event_bus_s=(0, 0),
    replay_s=(0, 0),
    web_s=(0, 0),
    log_subscription_s=(0, 0),
    queue_poll_s=(0, 0),
    schedule_s=(0, 0),
    shard_poll_s=(0, 0),
    stream_poll_s=(0, 0),
    topic_s=(0, 0),
)
"""No delays at all: for tests that count seconds."""
