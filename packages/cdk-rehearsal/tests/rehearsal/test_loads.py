"""What one order of a rehearsal asks of each hop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cdk_rehearsal import BILLED, Hottest, Load, Loads, Rehearsal, RehearsalError
from cdk_rehearsal.latency import NONE
from cdk_rehearsal.loads import _fitted
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse
from rehearsal.test_http_api import api, route

ACT = """
    import boto3, json
    def handler(event, context):
        for record in event.get("Records", ()):
            handler(json.loads(record["body"]), context)
        for call in event.get("calls", ()):
            try:
                getattr(boto3.client(call["service"]), call["do"])(**call["with"])
            except boto3.client(call["service"]).exceptions.ClientError:
                pass
"""
"""Makes the calls that an event, or each message of a batch, lists."""


def loaded(shop: Rehearsal, use: Callable[[], object], orders: int = 1) -> Load:
    loads = Loads(shop)
    use()
    shop.run_until_idle()
    return loads.load(orders)


def calls(
    shop: Rehearsal, service: str, *made: tuple[str, dict[str, Any]], orders: int = 1
) -> Load:
    listed = [{"service": service, "do": name, "with": given} for name, given in made]
    return loaded(shop, lambda: shop.invoke("Shop/Act", {"calls": listed}), orders)


class TestTables:
    """Write units of tables and indexes, and of the keys that orders share."""

    @pytest.fixture
    def shop(self, template: Cloud, rehearse: Rehearse) -> Rehearsal:
        template.table("Table")
        properties = template.resources["Table"]["Properties"]
        properties["AttributeDefinitions"] += [{"AttributeName": "open", "AttributeType": "S"}]
        properties["GlobalSecondaryIndexes"] = [
            {
                "IndexName": "Open",
                "KeySchema": [{"AttributeName": "open", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ]
        template.function("Act", ACT)
        return rehearse()

    def write(self, shop: Rehearsal, *made: tuple[str, dict[str, Any]], orders: int = 1) -> Load:
        table = shop.physical_id("Shop/Table")
        named = [(name, {"TableName": table, **given}) for name, given in made]
        return calls(shop, "dynamodb", *named, orders=orders)

    def test_a_write_counts_the_larger_of_both_items(self, shop: Rehearsal) -> None:
        item = {"pk": {"S": "a"}}
        large = {**item, "v": {"S": "x" * 2000}}
        load = self.write(
            shop, ("put_item", {"Item": large}), ("put_item", {"Item": item}), orders=2
        )
        assert load.units == {"Shop/Table": (2 + 2) / 2}

    def test_an_item_may_have_values_of_any_type(self, shop: Rehearsal) -> None:
        values: dict[str, Any] = {
            "a": {"BOOL": False},
            "b": {"NULL": True},
            "c": {"M": {"d": {"L": [{"N": "1.5"}, {"BOOL": True}]}}},
            "e": {"SS": ["x", "y"]},
            "f": {"B": "z" * 1000},
            "g": {"NS": ["1"]},
        }
        load = self.write(shop, ("put_item", {"Item": {"pk": {"S": "a"}, **values}}))
        assert load.units == {"Shop/Table": 2}

    def test_a_transaction_counts_twice(self, shop: Rehearsal) -> None:
        table = shop.physical_id("Shop/Table")
        items = [{"Put": {"TableName": table, "Item": {"pk": {"S": key}}}} for key in "ab"]
        load = calls(shop, "dynamodb", ("transact_write_items", {"TransactItems": items}))
        assert load.units == {"Shop/Table": 4}

    def test_an_entry_of_an_index_that_changes_is_written_there(self, shop: Rehearsal) -> None:
        item = {"pk": {"S": "a"}}
        load = self.write(
            shop,
            ("put_item", {"Item": {**item, "open": {"S": "yes"}}}),
            ("put_item", {"Item": {**item, "open": {"S": "yes"}}}),
            ("delete_item", {"Key": item}),
        )
        assert load.units == {"Shop/Table": 3, "Shop/Table index Open": 2}
        assert load.hottest["Shop/Table index Open"] == Hottest(2, "yes")

    def test_the_hottest_key_is_one_that_orders_share(self, shop: Rehearsal) -> None:
        """A large item of a single order is no limit: each order has another one."""
        own = [
            ("put_item", {"Item": {"pk": {"S": f"order {n}"}, "v": {"S": "x" * 15000}}})
            for n in range(20)
        ]
        hour = [("put_item", {"Item": {"pk": {"S": "08:00"}}})] * 10
        load = self.write(shop, *own, *hour, orders=20)
        assert load.hottest == {"Shop/Table": Hottest(10 / 20, "08:00")}

    def test_a_refused_write_and_calls_from_outside_are_not_counted(self, shop: Rehearsal) -> None:
        table = shop.physical_id("Shop/Table")
        refused = {"TableName": table, "Item": {"pk": {"S": "a"}}}
        refused["ConditionExpression"] = "attribute_exists(pk)"
        listed = {"calls": [{"service": "dynamodb", "do": "put_item", "with": refused}]}

        def use() -> None:
            shop.client("dynamodb").put_item(TableName=table, Item={"pk": {"S": "b"}})
            shop.invoke("Shop/Act", listed)

        load = loaded(shop, use)
        assert load.units == {}
        assert load.calls == {"dynamodb:PutItem": 1}


def test_a_function_is_busy_for_its_cpu_and_its_calls_but_not_for_its_start(
    template: Cloud, rehearse: Rehearse
) -> None:
    """A whole CPU needs 5 ms for an invocation and 2.5 for a call; 512 MB have 512/1769 of one."""
    template.function("Act", ACT, MemorySize=512)
    shop = rehearse(latency=BILLED)
    load = calls(shop, "sts", ("get_caller_identity", {}), ("get_caller_identity", {}))
    cpu_s = (0.005 + 2 * 0.0025) * 1769 / 512
    assert cpu_s + 2 * 0.002 <= load.busy_s["Shop/Act"] <= cpu_s + 2 * 0.012


def test_a_mapping_delivers_batches_and_a_schedule_of_the_template_does_not_count(
    template: Cloud, rehearse: Rehearse
) -> None:
    for name in ("Act", "Sweep"):
        template.queue(f"{name}Queue")
        template.function(name, ACT)
        template.mapping(f"{name}Mapping", arn(f"{name}Queue"), name)
    template.add(
        "Rule",
        "AWS::Events::Rule",
        ScheduleExpression="rate(1 minute)",
        Targets=[{"Id": "Queue", "Arn": arn("SweepQueue"), "Input": "{}"}],
    )
    template.add(
        "Policy",
        "AWS::SQS::QueuePolicy",
        Queues=[ref("SweepQueue")],
        PolicyDocument={
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn("SweepQueue"),
                }
            ]
        },
    )
    shop = rehearse(latency=BILLED)

    def use() -> None:
        url = shop.physical_id("Shop/ActQueue")
        for _ in range(3):
            shop.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps({}))
        shop.run_for(200)

    loads = Loads(shop)
    use()
    load = loads.load(2)
    assert load.batches.keys() == {"Shop/Act"}
    assert load.batches["Shop/Act"].items == 3 / 2
    assert load.busy_s.keys() == {"Shop/Act"}


def test_the_time_of_a_batch_is_a_line_through_what_was_measured() -> None:
    rising = _fitted([(1, 0.3), (3, 0.5), (5, 0.7)], orders=3)
    assert (rising.items, rising.base_s, rising.item_s) == pytest.approx((3, 0.2, 0.1))
    alike = _fitted([(2, 0.4), (2, 0.6)], orders=1)
    assert (alike.items, alike.base_s, alike.item_s) == pytest.approx((4, 0, 0.25))
    falling = _fitted([(1, 0.5), (3, 0.3)], orders=1)
    assert falling.item_s == 0, "more messages never make a batch faster"
    steep = _fitted([(1, 0.1), (3, 0.9)], orders=1)
    assert steep.base_s == pytest.approx(0), "an empty batch takes no negative time"


def test_requests_count_by_route(template: Cloud, rehearse: Rehearse) -> None:
    api(template)
    template.function("Act", "def handler(event, context): return {'statusCode': 204}")
    route(template, "GET /orders", "Act")
    shop = rehearse(latency=NONE)
    load = loaded(shop, lambda: shop.http.request("GET", "/orders"))
    assert load.requests == {"Shop/Api GET /orders": 1}


def test_a_schedule_lives_until_its_time(template: Cloud, rehearse: Rehearse) -> None:
    template.queue("Queue")
    template.function("Act", ACT)
    shop = rehearse(latency=NONE)
    given = {
        "Name": "deadline",
        "ScheduleExpression": "at(2026-01-06T08:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": shop.resource("Shop/Queue").attributes["Arn"],
            "RoleArn": shop.resource("Shop/Role").attributes["Arn"],
        },
    }
    load = calls(shop, "scheduler", ("create_schedule", given), orders=2)
    assert load.schedules == 1 / 2
    assert load.schedule_s == pytest.approx(86_400 / 2, abs=60)
    again = {"Name": "deadline"}
    load = calls(shop, "scheduler", ("delete_schedule", again), ("create_schedule", given))
    assert load.schedules == 1
    assert load.schedule_s == pytest.approx(86_400, abs=60)
    load = calls(
        shop,
        "scheduler",
        ("delete_schedule", again),
        ("create_schedule", given),
        ("delete_schedule", again),
    )
    assert load.schedules == 1
    assert load.schedule_s == pytest.approx(0, abs=60)


def test_without_an_order_there_is_nothing_to_measure(template: Cloud, rehearse: Rehearse) -> None:
    template.function("Act", ACT)
    with pytest.raises(RehearsalError, match="no order was placed"):
        Loads(rehearse()).load(0)
