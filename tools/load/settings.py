"""What limits each hop: settings of the templates, quotas, and the measured time of handlers."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from cdk_rehearsal import BILLED, Assembly, RehearsalError, Resource, quotas_of
from tools.load.flows import Flow, Span, Within

_LARGEST_BATCH = {"AWS::SQS::Queue": 10}
_TIMEOUT_S = 3
_VISIBILITY_S = 30
_RETENTION_S = 345_600
"""What a queue has if a template states nothing.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
_DAY_S = 86_400
_TABLE_S = 86_400
"""How long a table's stream has its records.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"""


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """A function behind a queue, a stream or a route, with what limits it."""

    function: str
    kind: Literal["queue", "stream", "route"]
    base_s: float = 0.0
    item_s: float
    """A batch takes `base_s` and `item_s` for each item, times one of `spread`."""
    spread: tuple[float, ...] = (1.0,)
    within: Within = Within()
    timeout_s: float
    reserved: float = float("inf")
    """The reserved concurrency of the function."""
    batch_size: int = 1
    window_s: float = 0.0
    most: int | None = None
    """Of a queue, the most batches at once; without it, pollers scale."""
    lanes: int = 1
    """Of a stream, the batches at once: shards times their parallelization."""
    poll_s: Span = (0.0, 0.0)
    visibility_s: float = _VISIBILITY_S
    retention_s: float = _RETENTION_S
    receives: float = float("inf")
    """How often a message is received before it goes to the dead-letter queue."""
    rate: float = float("inf")
    burst: float = float("inf")
    """Of a route: requests per second, and at once."""

    @property
    def name(self) -> str:
        """The construct path of the consumer or function."""
        return self.function.removesuffix("/Function")

    @property
    def weight(self) -> float:
        """How many functions run at the same time in an invocation, with those it waits for."""
        return 1 + self.within.seconds / self.item_s if self.item_s else 1.0

    def items_per_second(self) -> float:
        """Returns what it handles at most, in full batches; infinite without a maximum."""
        lanes = {"queue": self.most, "stream": self.lanes}.get(self.kind)
        batch_s = self.base_s + self.batch_size * self.item_s
        return lanes * self.batch_size / batch_s if lanes and batch_s else self.rate

    def days_until_loss(self, items_per_second: float) -> float:
        """Returns after how many days it starts to lose messages, if so many keep coming.

        The oldest message is as old as the backlog takes: after a time t at a rate r over the
        capacity c, it came at t * c / r. So its age reaches the retention after
        retention / (1 - c / r).
        """
        if items_per_second <= self.items_per_second():
            return float("inf")
        return self.retention_s / (1 - self.items_per_second() / items_per_second) / _DAY_S


def hops_of(
    assembly: Assembly, flow: Flow, quotas: Mapping[str, float] | None = None
) -> dict[str, Hop]:
    """Returns the hops that the measured orders passed, by function.

    Quotas are AWS's defaults, unless others are given. Raises RehearsalError if the orders were
    measured with other templates.
    """
    found = {hop.function: hop for hop in _mapped(assembly, flow, quotas or quotas_of({}))}
    found |= {hop.function: hop for hop in _routed(assembly, flow)}
    passed = dict.fromkeys(edge.target.function for edge in flow.edges)
    if absent := sorted(passed.keys() - found.keys()):
        raise RehearsalError(
            f"the measured orders passed {', '.join(absent)}, which no mapping or route of these "
            "templates invokes: measure again, without --measured"
        )
    return {function: found[function] for function in passed}


def _mapped(assembly: Assembly, flow: Flow, quotas: Mapping[str, float]) -> Iterator[Hop]:
    for mapping in assembly.all_of("AWS::Lambda::EventSourceMapping"):
        stated = mapping.properties
        function = assembly.find(mapping.stack, stated.get("FunctionName"))
        source = assembly.find(mapping.stack, stated.get("EventSourceArn"))
        batches = flow.load.batches.get(function.path) if function else None
        if not function or not source or not batches:
            continue
        common: dict[str, Any] = {
            **_function(function, flow),
            "base_s": batches.base_s,
            "item_s": batches.item_s,
            "spread": tuple(flow.spread[function.path]),
            "batch_size": int(stated.get("BatchSize", _LARGEST_BATCH.get(source.type, 100))),
            "window_s": float(stated.get("MaximumBatchingWindowInSeconds", 0)),
        }
        if source.type == "AWS::SQS::Queue":
            yield Hop(kind="queue", poll_s=BILLED.queue_poll_s, **common, **_queue(source, stated))
        else:
            yield Hop(kind="stream", **common, **_stream(source, stated, quotas))


def _function(function: Resource, flow: Flow) -> dict[str, Any]:
    reserved = function.properties.get("ReservedConcurrentExecutions")
    return {
        "function": function.path,
        "within": flow.within.get(function.path, Within()),
        "timeout_s": float(function.properties.get("Timeout", _TIMEOUT_S)),
        **({} if reserved is None else {"reserved": float(reserved)}),
    }


def _queue(queue: Resource, mapping: Mapping[str, Any]) -> dict[str, Any]:
    redrive = queue.properties.get("RedrivePolicy") or {}
    return {
        "most": (mapping.get("ScalingConfig") or {}).get("MaximumConcurrency"),
        "visibility_s": float(queue.properties.get("VisibilityTimeout", _VISIBILITY_S)),
        "retention_s": float(queue.properties.get("MessageRetentionPeriod", _RETENTION_S)),
        "receives": float(redrive.get("maxReceiveCount", "inf")),
    }


def _stream(
    source: Resource, mapping: Mapping[str, Any], quotas: Mapping[str, float]
) -> dict[str, Any]:
    """Returns the shards of a data stream, or of a table's: one for each partition."""
    stated = source.properties
    if source.type == "AWS::Kinesis::Stream":
        on_demand = (stated.get("StreamModeDetails") or {}).get("StreamMode") == "ON_DEMAND"
        shards = quotas["kinesis.new_stream_shards"] if on_demand else stated.get("ShardCount", 1)
        poll_s, kept_s = BILLED.shard_poll_s, 3600.0 * stated.get("RetentionPeriodHours", 24)
    else:
        units = (stated.get("WarmThroughput") or {}).get("WriteUnitsPerSecond")
        units = units or quotas["dynamodb.new_table_write_units"]
        shards = units / quotas["dynamodb.partition_write_units"]
        poll_s, kept_s = BILLED.stream_poll_s, float(_TABLE_S)
    age = float(mapping.get("MaximumRecordAgeInSeconds", -1))
    return {
        "lanes": max(1, int(shards * mapping.get("ParallelizationFactor", 1))),
        "poll_s": poll_s,
        "retention_s": min(kept_s, age) if age > 0 else kept_s,
    }


def _routed(assembly: Assembly, flow: Flow) -> Iterator[Hop]:
    functions = {each.path: each for each in assembly.all_of("AWS::Lambda::Function")}
    limits: dict[str, dict[str, Any]] = {}
    usual: dict[str, dict[str, Any]] = {}
    for stage in assembly.all_of("AWS::ApiGatewayV2::Stage"):
        api = assembly.find(stage.stack, stage.properties.get("ApiId"))
        path = api.path if api else ""
        usual[path] = stage.properties.get("DefaultRouteSettings") or {}
        for route, stated in (stage.properties.get("RouteSettings") or {}).items():
            limits[f"{path} {route}"] = {**usual[path], **stated}
    for path, route in flow.routes.items():
        if path not in functions:
            continue
        stated = limits.get(route) or usual.get(route.partition(" ")[0], {})
        rate = float(stated.get("ThrottlingRateLimit", "inf"))
        yield Hop(
            kind="route",
            item_s=flow.load.busy_s[path] / flow.load.requests[route],
            rate=rate,
            burst=float(stated.get("ThrottlingBurstLimit", rate)),
            **_function(functions[path], flow),
        )
