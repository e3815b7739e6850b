"""The patched moto answers as the original, or as AWS documents; its cost does not grow."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import product
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws
from moto.core import responses
from moto.core.base_backend import BackendDict
from moto.dynamodb.models import dynamodb_backends
from moto.moto_api._internal.moto_random import MotoRandom
from moto.ses.models import ses_backends
from moto.sqs.models import Queue, sqs_backends

from cdk_rehearsal import moto_patches
from cdk_rehearsal.moto_patches.speed import constants
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.virtual_time.clock import Clock
from cdk_rehearsal.virtual_time.scheduler import Scheduler

REGION = "eu-central-1"
ACCOUNT = "123456789012"
Item = dict[str, Any]


@cache
def client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, REGION, aws_access_key_id="key", aws_secret_access_key="secret")


@pytest.fixture(scope="module", autouse=True)
def moto() -> Iterator[None]:
    """Started once: that takes longer than most of these tests. Each of them empties it."""
    with mock_aws():
        yield


@pytest.fixture
def patched() -> Iterator[None]:
    BackendDict.reset()
    undo = moto_patches.install()
    yield
    undo()


def both(scenario: Callable[[], Any]) -> tuple[Any, Any]:
    """What a scenario gives on the original and on the patched moto."""
    BackendDict.reset()
    original = scenario()
    BackendDict.reset()
    undo = moto_patches.install()
    try:
        return original, scenario()
    finally:
        undo()


def outcome(call: Callable[..., Any], **kwargs: Any) -> Any:
    """The answer of an API call without its metadata, or its error."""
    try:
        answer = call(**kwargs)
    except ClientError as error:
        return {key: value for key, value in error.response.items() if key != "ResponseMetadata"}
    except Exception as error:  # noqa: BLE001, moto answers some mistakes with its own
        return f"{type(error).__name__}: {error}"
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def calls_of(action: Callable[[], Any]) -> int:
    """How many Python functions an action calls: its cost, whatever the machine."""
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def table(stream: bool = True) -> Any:
    """A table with partition and sort key, and its client."""
    ddb = client("dynamodb")
    ddb.create_table(
        TableName="t",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "listed", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "listed",
                "KeySchema": [{"AttributeName": "listed", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": stream, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        if stream
        else {"StreamEnabled": False},
    )
    return ddb


def key(name: str, sort: str = "s") -> Item:
    return {"pk": {"S": name}, "sk": {"S": sort}}


def put(name: str, **attributes: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "t", "Item": {**key(name), **attributes}}}


def new(name: str, **attributes: Any) -> dict[str, Any]:
    operation = put(name, **attributes)
    operation["Put"]["ConditionExpression"] = "attribute_not_exists(pk)"
    return operation


def records() -> list[tuple[str, Any, Any]]:
    """The stream so far: kind of change, old and new image."""
    shard = dynamodb_backends[ACCOUNT][REGION].tables["t"].stream_shard
    assert shard is not None
    found = [record.to_json() for record in shard.items]
    return [
        (each["eventName"], each["dynamodb"].get("OldImage"), each["dynamodb"].get("NewImage"))
        for each in found
    ]


def stored() -> list[Item]:
    items: list[Item] = client("dynamodb").scan(TableName="t")["Items"]
    return sorted(items, key=lambda item: str(item["pk"]["S"]))


EVERY_TYPE: Item = {
    "s": {"S": "text"},
    "empty": {"S": ""},
    "n": {"N": "12.50"},
    "b": {"B": b"\x00\xff"},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "null": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "bs": {"BS": [b"x", b"y"]},
    "list": {"L": [{"S": "a"}, {"L": [{"N": "1"}]}, {"M": {}}]},
    "map": {"M": {"deep": {"M": {"b": {"B": b"z"}, "l": {"L": [{"BOOL": False}]}}}}},
}


class TestValues:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html."""

    def test_every_type_comes_back_as_it_went_in(self, patched: None) -> None:
        """Text, numbers, binaries, sets, lists and maps, however deep."""
        ddb = table()
        item = {**key("a"), **EVERY_TYPE}
        ddb.put_item(TableName="t", Item=item)
        assert ddb.get_item(TableName="t", Key=key("a"))["Item"] == item
        answer = ddb.batch_get_item(RequestItems={"t": {"Keys": [key("a")]}})
        assert answer["Responses"]["t"] == [item]

    @pytest.mark.own_behaviour
    def test_answers_are_those_of_the_original(self) -> None:
        """Reads, queries, projections and returned values do not change."""

        def scenario() -> list[Any]:
            ddb = table()
            plain = {name: value for name, value in EVERY_TYPE.items() if name not in {"b", "bs"}}
            plain["map"] = {"M": {"deep": {"N": "1"}}}
            answers = [
                outcome(ddb.put_item, TableName="t", Item={**key(name), **plain})
                for name in ("a", "b")
            ]
            answers += [
                outcome(ddb.get_item, TableName="t", Key=key("a")),
                outcome(ddb.get_item, TableName="t", Key=key("none")),
                outcome(
                    ddb.get_item,
                    TableName="t",
                    Key=key("a"),
                    ProjectionExpression="s, #m.deep",
                    ExpressionAttributeNames={"#m": "map"},
                ),
                outcome(
                    ddb.query,
                    TableName="t",
                    KeyConditionExpression="pk = :p",
                    ExpressionAttributeValues={":p": {"S": "a"}},
                ),
                outcome(
                    ddb.put_item,
                    TableName="t",
                    Item={**key("a"), "n": {"N": "1"}},
                    ReturnValues="ALL_OLD",
                ),
                outcome(ddb.delete_item, TableName="t", Key=key("a"), ReturnValues="ALL_OLD"),
                outcome(ddb.describe_table, TableName="missing"),
            ]
            return answers

        original, patched = both(scenario)
        assert patched == original

    @pytest.mark.parametrize(
        "value",
        [
            {"S": 1},
            {"N": 5},
            {"X": "a"},
            {"L": [{"S": 1}]},
            {"M": {"a": "b"}},
            {"SS": "a"},
            {"BOOL": "true"},
            "text",
        ],
    )
    @pytest.mark.own_behaviour
    def test_a_malformed_value_is_refused_as_before(self, value: Any) -> None:
        """The client checks types before it sends anything."""

        def scenario() -> Any:
            ddb = table()
            return outcome(ddb.put_item, TableName="t", Item={**key("a"), "v": value})

        original, patched = both(scenario)
        assert patched == original
        assert "Parameter validation failed" in patched

    def test_an_item_of_more_than_400_kb_is_refused(self, patched: None) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html."""
        ddb = table()
        small, large = {"S": "x" * 390_000}, {"S": "x" * 410_000}
        ddb.put_item(TableName="t", Item={**key("a"), "v": small})
        with pytest.raises(ClientError, match="size has exceeded"):
            ddb.put_item(TableName="t", Item={**key("a"), "v": large})
        with pytest.raises(ClientError, match="size to update has exceeded"):
            ddb.update_item(
                TableName="t",
                Key=key("a"),
                UpdateExpression="SET w = :w",
                ExpressionAttributeValues={":w": {"S": "x" * 20_000}},
            )
        assert stored()[0].keys() == {"pk", "sk", "v"}

    @pytest.mark.own_behaviour
    def test_an_item_of_many_lines_costs_no_more_for_each_of_them(self, patched: None) -> None:
        """Reading and writing are linear in what is read and written."""
        ddb = table()

        def write_and_read(lines: int) -> None:
            line = {"M": {"sku": {"S": "A"}, "price": {"M": {"minor": {"N": "100"}}}}}
            ddb.put_item(TableName="t", Item={**key("a"), "lines": {"L": [line] * lines}})
            ddb.get_item(TableName="t", Key=key("a"))

        write_and_read(1)
        one, ten, hundred = (calls_of(lambda n=n: write_and_read(n)) for n in (1, 10, 100))  # type: ignore[misc]
        assert (hundred - ten) / 90 <= (ten - one) / 9 * 1.05


CONDITIONS = [
    "attribute_exists(pk)",
    "attribute_not_exists(pk)",
    "n > :one AND NOT s = :text",
    "n BETWEEN :one AND :nine OR s = :text",
    "s IN (:text, :one)",
    "begins_with(s, :text) AND size(s) > :one",
    "contains(tags, :text)",
    "(n >= :one AND n <= :nine) OR missing = :one",
    "n <> :one",
    "missing < :one",
    "#s = :text",
    "n >",
    "unknown(n)",
]
VALUES = {":one": {"N": "1"}, ":nine": {"N": "9"}, ":text": {"S": "text"}}
UPDATES = [
    "SET n = n + :one",
    "SET n = n - :one",
    "SET n = if_not_exists(n, :one) + :nine",
    "SET m = if_not_exists(m, :one) + :nine, n = :one",
    "SET #s = :text, n = :nine",
    "set s = :text",
    "SET s = n, n = s",
    "SET copy = s",
    "ADD n :one",
    "ADD m :one, n :nine",
    "ADD tags :tag",
    "REMOVE s",
    "REMOVE s, missing",
    "SET n = :one REMOVE s ADD m :nine",
    "SET tags = list_append(tags, :text)",
    "DELETE tags :tag",
    "SET doc.inner = :one",
    "SET doc.deep = :one, n = :nine",
    "SET doc.#s = if_not_exists(doc.#s, :one)",
    "SET doc.inner = if_not_exists(doc.inner, :nine) + :one",
    "SET doc.deep.inner = :nine",
    "SET doc.deep.other = :nine, s = doc.deep.inner",
    "SET doc.inner = :one, doc.other = :nine",
    "SET doc.missing.inner = :one",
    "SET n.inner = :one",
    "SET n = s.inner",
    "SET n = doc.missing",
    "SET copy = doc",
    "SET doc. = :one",
    "SET doc.:one = :one",
    "REMOVE doc.inner",
    "REMOVE listed",
    "SET n = :one REMOVE listed, s",
    "SET listed = :text",
    "SET listed = :one",
    "REMOVE sk",
    "ADD doc.inner :one",
    "SET n = missing + :one",
    "SET n = s + :one",
    "SET n = n + :text",
    "SET missing.inner = :one",
    "SET n = :one, n = :nine",
    "SET n = :one SET s = :text",
    "SET pk = :text",
    "SET size = :one",
    "SET n = :unknown",
    "SET #unknown = :one",
    "ADD s :one",
    "ADD n :text",
    "SET n",
    "n = :one",
    "SET n = n + ",
]


class TestExpressions:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html."""

    ITEM: Item = {  # noqa: RUF012
        "n": {"N": "5"},
        "s": {"S": "text"},
        "listed": {"S": "yes"},
        "tags": {"SS": ["text", "b"]},
        "doc": {"M": {"inner": {"N": "1"}, "deep": {"M": {"inner": {"N": "2"}}}}},
    }

    def used(self, expression: str) -> dict[str, Any]:
        """The values and names that an expression uses, as the API wants no others."""
        known = {**VALUES, ":tag": {"SS": ["c"]}}
        values = {name: value for name, value in known.items() if name in expression}
        names = {"ExpressionAttributeNames": {"#s": "s"}} if "#s" in expression else {}
        return {**names, **({"ExpressionAttributeValues": values} if values else {})}

    @pytest.mark.parametrize("expression", CONDITIONS)
    @pytest.mark.parametrize("exists", [True, False])
    def test_conditions_hold_as_before(self, expression: str, exists: bool) -> None:
        """Comparison operators and functions, on an item that is there and one that is not."""

        def scenario() -> list[Any]:
            ddb = table()
            if exists:
                ddb.put_item(TableName="t", Item={**key("a"), **self.ITEM})
            # Twice, since what was parsed is kept.
            return [
                outcome(
                    ddb.delete_item,
                    TableName="t",
                    Key=key("a"),
                    ConditionExpression=expression,
                    ReturnValues="ALL_OLD",
                    **self.used(expression),
                )
                for _ in range(2)
            ]

        original, patched = both(scenario)
        assert patched == original

    @pytest.mark.own_behaviour
    def test_values_of_a_known_condition_are_its_own(self, patched: None) -> None:
        """What is kept of a condition depends on its values, too."""
        ddb = table()
        ddb.put_item(TableName="t", Item={**key("a"), "n": {"N": "5"}})

        def holds(value: str) -> bool:
            answer = outcome(
                ddb.put_item,
                TableName="t",
                Item={**key("a"), "n": {"N": "5"}},
                ConditionExpression="n = :n",
                ExpressionAttributeValues={":n": {"N": value}},
            )
            return "Error" not in answer

        assert [holds(value) for value in ("5", "6", "5", "7")] == [True, False, True, False]

    def updates(self) -> dict[tuple[str, bool, str], list[Any]]:
        """What each update answers, and what of its item is in the table afterwards."""
        ddb = table(stream=False)
        found = {}
        for number, case in enumerate(product(UPDATES, (True, False), ("ALL_NEW", "UPDATED_OLD"))):
            expression, exists, wanted = case
            own = key(f"{number}")
            if exists:
                ddb.put_item(TableName="t", Item={**own, **self.ITEM})
            answer = outcome(
                ddb.update_item,
                TableName="t",
                Key=own,
                UpdateExpression=expression,
                ReturnValues=wanted,
                **self.used(expression),
            )
            left = ddb.get_item(TableName="t", Key=own).get("Item")
            # moto leaves an item with nothing but its key behind when a first update fails.
            found[case] = [answer, None if "Error" in answer and not exists else left]
        return found

    @pytest.fixture(scope="class")
    @classmethod
    def updated(cls) -> tuple[Any, Any]:
        """All updates in one table each: to make one takes longer than to use it."""
        return both(cls().updates)

    @pytest.mark.parametrize("expression", UPDATES)
    @pytest.mark.parametrize("exists", [True, False])
    @pytest.mark.parametrize("wanted", ["ALL_NEW", "UPDATED_OLD"])
    def test_updates_change_what_they_did_before(
        self, updated: tuple[Any, Any], expression: str, exists: bool, wanted: str
    ) -> None:
        """Results and errors of the original, whichever way the update is evaluated."""
        original, patched = (found[expression, exists, wanted] for found in updated)
        assert _unordered(patched) == _unordered(original)

    @pytest.mark.own_behaviour
    def test_sums_are_those_of_the_original(self) -> None:
        """Numbers keep their notation."""

        def scenario() -> list[Any]:
            ddb = table()
            answers = []
            for number in ("1", "0.1", "-2.50", "1e3", "100000000000000000000"):
                ddb.put_item(TableName="t", Item={**key("a"), "n": {"N": "1.05"}})
                answers += [
                    outcome(
                        ddb.update_item,
                        TableName="t",
                        Key=key("a"),
                        UpdateExpression=f"SET n = n {operator} :x",
                        ExpressionAttributeValues={":x": {"N": number}},
                        ReturnValues="ALL_NEW",
                    )
                    for operator in "+-"
                ]
            return answers

        original, patched = both(scenario)
        assert patched == original

    @pytest.mark.own_behaviour
    def test_an_expression_is_parsed_once(
        self, patched: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However often it is used."""
        from moto.dynamodb.comparisons import ConditionExpressionParser as Parser

        parser: Any = Parser
        lexed = []
        lex = parser._lex_condition_expression

        def counted(self: Any) -> Any:
            lexed.append(self)
            return lex(self)

        monkeypatch.setattr(parser, "_lex_condition_expression", counted)
        ddb = table()
        for name in "abc":
            ddb.transact_write_items(TransactItems=[new(name)])
        assert len(lexed) == 1


def _unordered(answer: Any) -> Any:
    """Sets have no order."""
    return json.loads(json.dumps(answer), object_hook=_sorted_set)


def _sorted_set(value: dict[str, Any]) -> dict[str, Any]:
    return {"SS": sorted(value["SS"])} if value.keys() == {"SS"} else value


class TestStreams:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html."""

    def test_each_change_leaves_one_record(self, patched: None) -> None:
        """INSERT, MODIFY and REMOVE, also for an item that an update creates."""
        ddb = table()
        add = {
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        ddb.update_item(TableName="t", Key=key("a"), **add)
        ddb.update_item(TableName="t", Key=key("a"), **add)
        ddb.delete_item(TableName="t", Key=key("a"))
        one, two = {**key("a"), "n": {"N": "1"}}, {**key("a"), "n": {"N": "2"}}
        assert records() == [("INSERT", None, one), ("MODIFY", one, two), ("REMOVE", two, None)]

    def test_an_item_created_by_an_uncommon_update_leaves_one_record(self, patched: None) -> None:
        """The same where moto evaluates the update: it records an item with nothing but its key."""
        ddb = table()
        ddb.update_item(
            TableName="t",
            Key=key("a"),
            UpdateExpression="SET l = list_append(:l, :l)",
            ExpressionAttributeValues={":l": {"L": [{"N": "1"}]}},
        )
        ddb.put_item(TableName="t", Item=key("b"))
        image = {**key("a"), "l": {"L": [{"N": "1"}, {"N": "1"}]}}
        assert records() == [("INSERT", None, image), ("INSERT", None, key("b"))]
        shard = dynamodb_backends[ACCOUNT][REGION].tables["t"].stream_shard
        assert shard is not None
        numbers = [int(item.record["dynamodb"]["SequenceNumber"]) for item in shard.items]
        assert numbers == [shard.starting_sequence_number, shard.starting_sequence_number + 1]

    @pytest.mark.own_behaviour
    def test_later_writes_do_not_change_the_images_of_a_record(self, patched: None) -> None:
        """Images are made when a record is read, from items that each kind of write replaces."""
        ddb = table()
        own: dict[str, Any] = {"TableName": "t", "Key": key("a")}
        one = {":one": {"N": "1"}}
        appended = {"ExpressionAttributeValues": {":l": {"L": [{"N": "1"}]}}}
        nested = {"ExpressionAttributeValues": one}
        doc = {"M": {"inner": {"N": "1"}}}
        writes: list[Callable[[], Any]] = [
            lambda: ddb.put_item(TableName="t", Item={**key("a"), "doc": doc, "l": {"L": []}}),
            lambda: ddb.update_item(
                **own, UpdateExpression="SET l = list_append(l, :l)", **appended
            ),
            lambda: ddb.update_item(**own, UpdateExpression="SET doc.deep = :one", **nested),
            lambda: ddb.update_item(**own, UpdateExpression="ADD n :one", **nested),
            lambda: ddb.update_item(
                **own, AttributeUpdates={"m": {"Value": {"N": "2"}, "Action": "PUT"}}
            ),
            lambda: ddb.update_item(**own, UpdateExpression="REMOVE doc.deep"),
            lambda: ddb.delete_item(**own),
        ]
        seen: list[Any] = []
        for write in writes:
            write()
            assert records()[:-1] == seen
            seen = json.loads(json.dumps(records()))
            seen = [tuple(each) for each in seen]
        assert len(seen) == len(writes)

    def test_a_write_that_changes_nothing_leaves_no_record(self, patched: None) -> None:
        """PutItem or UpdateItem with the same content."""
        ddb = table()
        for _ in range(2):
            ddb.put_item(TableName="t", Item={**key("a"), "n": {"N": "1"}})
        ddb.update_item(
            TableName="t",
            Key=key("a"),
            UpdateExpression="SET n = :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        assert [kind for kind, _, _ in records()] == ["INSERT"]

    def test_a_failed_update_leaves_nothing_behind(self, patched: None) -> None:
        """Neither a part of the update nor a record."""
        ddb = table()
        ddb.put_item(TableName="t", Item={**key("a"), "n": {"N": "1"}})
        before = stored(), records()
        with pytest.raises(ClientError):
            ddb.update_item(
                TableName="t",
                Key=key("a"),
                UpdateExpression="SET n = :two, l = list_append(missing, :l)",
                ExpressionAttributeValues={":two": {"N": "2"}, ":l": {"L": []}},
            )
        with pytest.raises(ClientError):
            ddb.update_item(
                TableName="t",
                Key=key("b"),
                UpdateExpression="SET l = list_append(:l, :l)",
                ExpressionAttributeValues={":l": {"L": [{"S": "x" * 210_000}]}},
            )
        with pytest.raises(ClientError):
            ddb.update_item(
                TableName="t",
                Key=key("c"),
                UpdateExpression="ADD n :text",
                ExpressionAttributeValues={":text": {"S": "x"}},
            )
        assert (stored(), records()) == before


class TestTransactions:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html."""

    def test_all_operations_of_a_transaction_take_effect(self, patched: None) -> None:
        """Put, Update, Delete and ConditionCheck together."""
        ddb = table()
        for name in "abc":
            ddb.put_item(TableName="t", Item={**key(name), "n": {"N": "1"}})
        seen = len(records())
        ddb.transact_write_items(
            TransactItems=[
                {
                    "Update": {
                        "TableName": "t",
                        "Key": key("a"),
                        "UpdateExpression": "SET n = n + :one",
                        "ConditionExpression": "n = :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                },
                {"Delete": {"TableName": "t", "Key": key("b")}},
                {
                    "ConditionCheck": {
                        "TableName": "t",
                        "Key": key("c"),
                        "ConditionExpression": "attribute_exists(pk)",
                    }
                },
                new("d"),
            ]
        )
        assert stored() == [
            {**key("a"), "n": {"N": "2"}},
            {**key("c"), "n": {"N": "1"}},
            key("d"),
        ]
        assert [kind for kind, _, _ in records()[seen:]] == ["MODIFY", "REMOVE", "INSERT"]

    def test_a_cancelled_transaction_leaves_neither_items_nor_records(self, patched: None) -> None:
        """One failed condition undoes all, whatever the order of the operations."""
        ddb = table()
        for name in "abc":
            ddb.put_item(TableName="t", Item={**key(name), "n": {"N": "1"}, "l": {"L": []}})
        before = stored(), records()
        uncommon = {
            "TableName": "t",
            "Key": key("b"),
            "UpdateExpression": "SET l = list_append(l, :l)",
            "ExpressionAttributeValues": {":l": {"L": [{"S": "x"}]}},
        }
        common = {
            "TableName": "t",
            "Key": key("e"),
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        with pytest.raises(ddb.exceptions.TransactionCanceledException):
            ddb.transact_write_items(
                TransactItems=[
                    put("a", n={"N": "2"}),
                    {"Update": uncommon},
                    {"Delete": {"TableName": "t", "Key": key("c")}},
                    new("d"),
                    {"Update": common},
                    {
                        "ConditionCheck": {
                            "TableName": "t",
                            "Key": key("f"),
                            "ConditionExpression": "attribute_exists(pk)",
                        }
                    },
                ]
            )
        assert (stored(), records()) == before
        ddb.put_item(TableName="t", Item=key("z"))
        assert records()[len(before[1]) :] == [("INSERT", None, key("z"))]

    def test_reasons_say_which_operation_failed(self, patched: None) -> None:
        """One reason for each operation; the old item where it was asked for."""
        ddb = table()
        ddb.put_item(TableName="t", Item={**key("b"), "n": {"N": "1"}})
        wanted = new("b")
        wanted["Put"]["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        ddb.put_item(TableName="t", Item=key("c"))
        with pytest.raises(ddb.exceptions.TransactionCanceledException) as error:
            ddb.transact_write_items(TransactItems=[new("a"), wanted, new("c")])
        failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        assert error.value.response["CancellationReasons"] == [
            {"Code": "None"},
            {**failed, "Item": {**key("b"), "n": {"N": "1"}}},
            failed,
        ]
        message = error.value.response["Error"]["Message"]
        assert message.endswith("[None, ConditionalCheckFailed, ConditionalCheckFailed]")

    @pytest.mark.own_behaviour
    def test_refusals_are_those_of_the_original(self) -> None:
        """Two operations on one item, 101 operations, an unknown table, a malformed key."""

        def scenario() -> list[Any]:
            ddb = table()
            strange = {"Delete": {"TableName": "t", "Key": {"pk": {"S": "a"}}}}
            elsewhere = {"Delete": {"TableName": "other", "Key": key("a")}}
            wrong = {
                "Update": {
                    "TableName": "t",
                    "Key": key("a"),
                    "UpdateExpression": "SET pk = :v",
                    "ExpressionAttributeValues": {":v": {"S": "x"}},
                }
            }
            answers = [
                outcome(ddb.transact_write_items, TransactItems=operations)
                for operations in (
                    [new("a"), put("a")],
                    [put(f"n{number}") for number in range(101)],
                    [new("a"), strange],
                    [new("a"), wrong],
                )
            ]
            unknown = outcome(ddb.transact_write_items, TransactItems=[new("a"), elsewhere])
            return [*answers, unknown["Error"]["Code"], stored()]

        original, patched = both(scenario)
        assert patched[:4] == original[:4]
        assert patched[4] == "ResourceNotFoundException"
        assert patched[5] == []

    @pytest.mark.own_behaviour
    def test_the_cost_depends_on_the_operations_alone(self, patched: None) -> None:
        """As many calls with 400 items in the table as with 10."""
        ddb = table()

        def transact(name: str) -> Callable[[], Any]:
            return lambda: ddb.transact_write_items(TransactItems=[new(f"{name}{n}") for n in "ab"])

        def fill(names: range) -> None:
            for start in names[::25]:
                requests = [put(f"x{n}")["Put"]["Item"] for n in range(start, start + 25)]
                ddb.batch_write_item(
                    RequestItems={"t": [{"PutRequest": {"Item": item}} for item in requests]}
                )

        fill(range(25))
        transact("w")()
        few = calls_of(transact("x"))
        fill(range(25, 400))
        assert calls_of(transact("y")) == few


KEYS = [key(name, sort) for name in "ab" for sort in "xy"]
LISTED = st.sampled_from(["yes", "no", None])
WRITES = st.tuples(
    st.sampled_from(["put", "update", "delete", "transact", "cancelled", "query"]),
    st.sampled_from(KEYS),
    LISTED,
)


class TestIndexes:
    """Queries of secondary indexes."""

    def write(self, ddb: Any, kind: str, own: Item, listed: str | None) -> Any:
        """Makes an item listed or not, by one of the ways; or queries the index."""
        item = {**own, **({"listed": {"S": listed}} if listed else {})}
        value = {"ExpressionAttributeValues": {":l": {"S": listed}}} if listed else {}
        update = {"UpdateExpression": "SET listed = :l" if listed else "REMOVE listed", **value}
        if kind == "put":
            return outcome(ddb.put_item, TableName="t", Item=item)
        if kind == "update":
            return outcome(ddb.update_item, TableName="t", Key=own, **update)
        if kind == "delete":
            return outcome(ddb.delete_item, TableName="t", Key=own)
        if kind == "query":
            return self.found(ddb, listed or "yes")
        other = next(each for each in KEYS if each != own)
        operations: list[Any] = [
            {"Update": {"TableName": "t", "Key": own, **update}},
            {"Put": {"TableName": "t", "Item": {**other, "listed": {"S": "yes"}}}},
        ]
        if kind == "cancelled":
            operations.append({"Delete": {"TableName": "t", "Key": key("z")}})
            operations[-1]["Delete"]["ConditionExpression"] = "attribute_exists(pk)"
        return outcome(ddb.transact_write_items, TransactItems=operations)

    def found(self, ddb: Any, listed: str) -> Any:
        """The items in the index, in pages of two."""
        pages = ddb.get_paginator("query").paginate(
            TableName="t",
            IndexName="listed",
            KeyConditionExpression="listed = :l",
            ExpressionAttributeValues={":l": {"S": listed}},
            PaginationConfig={"PageSize": 2},
        )
        return [page["Items"] for page in pages]

    @settings(max_examples=15, deadline=None)
    @given(writes=st.lists(WRITES, min_size=4, max_size=9))
    def test_queries_find_what_the_original_finds(
        self, writes: list[tuple[str, Item, str | None]]
    ) -> None:
        """Whatever was written before and between them."""

        def scenario() -> list[Any]:
            ddb = table()
            answers = [self.found(ddb, "yes"), *(self.write(ddb, *each) for each in writes)]
            return [*answers, self.found(ddb, "yes"), self.found(ddb, "no")]

        original, patched = both(scenario)
        assert patched == original

    def test_the_cost_of_a_query_depends_on_what_it_finds_alone(self, patched: None) -> None:
        """As many calls with 200 items in the table as with 10."""
        ddb = table()

        def query_of(names: range) -> int:
            for number in names:
                ddb.put_item(TableName="t", Item={**key(f"x{number}"), "listed": {"S": "no"}})
            ddb.put_item(TableName="t", Item={**key("a"), "listed": {"S": "yes"}})
            assert self.found(ddb, "yes") == [[{**key("a"), "listed": {"S": "yes"}}]]
            return calls_of(lambda: self.found(ddb, "yes"))

        query_of(range(5))
        assert query_of(range(5, 10)) == query_of(range(10, 200))


class TestScans:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html."""

    @pytest.mark.own_behaviour
    def test_pages_are_those_of_the_original(self) -> None:
        """By number, by size, by segment, filtered, and of a table that changes meanwhile."""

        def scenario() -> list[Any]:
            ddb = table()
            for number in range(23):
                item = {**key(f"n{number % 5}", f"{number:02}"), "v": {"N": str(number)}}
                ddb.put_item(TableName="t", Item={**item, "text": {"S": "x" * 90_000}})
            found = [
                pages(ddb, Limit=4),
                pages(ddb),
                pages(ddb, TotalSegments=2, Segment=1, Limit=2),
                pages(
                    ddb,
                    Limit=5,
                    FilterExpression="v > :v",
                    ExpressionAttributeValues={":v": {"N": "9"}},
                    ProjectionExpression="v",
                ),
            ]
            first = ddb.scan(TableName="t", Limit=3)
            ddb.delete_item(TableName="t", Key=first["LastEvaluatedKey"])
            ddb.delete_item(TableName="t", Key=key("n0", "15"))
            start = {"ExclusiveStartKey": first["LastEvaluatedKey"]}
            return [*found, pages(ddb, Limit=3, **start), pages(ddb, Limit=3, **start)]

        original, patched = both(scenario)
        assert [len(page["Items"]) for page in original[0]] == [4] * 5 + [3]
        assert patched == original

    @pytest.mark.own_behaviour
    def test_the_cost_of_a_page_depends_on_its_items_alone(self, patched: None) -> None:
        """Which is so for all pages after the first, in which the items are put in order."""
        ddb = table()

        def page_of(names: range) -> int:
            for number in names:
                ddb.put_item(TableName="t", Item=key(f"x{number:03}"))
            first = ddb.scan(TableName="t", Limit=2)
            start = first["LastEvaluatedKey"]
            return calls_of(lambda: ddb.scan(TableName="t", Limit=2, ExclusiveStartKey=start))

        page_of(range(5))
        assert page_of(range(5, 10)) == page_of(range(10, 200))


def pages(ddb: Any, **wanted: Any) -> list[Any]:
    """The pages of a scan, without their metadata."""
    found = list[Any]()
    while not found or "LastEvaluatedKey" in found[-1]:
        if found:
            wanted["ExclusiveStartKey"] = found[-1]["LastEvaluatedKey"]
        found.append(outcome(ddb.scan, TableName="t", **wanted))
    return found


def queue(**attributes: str) -> tuple[Any, str]:
    sqs = client("sqs")
    url: str = sqs.create_queue(QueueName="q", Attributes=attributes)["QueueUrl"]
    return sqs, url


def model(name: str = "q") -> Queue:
    return sqs_backends[ACCOUNT][REGION].queues[name]


@pytest.fixture
def clock(patched: None) -> Iterator[Clock]:
    clock = Clock(datetime(2026, 1, 5, 8, tzinfo=UTC))
    clock.start()
    yield clock
    clock.stop()


class TestQueues:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/welcome.html."""

    @pytest.mark.own_behaviour
    def test_answers_are_those_of_the_original(self) -> None:
        """Sending, receiving, counting, deleting; messages keep their attributes."""

        def scenario() -> list[Any]:
            sqs, url = queue()
            attributes = {"a": {"DataType": "String", "StringValue": "x"}}
            for body in "abc":
                sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
            sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
            facts: list[Any] = []
            for names in ([], ["All"]):
                (message,) = sqs.receive_message(
                    QueueUrl=url,
                    AttributeNames=["ApproximateReceiveCount"],
                    MessageAttributeNames=names,
                )["Messages"]
                facts.append(
                    [
                        message["Body"],
                        message["Attributes"],
                        message.get("MessageAttributes"),
                        message["MD5OfBody"],
                    ]
                )
            handle = message["ReceiptHandle"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
            facts.append(outcome(sqs.delete_message, QueueUrl=url, ReceiptHandle=handle))
            facts.append(outcome(sqs.delete_message, QueueUrl=url, ReceiptHandle="none"))
            facts.append(
                outcome(
                    sqs.change_message_visibility,
                    QueueUrl=url,
                    ReceiptHandle="none",
                    VisibilityTimeout=1,
                )
            )
            for names in (["All"], ["VisibilityTimeout", "RedrivePolicy"], ["Nonsense"]):
                answer = outcome(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=names)
                for name in ("CreatedTimestamp", "LastModifiedTimestamp"):
                    answer.get("Attributes", {}).pop(name, None)
                facts.append(answer)
            return facts

        original, patched = both(scenario)
        assert patched == original
        counts = patched[5]["Attributes"]
        assert counts["ApproximateNumberOfMessages"] == "1"
        assert counts["ApproximateNumberOfMessagesNotVisible"] == "1"
        assert counts["ApproximateNumberOfMessagesDelayed"] == "1"

    def test_an_old_handle_still_deletes(self, patched: None) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html.

        An older handle may or may not delete in AWS; in moto it does, and so it stays.
        """
        sqs, url = queue(VisibilityTimeout="0")
        sqs.send_message(QueueUrl=url, MessageBody="a")
        handles = [
            sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"] for _ in range(2)
        ]
        assert handles[0] != handles[1]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=handles[0])
        assert model()._messages == []

    def test_a_message_is_back_when_its_timeout_is_over(self, clock: Clock) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html."""
        sqs, url = queue(VisibilityTimeout="30")
        sqs.send_message(QueueUrl=url, MessageBody="a")

        def receive() -> list[Any]:
            messages: list[Any] = sqs.receive_message(QueueUrl=url).get("Messages", [])
            return messages

        assert receive()
        clock.move_to(clock.now() + 29.999)
        assert not receive()
        clock.move_to(clock.now() + 0.001)
        (again,) = receive()
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=0
        )
        assert receive()

    def test_a_message_received_too_often_goes_to_the_dead_letter_queue(self, clock: Clock) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html."""
        sqs = client("sqs")
        dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
        policy = {
            "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead",
            "maxReceiveCount": 2,
        }
        _, url = queue(VisibilityTimeout="1", RedrivePolicy=json.dumps(policy))
        sqs.send_message(QueueUrl=url, MessageBody="a")
        for _ in range(2):
            assert sqs.receive_message(QueueUrl=url)["Messages"]
            clock.move_to(clock.now() + 1)
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        (message,) = sqs.receive_message(QueueUrl=dead)["Messages"]
        assert message["Body"] == "a"
        sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
        assert (model()._messages, model("dead")._messages) == ([], [])

    def test_a_message_older_than_the_retention_is_gone(self, clock: Clock) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html."""
        sqs, url = queue(MessageRetentionPeriod="60")
        sqs.send_message(QueueUrl=url, MessageBody="old")
        clock.move_to(clock.now() + 60)
        sqs.send_message(QueueUrl=url, MessageBody="young")
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert [message["Body"] for message in messages] == ["young"]
        assert len(model()._messages) == 1

    def test_fifo_queues_keep_to_their_groups(self, clock: Clock) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html."""
        sqs = client("sqs")
        url = sqs.create_queue(
            QueueName="q.fifo",
            Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"},
        )["QueueUrl"]
        for body, group in (("a1", "a"), ("a1", "a"), ("a2", "a"), ("b1", "b")):
            sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group)

        def receive() -> list[Any]:
            messages: list[Any] = sqs.receive_message(QueueUrl=url).get("Messages", [])
            return messages

        first, second, third = receive(), receive(), receive()
        assert [m["Body"] for m in first + second + third] == ["a1", "b1"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
        assert [m["Body"] for m in receive()] == ["a2"]
        clock.move_to(clock.now() + 30)
        assert sorted(m["Body"] for m in receive() + receive()) == ["a2", "b1"]

    @pytest.mark.own_behaviour
    def test_the_cost_of_a_call_does_not_grow_with_the_queue(self, patched: None) -> None:
        """As many calls with 1,000 messages in it as with 10."""
        sqs, url = queue()

        def send() -> None:
            sqs.send_message(QueueUrl=url, MessageBody="a")

        handles: list[str] = []

        def receive() -> None:
            messages = sqs.receive_message(QueueUrl=url)["Messages"]
            handles.append(messages[0]["ReceiptHandle"])

        actions: list[Callable[[], Any]] = [
            send,
            receive,
            lambda: sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=handles[-1], VisibilityTimeout=60
            ),
            lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle=handles[-1]),
            lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]),
        ]

        def fill(messages: int) -> None:
            entries = [{"Id": str(n), "MessageBody": "a"} for n in range(10)]
            for _ in range(messages // 10):
                sqs.send_message_batch(QueueUrl=url, Entries=entries)

        fill(10)
        for action in actions:
            action()
        few = [calls_of(action) for action in actions]
        fill(1000)
        assert [calls_of(action) for action in actions] == few

    def test_a_long_poll_waits_in_virtual_time(self) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html."""
        clock = Clock(datetime(2026, 1, 5, 8, tzinfo=UTC))
        scheduler = Scheduler(clock)
        clock.start()
        BackendDict.reset()
        undo = moto_patches.install(scheduler)
        sqs, url = queue()
        began = scheduler.now()

        def poll() -> tuple[float, int]:
            answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
            return scheduler.now() - began, len(answer.get("Messages", []))

        poller = scheduler.spawn(poll)
        scheduler.run_for(7)
        sqs.send_message(QueueUrl=url, MessageBody="a")
        took, received = poller.result()
        assert received == 1
        assert 7 <= took < 7.2
        took, received = scheduler.spawn(poll).result()
        assert received == 0
        assert took == pytest.approx(27, abs=0.3)
        undo()
        clock.stop()


@pytest.mark.own_behaviour
class TestRequests:
    """https://docs.aws.amazon.com/general/latest/gr/rande.html."""

    def test_accounts_are_emptied_as_often_as_one_likes(self, patched: None) -> None:
        """One service brings another's account back while both are emptied."""
        ses = client("sesv2")
        for _ in range(3):
            ses.create_email_identity(EmailIdentity="a@example.com")
            ses.send_email(
                FromEmailAddress="a@example.com",
                Destination={"ToAddresses": ["b@example.com"]},
                Content={"Simple": {"Subject": {"Data": "a"}, "Body": {"Text": {"Data": "b"}}}},
            )
            assert len(ses_backends[ACCOUNT][REGION].sent_messages) == 1
            BackendDict.reset()

    def test_each_service_still_gets_its_requests(self, patched: None) -> None:
        """By host, and by path where services share a host; errors keep their form."""
        bucket = {"LocationConstraint": REGION}
        client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration=bucket)
        client("s3").put_object(Bucket="bucket", Key="a/b c", Body=b"x")
        assert client("s3").get_object(Bucket="bucket", Key="a/b c")["Body"].read() == b"x"
        assert client("sts").get_caller_identity()["Account"] == ACCOUNT
        assert client("lambda").list_functions()["Functions"] == []
        with pytest.raises(client("s3").exceptions.NoSuchKey):
            client("s3").get_object(Bucket="bucket", Key="none")
        with pytest.raises(client("lambda").exceptions.ResourceNotFoundException):
            client("lambda").get_function(FunctionName="none")

    def test_answers_of_other_services_do_not_change(self) -> None:
        """Members that are absent, or known under another name, are found as before."""

        def scenario() -> list[Any]:
            events, sns, sfn = client("events"), client("sns"), client("stepfunctions")
            events.create_event_bus(Name="bus")
            events.put_rule(Name="r", EventBusName="bus", EventPattern='{"source": ["a"]}')
            topic = sns.create_topic(Name="t")["TopicArn"]
            return [
                outcome(events.describe_rule, Name="r", EventBusName="bus"),
                outcome(events.list_rules, EventBusName="bus"),
                outcome(sns.get_topic_attributes, TopicArn=topic),
                outcome(sfn.list_state_machines),
                outcome(client("cognito-idp").list_user_pools, MaxResults=1),
            ]

        original, patched = both(scenario)
        assert patched == original


def test_the_key_of_user_pools_is_read_once(patched: None) -> None:
    """https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html.

    moto has one key for all pools; reading it takes a third of a second.
    """
    from moto.cognitoidp.models import cognitoidp_backends

    idp = client("cognito-idp")
    for name in "ab":
        idp.create_user_pool(PoolName=name)
    pools = cognitoidp_backends[ACCOUNT][REGION].user_pools.values()
    one, two = (pool.json_web_key for pool in pools)
    assert one is two
    assert one.as_dict(private=False)["kid"] == "dummy"


@pytest.mark.parametrize("options", [{}, {"include_digits": False}, {"lower_case": True}])
def test_random_strings_are_those_of_moto_and_leave_the_same_chance(options: Item) -> None:
    def scenario() -> Any:
        generator = MotoRandom(7)
        texts = [generator.get_random_string(length, **options) for length in (0, 1, 52, 1_000)]
        return texts, generator.random()

    original, patched = both(scenario)

    assert patched == original
    assert [len(text) for text in patched[0]] == [0, 1, 52, 1_000]


@pytest.mark.own_behaviour
def test_only_symmetric_keys_share_a_key_pair(patched: None) -> None:
    """They have none on AWS; making moto's takes a tenth of a second."""
    from moto.kms.models import kms_backends

    for options in ({}, {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}):
        for _ in range(2):
            client("kms").create_key(**options)
    one, two, *signing = (key.private_key for key in kms_backends[ACCOUNT][REGION].keys.values())
    assert one is two
    assert len({key.public_key() for key in [one, *signing]}) == 3


def test_a_second_install_changes_nothing_and_undo_puts_all_back() -> None:
    """Patches are those of the first install, and none is left in the end."""
    from moto.dynamodb.models import DynamoDBBackend

    original = DynamoDBBackend.transact_write_items
    undo = moto_patches.install()
    patched = DynamoDBBackend.transact_write_items
    moto_patches.install()()
    assert DynamoDBBackend.transact_write_items is patched is not original
    undo()
    assert DynamoDBBackend.transact_write_items is original


def test_an_action_that_a_later_start_adds_is_found() -> None:
    """SQS of moto lacks the moves of messages, which only a rehearsal adds."""

    class Response(responses.BaseResponse):
        pass

    def actions() -> list[str]:
        patches = Patches()
        constants.patch(patches)
        try:
            moto: Any = responses
            return list(moto.method_names_from_class(Response))
        finally:
            patches.undo()

    assert "start_message_move_task" not in actions()
    Response.start_message_move_task = lambda _: None  # type: ignore[attr-defined]
    assert "start_message_move_task" in actions()
