"""How many orders per second each hop carries, from templates, quotas and the load of one order.

"Order" stands for the unit of work of an application, whatever that is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.limits import TABLE, Limit, check_quotas, read_table
from cdk_rehearsal.loads import Batches, Load

QUOTAS: Mapping[str, Limit] = {**TABLE, **read_table("quotas.toml")}
"""All quotas by name: those that a rehearsal enforces, and those that only limit capacity."""

Remedy = Literal["setting", "quota", "design"]

_MAPPING = "AWS::Lambda::EventSourceMapping"
_PER_CALL = {
    "events.puts_per_second": ("events:PutEvents",),
    "ses.sends_per_second": ("ses:SendEmail", "sesv2:SendEmail"),
    "sns.sms_per_second": ("sns:SMS",),
}
_LARGEST_BATCH = {"AWS::SQS::Queue": 10, "AWS::Kinesis::Stream": 100}


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """A limit, and how many orders per second reach it."""

    name: str
    """The construct path, or the service."""
    limit: str
    """The property of the template, or the name of the quota."""
    orders_per_second: float
    why: str
    remedy: Remedy
    """What can be raised: a setting of the template, a quota, or nothing without another design."""
    grows: bool = False
    """Whether AWS raises it by itself while traffic grows."""


class Capacity(msgspec.Struct, frozen=True):
    """The limits of an application, the one that is reached first first."""

    hops: list[Hop]
    unlimited: dict[str, float]
    """What one order needs of services whose limits AWS does not state, and of hosts outside."""

    @property
    def bottleneck(self) -> Hop:
        """The limit that is reached first, once tables and streams have grown."""
        return next(hop for hop in self.hops if not hop.grows)

    def short_of(self, orders_per_second: float) -> list[Hop]:
        """Returns the limits that a rate exceeds."""
        return [hop for hop in self.hops if hop.orders_per_second < orders_per_second]

    def as_json(self) -> dict[str, Any]:
        """Returns everything as JSON data."""
        bottleneck = self.bottleneck.name
        return {"bottleneck": bottleneck, **msgspec.to_builtins(self)}


def quotas_of(stated: Mapping[str, Any]) -> dict[str, float]:
    """Returns all quotas that apply, with the values of an account, by name or by service.

    Without a value, those that AWS sets for each account are left out. Raises RehearsalError for an
    unknown name, and for more than AWS grants.
    """
    given = {}
    for name, value in stated.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        given.update({f"{name}.{key}".rstrip("."): each for key, each in inner.items()})
    check_quotas(given, QUOTAS)
    defaults = {name: limit.value for name, limit in QUOTAS.items() if not limit.given}
    return {**defaults, **given}


def capacity_of(assembly: Assembly, load: Load, quotas: Mapping[str, float]) -> Capacity:
    """Returns how many orders per second each hop carries.

    Raises RehearsalError if nothing limits the application: it has not been used.
    """
    parts = (_mappings, _functions, _routes, _tables, _keys, _streams, _workflows, _bus, _schedules)
    hops = [hop for part in parts for hop in part(assembly, load, quotas)]
    if all(hop.grows for hop in hops):
        raise RehearsalError("no limit was found: the rehearsal has used nothing that has one")
    unlimited = {f"requests to {host}": n for host, n in load.outside.items()}
    unlimited |= {name: load.calls[name] for name in _UNSTATED if name in load.calls}
    for quota in quotas:
        for call in _PER_CALL.get(quota, ()):
            unlimited.pop(call, None)
    return Capacity(sorted(hops, key=lambda hop: hop.orders_per_second), unlimited)


_UNSTATED = ("eventbridgev2:PutEvents", "sesv2:SendEmail", "sns:Publish", "sns:SMS")

Hops = Iterator[Hop]
_Quotas = Mapping[str, float]


def _at_quota(name: str, quota: str, quotas: _Quotas, each: float, says: str) -> Hops:
    """Yields a quota of the account, if an order uses any of it."""
    if each > 0 and quota in quotas:
        yield Hop(
            name=name,
            limit=quota,
            orders_per_second=quotas[quota] / each,
            why=f"{each:.3g} {says} for an order, {quotas[quota]:,g} are the quota",
            remedy="quota" if QUOTAS[quota].adjustable else "design",
        )


class _Fed(NamedTuple):
    """A mapping that has been used, with its function, its source, and what it has delivered."""

    mapping: Resource
    function: Resource
    source: Resource
    batches: Batches

    @property
    def size(self) -> int:
        """The items of a full batch."""
        stated = self.mapping.properties.get("BatchSize")
        return int(stated or _LARGEST_BATCH.get(self.source.type, 100))

    @property
    def batch_s(self) -> float:
        """The time of a full batch."""
        return self.batches.base_s + self.size * self.batches.item_s


def _fed(assembly: Assembly, load: Load) -> Iterator[_Fed]:
    for mapping in assembly.all_of(_MAPPING):
        function = assembly.find(mapping.stack, mapping.properties.get("FunctionName"))
        source = assembly.find(mapping.stack, mapping.properties.get("EventSourceArn"))
        batches = load.batches.get(function.path) if function else None
        if function and source and batches:
            yield _Fed(mapping, function, source, batches)


def _mappings(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields how many batches are handled at once, by queue and by stream."""
    for fed in _fed(assembly, load):
        lanes, limit, grows = _lanes(fed.mapping, fed.source, quotas)
        if lanes and fed.batch_s:
            yield Hop(
                name=fed.function.path,
                limit=limit,
                orders_per_second=lanes * fed.size / fed.batch_s / fed.batches.items,
                why=f"{lanes:g} at once, {fed.batch_s * 1000:.0f} ms for a batch of {fed.size}, "
                f"{fed.batches.items:.3g} messages for an order",
                remedy="setting",
                grows=grows,
            )


def _lanes(mapping: Resource, source: Resource, quotas: _Quotas) -> tuple[float, str, bool]:
    """Returns how many batches are handled at once, what limits them, and whether that grows.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
    """
    properties = mapping.properties
    if source.type == "AWS::SQS::Queue":
        most = (properties.get("ScalingConfig") or {}).get("MaximumConcurrency", 0)
        return float(most), "ScalingConfig.MaximumConcurrency", False
    each = int(properties.get("ParallelizationFactor", 1))
    if source.type == "AWS::Kinesis::Stream":
        shards, limit, grows = _shards(source, quotas)
    else:
        partition = quotas["dynamodb.partition_write_units"]
        shards, limit, grows = _warm(source.properties, quotas) / partition, "WarmThroughput", True
    return shards * each, limit, grows


def _shards(stream: Resource, quotas: _Quotas) -> tuple[float, str, bool]:
    mode = stream.properties.get("StreamModeDetails", {}).get("StreamMode")
    if mode == "ON_DEMAND":
        return quotas["kinesis.new_stream_shards"], "kinesis.new_stream_shards", True
    return float(stream.properties.get("ShardCount", 1)), "ShardCount", False


def _warm(table: Mapping[str, Any], quotas: _Quotas) -> float:
    """Returns the write units per second that a table or index takes without growing."""
    stated = table.get("WarmThroughput") or {}
    return float(stated.get("WriteUnitsPerSecond", quotas["dynamodb.new_table_write_units"]))


def _functions(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields the concurrency of the account, and what functions have reserved of it.

    When it is used up, messages wait, so that batches are full.
    """
    busy = dict(load.busy_s)
    for fed in _fed(assembly, load):
        full_s = fed.batches.items * fed.batch_s / fed.size
        busy[fed.function.path] = min(busy.get(fed.function.path, full_s), full_s)
    left = dict(quotas)
    name = "lambda.concurrent_executions"
    for function in assembly.all_of("AWS::Lambda::Function"):
        reserved = int(function.properties.get("ReservedConcurrentExecutions") or 0)
        seconds = busy.pop(function.path, 0.0) if reserved else 0.0
        left[name] -= reserved
        if seconds:
            yield Hop(
                name=function.path,
                limit="ReservedConcurrentExecutions",
                orders_per_second=reserved / seconds,
                why=f"{reserved} at once, {seconds * 1000:.0f} ms for an order",
                remedy="setting",
            )
    yield from _at_quota("all functions", name, left, sum(busy.values()), "seconds")


def _routes(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields the limits of routes and of all requests.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
    """
    for stage in assembly.all_of("AWS::ApiGatewayV2::Stage"):
        api = assembly.find(stage.stack, stage.properties.get("ApiId"))
        usual = stage.properties.get("DefaultRouteSettings") or {}
        special = stage.properties.get("RouteSettings") or {}
        for key, requests in load.requests.items():
            path, _, route = key.partition(" ")
            rate = {**usual, **special.get(route, {})}.get("ThrottlingRateLimit")
            if api and path == api.path and rate:
                yield Hop(
                    name=route,
                    limit="ThrottlingRateLimit",
                    orders_per_second=float(rate) / requests,
                    why=f"{requests:.3g} requests for an order, {rate:g} a second are allowed",
                    remedy="setting",
                )
    requests = sum(load.requests.values())
    yield from _at_quota("API", "apigateway.requests_per_second", quotas, requests, "requests")


def _tables(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields what tables and indexes take, when they are new and at most."""
    for table in assembly.all_of("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"):
        if table.properties.get("BillingMode") != "PAY_PER_REQUEST":
            continue
        stated = {table.path: table.properties}
        for index in table.properties.get("GlobalSecondaryIndexes") or ():
            stated[f"{table.path} index {index['IndexName']}"] = index
        for name, properties in stated.items():
            units = load.units.get(name, 0.0)
            yield from _at_quota(name, "dynamodb.table_write_units", quotas, units, "write units")
            if units:
                warm = _warm(properties, quotas)
                yield Hop(
                    name=name,
                    limit="WarmThroughput",
                    orders_per_second=warm / units,
                    why=f"{units:.3g} write units for an order, {warm:,g} at first",
                    remedy="setting",
                    grows=True,
                )


def _keys(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields the partition keys to which many orders write."""
    for name, hottest in load.hottest.items():
        quota = "dynamodb.partition_write_units"
        says = f"write units on the key {hottest.key}"
        yield from _at_quota(name, quota, quotas, hottest.units, says)


def _streams(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields the records that streams take, as many as their mappings read."""
    for fed in _fed(assembly, load):
        if fed.source.type == "AWS::Kinesis::Stream":
            shards, limit, grows = _shards(fed.source, quotas)
            most, items = quotas["kinesis.shard_records"], fed.batches.items
            yield Hop(
                name=fed.source.path,
                limit=limit,
                orders_per_second=shards * most / items,
                why=f"{items:.3g} records for an order, {shards:g} shards take {most:,g}",
                remedy="setting",
                grows=grows,
            )


def _workflows(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields starts and transitions. Synchronous executions of Express workflows have no quota.

    https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    """
    starts, transitions = {"EXPRESS": 0.0, "STANDARD": 0.0}, 0.0
    for machine in assembly.all_of("AWS::StepFunctions::StateMachine"):
        kind = str(machine.properties.get("StateMachineType", "STANDARD"))
        starts[kind] += load.starts.get(machine.path, 0.0)
        transitions += load.transitions.get(machine.path, 0.0) if kind == "STANDARD" else 0.0
    starts["EXPRESS"] -= load.calls.get("stepfunctions:StartSyncExecution", 0.0)
    for kind, number in starts.items():
        quota = f"stepfunctions.{kind.lower()}_starts_per_second"
        yield from _at_quota(f"{kind.title()} workflows", quota, quotas, number, "executions")
    quota = "stepfunctions.transitions_per_second"
    yield from _at_quota("Standard workflows", quota, quotas, transitions, "transitions")


def _bus(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields calls, and deliveries of rules. AWS states no rate of a Custom Event Bus.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
    """
    for quota, calls in _PER_CALL.items():
        number = sum(load.calls.get(call, 0.0) for call in calls)
        yield from _at_quota(calls[-1], quota, quotas, number, "calls")
    yield from _at_quota(
        "rules", "events.invocations_per_second", quotas, load.routed, "deliveries"
    )


def _schedules(assembly: Assembly, load: Load, quotas: _Quotas) -> Hops:
    """Yields the creation and the firing of schedules, and how many live at the same time."""
    for quota in ("scheduler.creations_per_second", "scheduler.invocations_per_second"):
        yield from _at_quota("schedules", quota, quotas, load.schedules, "schedules")
    quota = "scheduler.schedules"
    for hop in _at_quota("schedules", quota, quotas, load.schedule_s, "s"):
        days = load.schedule_s / 86_400
        why = f"those of an order live for {days:.2g} days, {quotas[quota]:,g} may live at once"
        yield msgspec.structs.replace(hop, why=why)
