"""Analytics' table: a row per minute and item, one per minute of the whole shop, and the inbox.

Rows of items are together by hour, those of the shop by day. A partition takes 1,000 writes a
second, of which a transaction needs two per row; rows are written once per transaction, not once
per event. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

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
    rows: dict[Row, Amounts] = {}
    # No SKU contains a blank, so this sorts before the next possible row.
    lowest = (_key(after)[0], f"{_key(after)[1]} ") if after else ("", "")
    for hour, minutes in _partitions(start, end, _hour):
        # "$" sorts right after "#", so this range includes the last minute.
        first, last = max((hour, f"{minutes[0]:%M}"), lowest), (hour, f"{minutes[-1]:%M}$")
        if first > last:
            continue
        found = aws.dynamodb().query(
            TableName=settings().table_name,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues=to_attributes(
                {":pk": hour, ":first": first[1], ":last": last[1]}
            ),
            Limit=limit - len(rows),
        )
        rows |= map(_row, found["Items"])
        if "LastEvaluatedKey" in found or len(rows) == limit:
            return Page(rows, more=True)
    return Page(rows, more=False)


def item(sku: str, start: datetime, end: datetime) -> dict[Row, Amounts]:
    """Returns the rows of one item from `start` to before `end`. Raises Contention."""
    keys = [_key(Row(minute, sku)) for minute in domain.minutes(start, end)]
    rows: dict[Row, Amounts] = {}
    for number in range(0, len(keys), _MOST_KEYS):
        found = read_all(settings(), keys[number : number + _MOST_KEYS])
        rows |= {_row_under(key): _amounts(found[key]) for key in sorted(found)}
    return rows


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


def _hour(minute: datetime) -> str:
    return f"HOUR#{minute.isoformat()[:13]}"


def _day(minute: datetime) -> str:
    return f"DAY#{minute.isoformat()[:10]}"


def _key(row: Row) -> Key:
    if row.sku is None:
        return (_day(row.minute), f"{row.minute:%H:%M}")
    return (_hour(row.minute), f"{row.minute:%M}#{row.sku}")


def _row(attributes: dict[str, Any]) -> tuple[Row, Amounts]:
    found = from_attributes(attributes)
    return _row_under((found["pk"], found["sk"])), _amounts(found)


def _row_under(key: Key) -> Row:
    """Returns the row of an item that is stored under `key`."""
    hour = key[0].removeprefix("HOUR#")
    minute, _, sku = key[1].partition("#")
    return Row(datetime.fromisoformat(f"{hour}:{minute}:00+00:00"), sku)


def _amounts(item: Item) -> Amounts:
    return {name: value for name, value in item.items() if name not in _NO_AMOUNTS}
