"""What one order of a rehearsal asks of each hop: handler time, items, units, requests, schedules.

"Order" stands for the unit of work of an application, whatever that is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from cdk_rehearsal.core import PRINCIPAL, Core, Perform
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.meter import Record
from cdk_rehearsal.rehearsal import Rehearsal

SHARED = 10
"""A key is shared by orders if at least one call in so many orders writes to it."""

_KB = 1024


class Batches(msgspec.Struct, frozen=True):
    """What a mapping delivers for one order, and how long a batch takes: base + items * each."""

    items: float
    base_s: float
    item_s: float


class Hottest(msgspec.Struct, frozen=True):
    """The write units for one order on the partition key that most of them use."""

    units: float
    key: str


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one order asks for, by construct path."""

    orders: int
    """How many orders were measured."""
    busy_s: dict[str, float]
    """The seconds in which a function is occupied."""
    batches: dict[str, Batches]
    """By the function that a mapping invokes."""
    requests: dict[str, float]
    """By API and route: ``path POST /orders``."""
    units: dict[str, float]
    """Write units by table, and by index: ``path index Name``."""
    hottest: dict[str, Hottest]
    """By the same names, for keys that orders share."""
    calls: dict[str, float]
    """Calls of functions: ``service:Operation``."""
    starts: dict[str, float]
    """Executions by state machine."""
    transitions: dict[str, float]
    """States entered, by state machine."""
    routed: float
    """Deliveries of rules."""
    schedule_s: float
    """How long the schedules live that an order creates, together."""
    schedules: float
    outside: dict[str, float]
    """Requests to hosts outside AWS."""


class Loads:
    """Measures a rehearsal from now on, until ``load`` is called.

    To be created within the rehearsal, which should have the latency ``BILLED``: otherwise the code
    of handlers takes no time. Functions that a schedule of the templates starts are not counted.
    """

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._core: Core = rehearsal._core
        self._types = {each.path: each for each in rehearsal.resources}
        self._clocked: set[str] = set()
        self._counts: defaultdict[str, defaultdict[str, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self._keys: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._waiting: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
        self._sizes: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self._schemas: dict[str, _Schema] = {}
        self._ends: dict[tuple[str, str], float] = {}
        self._core.watchers.append(self._call)
        rehearsal.meter.listen(self._on_record)

    def load(self, orders: int) -> Load:
        """Ends the measurement, and divides it by the number of orders."""
        if orders < 1:
            raise RehearsalError("no order was placed: there is nothing to measure")
        self._core.watchers.remove(self._call)
        counts = {
            kind: {who: n / orders for who, n in by.items() if who not in self._clocked}
            for kind, by in self._counts.items()
        }
        return Load(
            orders=orders,
            batches={
                who: _fitted(sizes, orders)
                for who, sizes in self._sizes.items()
                if who not in self._clocked
            },
            hottest=dict(self._hottest(orders)),
            routed=sum(counts.get("routed", {}).values()),
            schedule_s=sum(counts.get("schedule_s", {}).values()),
            schedules=sum(counts.get("schedules", {}).values()),
            **{kind: counts.get(kind, {}) for kind in _KINDS},
        )

    def _hottest(self, orders: int) -> Iterator[tuple[str, Hottest]]:
        for where, keys in self._keys.items():
            shared = {
                key: sum(units) / orders
                for key, units in keys.items()
                if len(units) * SHARED >= orders
            }
            if shared:
                key = max(shared, key=lambda each: shared[each])
                yield where, Hottest(shared[key], key)

    # -- records --------------------------------------------------------------------------

    def _on_record(self, record: Record) -> None:
        count = _RECORDS.get(record.kind)
        if count is not None:
            count(self, record)

    def _invocation(self, record: Record) -> None:
        seconds = record.detail["duration_s"] - record.detail["init_s"]
        self._counts["busy_s"][record.target] += seconds
        if self._is_clock(record.source):
            self._clocked.add(record.target)
        self._waiting[record.source, record.target].append(record)

    def _delivery(self, record: Record) -> None:
        source, target, detail = record.source, record.target, record.detail
        if self._is_clock(source):
            self._clocked.add(target)
        if self._type(source) == "AWS::Events::Rule":
            self._counts["routed"][source] += 1
        # The invocation of a batch is recorded immediately before its delivery.
        waiting = self._waiting.pop((source, target), [])
        items = detail.get("messages") or detail.get("records") or ()
        now = [each for each in waiting if each.time == record.time]
        if items and now:
            seconds = now[0].detail["duration_s"] - now[0].detail["init_s"]
            self._sizes[target].append((len(items), seconds))
        self._waiting[source, target] = now[1:]

    def _request(self, record: Record) -> None:
        self._counts["requests"][f"{record.target} {record.detail['route']}"] += 1

    def _execution(self, record: Record) -> None:
        kind = {"started": "starts", "entered": "transitions"}.get(record.detail["what"])
        if kind:
            self._counts[kind][record.source] += 1

    def _outbound(self, record: Record) -> None:
        self._counts["outside"][record.target] += 1

    def _is_clock(self, path: str) -> bool:
        """Whether something is a schedule of the templates, or is fed by one."""
        resource = self._types.get(path)
        if path in self._clocked or resource is None:
            return path in self._clocked
        return resource.type == "AWS::Scheduler::Schedule" or (
            resource.type == "AWS::Events::Rule" and "ScheduleExpression" in resource.properties
        )

    def _type(self, path: str) -> str:
        resource = self._types.get(path)
        return resource.type if resource is not None else ""

    # -- calls ----------------------------------------------------------------------------

    def _call(self, perform: Perform, client: Any, operation: str, given: dict[str, Any]) -> Any:
        """Performs an API call, and counts it if the application makes it."""
        service = client.meta.service_model.service_name
        if self._core.sender() is None and vars(client).get(PRINCIPAL) is None:
            return perform(client, operation, given)
        if service == "sns" and "PhoneNumber" in given:
            self._counts["calls"]["sns:SMS"] += 1
        else:
            self._counts["calls"][f"{service}:{operation}"] += 1
        if operation in ("CreateSchedule", "DeleteSchedule"):
            answer = perform(client, operation, given)
            self._schedule(operation, given)
            return answer
        if service == "dynamodb" and operation in _WRITES:
            return self._writes(perform, client, operation, given)
        return perform(client, operation, given)

    def _writes(self, perform: Perform, client: Any, operation: str, given: dict[str, Any]) -> Any:
        """Performs a write, and counts the units of each item and each entry of an index.

        A cancelled transaction is not counted: few are, and they change nothing.
        """

        def look(table: str, key: dict[str, Any]) -> dict[str, Any]:
            sought = {"TableName": table, "Key": key, "ConsistentRead": True}
            item: dict[str, Any] = perform(client, "GetItem", sought).get("Item", {})
            return item

        writes = []
        for table, item, checks in _WRITES[operation](given):
            schema = self._schema(perform, client, table)
            key = {name: item[name] for name in schema.keys}
            writes.append((schema, table, key, checks, look(table, key)))
        answer = perform(client, operation, given)
        factor = 2 if operation == "TransactWriteItems" else 1
        for schema, table, key, checks, before in writes:
            after = before if checks else look(table, key)
            units = factor * max(_units(before), _units(after), 1)
            self._write(schema.path, key[schema.keys[0]], units)
            for name, keys in schema.indexes.items():
                old, new = (_entry(item, keys) for item in (before, after))
                for entry in (old, new) if old != new else ():
                    if entry:
                        self._write(f"{schema.path} index {name}", entry[0], 1)
        return answer

    def _write(self, where: str, key: Any, units: float) -> None:
        self._counts["units"][where] += units
        self._keys[where][str(next(iter(key.values())))].append(units)

    def _schema(self, perform: Perform, client: Any, table: str) -> "_Schema":
        if table not in self._schemas:
            stated = perform(client, "DescribeTable", {"TableName": table})["Table"]
            indexes = stated.get("GlobalSecondaryIndexes", ())
            self._schemas[table] = _Schema(
                self._core.path_of(table),
                _names(stated),
                {each["IndexName"]: _names(each) for each in indexes},
            )
        return self._schemas[table]

    def _schedule(self, operation: str, given: Mapping[str, Any]) -> None:
        """Counts a schedule, and how long it lives: until it fires, if once, or is deleted."""
        schedule = (given.get("GroupName", "default"), given["Name"])
        if operation == "DeleteSchedule":
            self._counts["schedule_s"][""] -= self._left_s(self._ends.pop(schedule, 0.0))
            return
        self._counts["schedules"][""] += 1
        expression = str(given["ScheduleExpression"])
        if expression.startswith("at("):
            at = datetime.fromisoformat(expression[3:-1]).replace(tzinfo=UTC)
            self._ends[schedule] = at.timestamp()
            self._counts["schedule_s"][""] += self._left_s(at.timestamp())

    def _left_s(self, end: float) -> float:
        return max(0.0, end - self._core.scheduler.now())


class _Schema(NamedTuple):
    """The path of a table, its keys, and the keys of its indexes by name."""

    path: str
    keys: list[str]
    indexes: dict[str, list[str]]


def _names(stated: Mapping[str, Any]) -> list[str]:
    return [each["AttributeName"] for each in stated["KeySchema"]]


_KINDS = ("busy_s", "calls", "outside", "requests", "starts", "transitions", "units")

_RECORDS: Mapping[str, Callable[[Loads, Record], None]] = {
    "delivery": Loads._delivery,
    "execution": Loads._execution,
    "invocation": Loads._invocation,
    "outbound": Loads._outbound,
    "request": Loads._request,
}


def _transaction(given: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for each in given["TransactItems"]:
        ((kind, write),) = each.items()
        yield write["TableName"], write.get("Item") or write["Key"], kind == "ConditionCheck"


def _batch(given: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for table, requests in given["RequestItems"].items():
        for each in requests:
            ((_, write),) = each.items()
            yield table, write.get("Item") or write["Key"], False


def _single(given: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    yield given["TableName"], given.get("Item") or given["Key"], False


_WRITES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "BatchWriteItem": _batch,
    "DeleteItem": _single,
    "PutItem": _single,
    "TransactWriteItems": _transaction,
    "UpdateItem": _single,
}
"""The tables and items that a call writes, and whether it only checks a condition."""


def _units(item: Mapping[str, Any]) -> int:
    """Returns the write units of an item: its names and values, by the KB."""
    return -(-sum(len(name) + _size(value) for name, value in item.items()) // _KB)


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(len(name) + _size(each) for name, each in value.items())
    if isinstance(value, list | tuple | set):
        return sum(1 + _size(each) for each in value)
    if isinstance(value, bool):
        return 1
    return len(value.encode() if isinstance(value, str) else value)


def _entry(item: Mapping[str, Any], keys: list[str]) -> list[Any] | None:
    """Returns the keys of an item in an index, None if it is not in it."""
    return [item[key] for key in keys] if all(key in item for key in keys) else None


def _fitted(sizes: list[tuple[int, float]], orders: int) -> Batches:
    """Returns the line through the sizes and times of batches with the least squares."""
    count, items = len(sizes), sum(size for size, _ in sizes)
    mean, mean_s = items / count, sum(seconds for _, seconds in sizes) / count
    spread = sum((size - mean) ** 2 for size, _ in sizes)
    slope = mean_s / mean
    if spread:
        slope = sum((size - mean) * (seconds - mean_s) for size, seconds in sizes) / spread
        slope = min(max(slope, 0.0), mean_s / mean)
    return Batches(items / orders, mean_s - slope * mean, slope)
