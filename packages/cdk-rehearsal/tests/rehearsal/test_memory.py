"""The memory of a rehearsal does not grow with work that is finished."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

import pytest
from moto.dynamodb.models import dynamodb_backends

from cdk_rehearsal import Rehearsal, spool
from cdk_rehearsal.spool import Spooled
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

ROUND = 40
"""The items that are written one after the other in a round."""
KEPT = 8
"""The entries of each sequence that stay in memory, and that move to the file together."""
SMALL = {"Place", "Timer", "frozenset", "tuple"}
"""What an index has of each place, and timers, of which a thousand are removed at once."""
PUBLISH = """
    import boto3, json, os
    from functools import cache
    @cache
    def client(): return boto3.client("eventbridgev2")
    def handler(event, context):
        client().put_events(EventBusArn=os.environ["BUS"], Entries=[
            {"Source": "shop", "DetailType": "Written",
             "Detail": json.dumps(record["dynamodb"]["Keys"])}
            for record in event["Records"]])
"""


def _write(shop: Rehearsal, name: str) -> None:
    """Writes items, each when the one before is through."""
    for number in range(ROUND):
        shop.client("dynamodb").put_item(
            TableName=shop.physical_id("Shop/Table"), Item={"pk": {"S": f"{name}-{number}"}}
        )
        shop.run_until_idle()


def _in_memory(shop: Rehearsal) -> Counter[str]:
    """Counts the objects that refer to others, by type; not the items of tables."""
    tables = dynamodb_backends[shop.account][shop.region].tables.values()
    todo: list[Any] = [table.items for table in tables]
    items: set[int] = set()
    while todo:
        each = todo.pop()
        if id(each) not in items and not issubclass(type(each), type):
            items.add(id(each))
            todo += gc.get_referents(each)
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if id(each) not in items)


def test_finished_work_is_not_in_memory(
    template: Cloud, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table -> stream -> function -> Custom Event Bus -> subscriber -> queue -> function."""
    template.add("Bus", "AWS::EventsV2::EventBus", Name="bus")
    template.table("Table")
    template.queue("Queue")
    template.role("Role")
    template.add(
        "Subscriber",
        "AWS::EventsV2::Subscriber",
        Name="queue",
        EventBusArn=ref("Bus"),
        InvokeConfiguration={"TargetArn": arn("Queue"), "RoleArn": arn("Role")},
    )
    template.function("Publish", PUBLISH, Environment={"Variables": {"BUS": ref("Bus")}})
    template.function("Work", "def handler(event, context): print(event['Records'][0]['body'])")
    template.mapping(
        "FromTable", arn("Table", "StreamArn"), "Publish", StartingPosition="TRIM_HORIZON"
    )
    template.mapping("FromQueue", arn("Queue"), "Work")
    monkeypatch.setattr(spool, "_CHUNK", KEPT)
    shop = rehearse()
    gc.unfreeze()
    for each in gc.get_objects():
        if issubclass(type(each), Spooled):
            each.kept = KEPT
    # What is here already is not counted.
    gc.freeze()
    _write(shop, "warm")
    once = _in_memory(shop)
    _write(shop, "once")
    twice = _in_memory(shop)
    assert shop.logs("Shop/Work").count("\n") == 2 * ROUND
    assert twice["Record"] <= 2 * KEPT
    grown = twice - once
    assert not {name: count for name, count in grown.items() if name not in SMALL and count > 1}
    assert grown["Place"] < 2 * ROUND
    # The garbage collector does not know texts.
    assert shop.function("Shop/Work").log._texts.in_memory <= 2 * KEPT
