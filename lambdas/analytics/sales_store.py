"""Analytics' table: a row per minute and item, one per minute of the whole shop, and the inbox.

Rows are together by day, those of items in one of several partitions, which the SKU decides. A
partition takes 1,000 writes a second, of which a transaction needs two per row; rows are written
once per transaction, not once per event.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-sharding.html

Earlier releases wrote the rows of items by hour. Those are read until they expire.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any
from zlib import crc32

from msgspec import Struct

from lambdas.analytics import domain
from lambdas.analytics.domain import Addition, Amounts, Row
from lambdas.analytics.settings import settings
from lambdas.eventing import aws
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.eventing.event import Cause
from lambdas.eventing.transaction import ConditionFailed, Key, Transaction, read_all

KEPT_DAYS = 400
"""A year, and some days to compare it with the year before."""

PARTITIONS = 32
"""The partitions of a day's items: for 1,000 orders per second, which write 13,000 units if no two
of them are in a batch. Never change it: a row would be written under two keys."""

_DAY_S = 86_400
_MOST_KEYS = 100
_NO_AMOUNTS = {"pk", "sk", "kind", "expires_at"}


class Page(Struct, frozen=True):
    """Rows of items, ordered by minute and SKU, and whether there may be more."""

    rows: dict[Row, Amounts]
    more: bool


def count(consumer: str, additions: Iterable[Addition]) -> list[Addition]:
    """Adds the additions that were not added yet, in one transaction, and returns them.

    Raises Contention if other writers keep changing the same rows. Other errors of DynamoDB pass
    through.
    """
    new: dict[str, Addition] = {}
    for addition in additions:
        new.setdefault(addition.key, addition)
    while new:
        # Nothing is published here, so no cause is passed on.
        transaction = Transaction(settings(), Cause(correlation_id=consumer))
        for key in new:
            transaction.once(consumer, key, label=key)
        for row, amounts in domain.summed(new.values()).items():
            _add(transaction, row, amounts)
        try:
            transaction.commit()
            break
        except ConditionFailed as failure:
            for key in failure.labels:
                del new[key]
    return list(new.values())


def _add(transaction: Transaction, row: Row, amounts: Amounts) -> None:
    names = {f"#{number}": name for number, name in enumerate(amounts)}
    values = {f":{number}": amount for number, amount in enumerate(amounts.values())}
    added = ", ".join(f"#{number} :{number}" for number in range(len(amounts)))
    transaction.update(
        _key(row),
        f"SET kind = :kind, expires_at = :expires_at ADD {added}",
        names=names,
        values={
            **values,
            ":kind": "shop" if row.sku is None else "item",
            # Every writer sets the same value.
            ":expires_at": int(row.minute.timestamp()) + KEPT_DAYS * _DAY_S,
        },
    )


def page(start: datetime, end: datetime, *, after: Row | None, limit: int) -> Page:
    """Returns up to `limit` rows of all items from `start` to before `end`, after a row."""
    rows: defaultdict[Row, Counter[str]] = defaultdict(Counter)
    for _, minutes in _partitions(start, end, _day):
        ends: list[Row] = []
        for pk, first, last in _ranges(minutes, after):
            found = aws.dynamodb().query(
                TableName=settings().table_name,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues=to_attributes(
                    {":pk": pk, ":first": first, ":last": last}
                ),
                Limit=limit,
            )
            for row, amounts in map(_row, found["Items"]):
                rows[row].update(amounts)
            if "LastEvaluatedKey" in found:
                ends.append(_row(found["LastEvaluatedKey"])[0])
        if ends or len(rows) >= limit:
            # Behind the first of these ends, rows may be missing.
            complete = [row for row in rows if all(_order(row) <= _order(end) for end in ends)]
            shown = sorted(complete, key=_order)[:limit]
            return Page({row: rows[row] for row in shown}, more=True)
    return Page({row: rows[row] for row in sorted(rows, key=_order)}, more=False)


def item(sku: str, start: datetime, end: datetime) -> dict[Row, Amounts]:
    """Returns the rows of one item from `start` to before `end`. Raises Contention."""
    of_sku = [Row(minute, sku) for minute in domain.minutes(start, end)]
    keys = [key for row in of_sku for key in (_key(row), _earlier_key(row))]
    rows: defaultdict[Row, Counter[str]] = defaultdict(Counter)
    for number in range(0, len(keys), _MOST_KEYS):
        found = read_all(settings(), keys[number : number + _MOST_KEYS])
        for key, attributes in found.items():
            rows[_row_under(key)].update(_amounts(attributes))
    return {row: rows[row] for row in sorted(rows, key=_order)}


def shop(start: datetime, end: datetime) -> Amounts:
    """Returns the sum of the rows of the whole shop from `start` to before `end`."""
    total: Counter[str] = Counter()
    for day, minutes in _partitions(start, end, _day):
        pages = (
            aws.dynamodb()
            .get_paginator("query")
            .paginate(
                TableName=settings().table_name,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues=to_attributes(
                    {":pk": day, ":first": f"{minutes[0]:%H:%M}", ":last": f"{minutes[-1]:%H:%M}"}
                ),
            )
        )
        for found in pages:
            for attributes in found["Items"]:
                total.update(_amounts(from_attributes(attributes)))
    return total


def _partitions(
    start: datetime, end: datetime, partition: Callable[[datetime], str]
) -> Iterator[tuple[str, list[datetime]]]:
    """Yields the partitions from `start` to before `end`, each with its minutes."""
    for key, minutes in groupby(domain.minutes(start, end), partition):
        yield key, list(minutes)


def _ranges(minutes: list[datetime], after: Row | None) -> Iterator[tuple[str, str, str]]:
    """Yields the partitions of items in minutes of one day, each with its first and last `sk`.

    All keys are behind the row `after`.
    """
    places: list[tuple[list[datetime], Callable[[datetime], Key]]] = [
        (minutes, partial(_by_day, number=number)) for number in range(PARTITIONS)
    ]
    for _, hour in groupby(minutes, lambda minute: minute.hour):
        places.append((list(hour), _by_hour))
    for each, place in places:
        (pk, first), (_, last) = place(each[0]), place(each[-1])
        if after and after.minute > each[-1]:
            continue
        if after and after.minute >= each[0]:
            # No SKU contains a blank, so this sorts before the next possible row.
            first = f"{place(after.minute)[1]}#{after.sku} "
        # "$" sorts right after "#", so this range includes the last minute.
        yield pk, first, f"{last}$"


def _day(minute: datetime) -> str:
    return f"DAY#{minute.isoformat()[:10]}"


def _by_day(minute: datetime, number: int) -> Key:
    return (f"ITEMS#{minute.isoformat()[:10]}#{number}", f"{minute:%H:%M}")


def _by_hour(minute: datetime) -> Key:
    return (f"HOUR#{minute.isoformat()[:13]}", f"{minute:%M}")


def _key(row: Row) -> Key:
    if row.sku is None:
        return (_day(row.minute), f"{row.minute:%H:%M}")
    pk, minute = _by_day(row.minute, crc32(row.sku.encode()) % PARTITIONS)
    return (pk, f"{minute}#{row.sku}")


def _earlier_key(row: Row) -> Key:
    pk, minute = _by_hour(row.minute)
    return (pk, f"{minute}#{row.sku}")


def _row(attributes: dict[str, Any]) -> tuple[Row, Amounts]:
    found = from_attributes(attributes)
    return _row_under((found["pk"], found["sk"])), _amounts(found)


def _row_under(key: Key) -> Row:
    """Returns the row of an item that is stored under `key`."""
    kind, moment, *_ = key[0].split("#")
    minute, _, sku = key[1].partition("#")
    at = f"{moment}:{minute}" if kind == "HOUR" else f"{moment}T{minute}"
    return Row(datetime.fromisoformat(f"{at}:00+00:00"), sku)


def _order(row: Row) -> tuple[datetime, str]:
    return (row.minute, row.sku or "")


def _amounts(item: Item) -> Amounts:
    return {name: value for name, value in item.items() if name not in _NO_AMOUNTS}
