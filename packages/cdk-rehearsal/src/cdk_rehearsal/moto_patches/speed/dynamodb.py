"""Faster values, expressions, streams and transactions of DynamoDB."""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from moto.core.utils import utcnow
from moto.dynamodb import responses as dynamodb_responses
from moto.dynamodb.comparisons import ConditionExpressionParser, get_filter_expression
from moto.dynamodb.exceptions import (
    ConditionalCheckFailed,
    ItemSizeTooLarge,
    ItemSizeToUpdateTooLarge,
    MockValidationException,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
    TransactWriteSingleOpException,
)
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import StreamRecord, Table
from moto.dynamodb.models.utilities import dynamo_to_dict
from moto.dynamodb.parsing.expressions import (  # type: ignore[attr-defined]
    UpdateExpressionParser,
)
from moto.moto_api._internal import mock_random

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.moto_patches import indexes
from cdk_rehearsal.moto_patches.entries import Entry
from cdk_rehearsal.moto_patches.speed.updates import update_plan, updated
from cdk_rehearsal.sandbox.patching import Patches

_EXPRESSIONS = 4096
_IMAGES = "_rehearsal_images"
_ALWAYS_FIT = LIMITS["dynamodb.transaction_bytes"] // LIMITS["dynamodb.item_bytes"]
"""So many items are never too large together."""


def patch(patches: Patches) -> None:
    """Replaces the most expensive parts."""
    _patch_values(patches)
    _patch_expressions(patches)
    patches.set(StreamRecord, "__init__", _initialize_record)
    patches.set(StreamRecord, "to_json", _record_with_images)
    patches.set(StreamRecord, "__reduce__", lambda record: (_restored, (record.to_json(),)))
    patches.set(Table, "query", _query(Table.query))
    patches.set(Table, "put_item", _put_item(Table.put_item))
    patches.set(Table, "delete_item", _delete_item(Table.delete_item))
    patches.set(Table, "scan", _scan(Table.scan))
    patches.set(DynamoDBBackend, "update_item", _update_item(DynamoDBBackend.update_item))
    patches.set(DynamoDBBackend, "transact_write_items", _transact_write_items)


# -- values -----------------------------------------------------------------------------------


def _patch_values(patches: Patches) -> None:
    # moto wraps, copies and measures nested values once more on each level.
    patches.set(DynamoType, "__init__", _initialize)
    patches.set(DynamoType, "__deepcopy__", lambda value, _: _copied(value))
    patches.set(DynamoType, "size", _size)
    patches.set(DynamoType, "__eq__", _equal)
    patches.set(DynamoType, "__ne__", lambda value, other: not _equal(value, other))
    patches.set(DynamoType, "__hash__", _hash)
    patches.set(Item, "__init__", _initialize_item)
    patches.set(Item, "size", lambda item: _size_of_all(item.attrs))
    patches.set(dynamodb_responses, "dynamo_to_dict", _plain)


def _initialize(self: DynamoType, value: Any) -> None:
    if type(value) is DynamoType:
        self.type, content = value.type, value.value
    else:
        self.type, content = next(iter(value.items()))
    if self.type == "L":
        content = [DynamoType(part) for part in content]
    elif self.type == "M":
        content = {name: DynamoType(part) for name, part in content.items()}
    self.value = content


def _plain(value: Any) -> Any:
    """Returns an answer with plain Python values in place of DynamoType."""
    kind = type(value)
    if kind is DynamoType:
        return _plain_value(value)
    if kind is dict or kind is LimitedSizeDict:
        return {name: _plain(part) for name, part in value.items()}
    if kind is list:
        return [_plain(part) for part in value]
    return value if kind in _PLAIN else dynamo_to_dict(value)


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _plain_value(value: DynamoType) -> dict[str, Any]:
    content = value.value
    if value.type == "M":
        return {"M": {name: _plain_value(part) for name, part in content.items()}}
    if value.type == "L":
        return {"L": [_plain_value(part) for part in content]}
    return (
        {value.type: content}
        if value.type != "B" and type(content) in _PLAIN
        else dynamo_to_dict(value)
    )


def _copied(value: DynamoType) -> DynamoType:
    result = DynamoType.__new__(DynamoType)
    result.type = value.type
    content = value.value
    if value.type == "M":
        content = {name: _copied(part) for name, part in content.items()}
    elif value.type == "L":
        content = [_copied(part) for part in content]
    elif isinstance(content, list):
        content = list(content)
    result.value = content
    return result


def _bytes_in(text: str | bytes) -> int:
    return len(text) if text.isascii() or isinstance(text, bytes) else len(text.encode())


def _size_of_all(parts: dict[str, DynamoType]) -> int:
    size = 0
    for name, part in parts.items():
        content = part.value
        size += _bytes_in(name)
        size += _bytes_in(content) if part.type == "S" else _size(part)
    return size


def _size(value: DynamoType) -> int:
    content = value.value
    if value.type == "M":
        return _size_of_all(content)
    if value.type == "L":
        return sum(_size(part) for part in content)
    if value.type in {"SS", "NS", "BS"}:
        return sum(len(part) if value.type == "NS" else _bytes_in(part) for part in content)
    if value.type == "N":
        return len(str(content))
    return 1 if isinstance(content, bool) else _bytes_in(content)


def _equal(value: DynamoType, other: DynamoType) -> bool:
    if value.type != other.type:
        return False
    if value.type == "S":
        return bool(value.value == other.value)
    return bool(value.cast_value == other.cast_value)


def _hash(value: DynamoType) -> int:
    return hash((value.type, value.value if value.type == "S" else value.cast_value))


def _initialize_item(
    self: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]
) -> None:
    # moto measures the whole item again for each attribute that it adds.
    self.hash_key = hash_key
    self.range_key = range_key
    self.attrs = LimitedSizeDict()
    for name, value in attrs.items():
        dict.__setitem__(self.attrs, name, DynamoType(value))
    if self.size() > LIMITS["dynamodb.item_bytes"]:
        raise ItemSizeTooLarge


# -- expressions ------------------------------------------------------------------------------


def _patch_expressions(patches: Patches) -> None:
    # A handler uses few expressions, and moto parses each three times per call. It is safe to share
    # the parsed forms: conditions are only evaluated, and updates are copied before use.
    parse = ConditionExpressionParser.parse
    known: dict[tuple[Any, ...], tuple[Any, list[str], list[str]]] = {}
    order = deque[tuple[Any, ...]]()

    def parse_condition(parser: ConditionExpressionParser) -> Any:
        key = (
            parser.condition_expression,
            repr(parser.expression_attribute_names or {}),
            repr(parser.expression_attribute_values or {}),
        )
        found = known.get(key)
        if found is None:
            tree = parse(parser)
            found = (tree, parser.expr_attr_names_found, parser.expr_attr_values_found)
            known[key] = found
            order.append(key)
            if len(order) > _EXPRESSIONS:
                del known[order.popleft()]
        tree, names, values = found
        parser.expr_attr_names_found = list(names)
        parser.expr_attr_values_found = list(values)
        return tree

    patches.set(ConditionExpressionParser, "parse", parse_condition)
    make = lru_cache(_EXPRESSIONS)(UpdateExpressionParser.make)
    patches.set(UpdateExpressionParser, "make", staticmethod(make))


# -- streams ----------------------------------------------------------------------------------


def _initialize_record(
    self: StreamRecord,
    table: Table,
    stream_type: str,
    event_name: str,
    old: Item | None,
    new: Item | None,
    seq: int,
) -> None:
    # moto measures a record by the length of its JSON.
    image: Any = old if old is not None else new
    keys = {table.hash_key_attr: image.hash_key.to_json()}
    if table.range_key_attr is not None:
        keys[table.range_key_attr] = image.range_key.to_json()
    size = sum(_bytes_in(name) + _size(image.attrs[name]) for name in keys)
    change: dict[str, Any] = {
        "StreamViewType": stream_type,
        "ApproximateCreationDateTime": utcnow(),
        "SequenceNumber": str(seq),
        "SizeBytes": 0,
        "Keys": keys,
    }
    images = {
        name: item
        for name, item, kinds in (
            ("NewImage", new, {"NEW_IMAGE", "NEW_AND_OLD_IMAGES"}),
            ("OldImage", old, {"OLD_IMAGE", "NEW_AND_OLD_IMAGES"}),
        )
        if item is not None and stream_type in kinds
    }
    change["SizeBytes"] = size + sum(item.size() for item in images.values())
    vars(self)[_IMAGES] = images
    self.record = {
        "eventID": mock_random.uuid4().hex,
        "eventName": event_name,
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.0",
        "awsRegion": table.region_name,
        "dynamodb": change,
    }


def _record_with_images(self: StreamRecord) -> dict[str, Any]:
    """Returns a record with images of its items, which no later write changes.

    A record's items take a fifth of the memory of their images.
    """
    images = {name: item.to_json()["Attributes"] for name, item in vars(self)[_IMAGES].items()}
    return {**self.record, "dynamodb": {**self.record["dynamodb"], **images}}


def _restored(content: dict[str, Any]) -> StreamRecord:
    """Returns a record with this content, as `to_json` returns it."""
    record: Any = StreamRecord.__new__(StreamRecord)
    record.record = content
    vars(record)[_IMAGES] = {}
    restored: StreamRecord = record
    return restored


# -- reading ----------------------------------------------------------------------------------


def _query(original: Any) -> Any:
    """Makes a query read only the items that have its key, instead of the whole table."""

    def query(table: Table, hash_key: DynamoType, *arguments: Any, **options: Any) -> Any:
        conditions = options.get("hash_key_conditions") or [(table.hash_key_attr, hash_key)]
        # Shadows the method while the query runs.
        vars(table)["all_items"] = lambda: list(_having(table, *conditions[0]))
        try:
            return original(table, hash_key, *arguments, **options)
        finally:
            del vars(table)["all_items"]

    return query


def _having(table: Table, attribute: str, key: DynamoType) -> Iterable[Item]:
    if attribute != table.hash_key_attr:
        return indexes.find(table, attribute, key)
    stored: Any = table.items.get(key, {})
    return stored.values() if table.range_key_attr else filter(None, (stored,))


def _put_item(original: Any) -> Any:
    def put_item(table: Table, *arguments: Any, **options: Any) -> Item:
        item: Item = original(table, *arguments, **options)
        indexes.note(table, item.hash_key, item.range_key)
        return item

    return put_item


def _delete_item(original: Any) -> Any:
    def delete_item(
        table: Table, hash_key: DynamoType, range_key: DynamoType | None
    ) -> Item | None:
        indexes.note(table, hash_key, range_key)
        item: Item | None = original(table, hash_key, range_key)
        return item

    return delete_item


def _scan(original: Any) -> Any:
    """Makes a scan continue where its last page ended.

    moto sorts the whole table for each page, and searches it for the start of the page. Items that
    are written between two pages may be missed, as in DynamoDB.
    """

    def scan(
        table: Table,
        filters: dict[str, Any],
        limit: int,
        exclusive_start_key: dict[str, Any] | None,
        filter_expression: Any = None,
        index_name: str | None = None,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        known = vars(table)
        start, pages = known.pop("pages", (None, None))
        if pages is None or not exclusive_start_key or start != _start(exclusive_start_key):
            pages = _Pages(table)
        if not index_name:
            # Shadows the method while the page is read.
            known["all_items"] = lambda: pages
        try:
            results, count, last = original(
                table,
                filters,
                limit,
                exclusive_start_key,
                filter_expression,
                index_name,
                *arguments,
                **options,
            )
        finally:
            known.pop("all_items", None)
        if last is not None and not index_name:
            known["pages"] = (_start(last), pages)
        return results, count, last

    return scan


class _Pages:
    """The sorted items of a table. Each iteration continues where the one before stopped.

    The last item of an iteration is repeated in the next one, because it did not fit on its page.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        rows: list[Any] = list(table.items.values())
        keys = [
            (item.hash_key, item.range_key)
            for row in rows
            for item in (row.values() if table.range_key_attr else (row,))
        ]
        keys.sort(key=lambda key: [part.cast_value for part in key if part is not None])
        self._keys = keys
        self._next = 0

    def __iter__(self) -> Iterator[Item]:
        for index in range(self._next, len(self._keys)):
            self._next = index
            item = self._table.get_item(*self._keys[index])
            if item is not None:
                yield item


def _start(key: dict[str, Any]) -> list[tuple[str, DynamoType]]:
    return sorted((name, DynamoType(value)) for name, value in key.items())


# -- writing ----------------------------------------------------------------------------------


def _update_item(original: Any) -> Any:
    """Evaluates common expressions directly; moto passes eleven times over their syntax trees."""

    def update_item(
        backend: DynamoDBBackend,
        table_name: str,
        key: dict[str, dict[str, Any]],
        update_expression: str,
        expression_attribute_names: dict[str, Any] | None = None,
        expression_attribute_values: dict[str, Any] | None = None,
        attribute_updates: dict[str, Any] | None = None,
        expected: dict[str, Any] | None = None,
        condition_expression: str | None = None,
        return_values_on_condition_check_failure: str | None = None,
    ) -> Item:
        table = backend.get_table(table_name)
        names, values = expression_attribute_names or {}, expression_attribute_values or {}
        plan = update_plan(update_expression) if update_expression else None
        if plan is not None and not attribute_updates and not expected:
            entry = Entry(table, *backend.get_keys_value(table, key))
            condition = get_filter_expression(condition_expression, names, values)
            if not condition.expr(entry.item):
                wanted = return_values_on_condition_check_failure == "ALL_OLD"
                raise ConditionalCheckFailed(
                    item=entry.item.to_json()["Attributes"] if wanted and entry.item else None
                )
            item = updated(plan, entry, key, names, values)
            if item is not None:
                if item.size() > LIMITS["dynamodb.item_bytes"]:
                    raise ItemSizeToUpdateTooLarge
                entry.put(item)
                if table.stream_shard is not None:
                    table.stream_shard.add(entry.item, item)
                return item
        result: Item = original(
            backend,
            table_name,
            key,
            update_expression,
            expression_attribute_names,
            expression_attribute_values,
            attribute_updates,
            expected,
            condition_expression,
            return_values_on_condition_check_failure,
        )
        return result

    return update_item


def _transact_write_items(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """Executes TransactWriteItems: all operations or none.

    The cost depends only on the operations. moto copies each affected table for a rollback.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    if len(transact_items) > LIMITS["dynamodb.transaction_items"]:
        raise TooManyTransactionsException
    operations = _operations(backend, transact_items)
    streams = {id(entry.table): entry.table.stream_shard for _, _, entry in operations}
    lengths = [(shard, len(shard.items)) for shard in streams.values() if shard is not None]
    done = list[Entry]()
    reasons = list[tuple[str | None, str | None, dict[str, Any] | None]]()
    cancelled = False
    try:
        for kind, operation, entry in operations:
            if not _condition(operation).expr(entry.item):
                cancelled = True
                wanted = operation.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
                old = entry.item.to_json()["Attributes"] if wanted and entry.item else None
                reasons.append(("ConditionalCheckFailed", "The conditional request failed", old))
                continue
            reasons.append((None, None, None))
            if not cancelled:
                done.append(entry)
                _write(backend, kind, operation)
        if len(done) > _ALWAYS_FIT:
            _check_size(done)
        if cancelled:
            raise TransactionCanceledException(reasons)
    except BaseException:
        for entry in reversed(done):
            entry.restore()
        for shard, length in lengths:
            del shard.items[length:]
        raise


def _check_size(entries: list[Entry]) -> None:
    """Refuses a transaction whose items are too large together.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    items = (entry.table.get_item(entry.hash_key, entry.range_key) for entry in entries)
    if (
        sum(item.size() for item in items if item is not None)
        > LIMITS["dynamodb.transaction_bytes"]
    ):
        raise MockValidationException("Transaction request size cannot exceed 4 MB")


def _operations(
    backend: DynamoDBBackend, transact_items: list[dict[str, Any]]
) -> list[tuple[str, dict[str, Any], Entry]]:
    found = list[tuple[str, dict[str, Any], Entry]]()
    seen = set[tuple[str, DynamoType, DynamoType | None]]()
    for item in transact_items:
        if len(item) != 1:
            raise TransactWriteSingleOpException
        ((kind, operation),) = item.items()
        table = backend.get_table(operation["TableName"])
        key = operation["Item"] if kind == "Put" else operation["Key"]
        entry = Entry(table, *backend.get_keys_value(table, key))
        identity = (table.name, entry.hash_key, entry.range_key)
        if identity in seen:
            raise MultipleTransactionsException
        seen.add(identity)
        found.append((kind, operation, entry))
    return found


def _condition(operation: dict[str, Any]) -> Any:
    return get_filter_expression(
        operation.get("ConditionExpression"),
        operation.get("ExpressionAttributeNames"),
        operation.get("ExpressionAttributeValues"),
    )


def _write(backend: DynamoDBBackend, kind: str, operation: dict[str, Any]) -> None:
    table_name = operation["TableName"]
    if kind == "Put":
        backend.put_item(table_name, operation["Item"], overwrite=True)
    elif kind == "Delete":
        backend.delete_item(table_name, operation["Key"])
    elif kind == "Update":
        backend.update_item(
            table_name,
            operation["Key"],
            operation["UpdateExpression"],
            operation.get("ExpressionAttributeNames", {}),
            operation.get("ExpressionAttributeValues", {}),
        )
