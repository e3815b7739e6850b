"""Each permission is used, and each part of a role's policies decides about something."""

import json

import pytest

from cdk_rehearsal import FAULTS, permission_report, read_explanations
from lambdas.inventory.stock_store import RECORDS
from lambdas.returns.return_store import DECISIONS
from tests.flows.scenario import Scenario, let_an_authorization_end
from tests.flows.shop import FOREVER, Shop
from tests.flows.test_declarations import everything, put
from tools.demo import schedules
from tools.demo.supplier import BUCKET
from tools.faults.shop import ROUTES
from tools.permissions.__main__ import EXPLANATIONS

STOCK, RETURNS = "Inventory/Stock/Table", "Returns/Returns/Table"
REFUSED = "explicit deny in a resource-based policy"


def everything_fails(shop: Shop) -> None:
    """Messages have no meaning, a file is gone, and streams and schedules are given up."""
    rehearsal = shop.rehearsal
    dead = {*rehearsal.dead_letter_queues()}
    for queue in rehearsal.queues:
        if queue.path not in dead:
            queue.send("no event")
    notify_of_a_file_that_is_gone(shop)
    act_without_meaning(shop)
    shop.settle()

    readers = [each.path for each in rehearsal.functions if each.path.endswith("/Relay")]
    for path in readers:
        shop.pause(path)
        table = f"{path.removesuffix('/Relay')}/Table"
        put(shop, table, {"pk": "FAILING", "sk": "FAILING", "kind": "outbox"})
    shop.pass_time(hours=21)
    for path in readers:
        shop.resume(path)
    shop.settle()

    schedules.enable(rehearsal, schedules.CANARY)
    shop.pass_time(hours=2)
    for path in ("Orders/PlaceCanary", "Orders/SweepOrders", "Payments/SweepPayments"):
        rehearsal.faults.plan(FAULTS["gone"], target=f"{path}/Queue")
    shop.pass_time(hours=1)
    schedules.disable(rehearsal, schedules.CANARY)
    the_bus_delivers_nothing(shop)


def the_bus_delivers_nothing(shop: Shop) -> None:
    """For a day, no route from the bus delivers an event of any type."""
    for resource in shop.rehearsal.resources:
        if resource.type in ROUTES:
            shop.rehearsal.faults.plan(FAULTS["gone"], source=resource.path, times=FOREVER)
    events = [item for item in shop.outbox() if "detail" in item]
    for item in {item["detail_type"]: item for item in events}.values():
        shop.publish(source=item["source"], type_=item["detail_type"], detail=item["detail"])
    shop.pass_time(hours=25)
    shop.rehearsal.faults.clear()


def act_without_meaning(shop: Shop) -> None:
    """The stream of activities gets a record without meaning."""
    stream = shop.rehearsal.physical_id("Analytics/Activity")
    shop.rehearsal.client("kinesis").put_record(
        StreamName=stream, Data=b"no event", PartitionKey="key"
    )


def notify_of_a_file_that_is_gone(shop: Shop) -> None:
    """S3 says that there is a file, and then there is none."""
    rehearsal = shop.rehearsal
    s3, bucket = rehearsal.client("s3"), rehearsal.physical_id(BUCKET)
    shop.pause("Inventory/ImportStockFile/Function")
    stored = s3.put_object(Bucket=bucket, Key="incoming/gone.csv", Body=b"gone")
    s3.delete_object(Bucket=bucket, Key="incoming/gone.csv", VersionId=stored["VersionId"])
    shop.resume("Inventory/ImportStockFile/Function")


def change_recorded_decisions(shop: Shop) -> None:
    """An administrator tries to change and delete decisions, and deletes an item of no use."""
    rehearsal = shop.rehearsal
    client = rehearsal.client("dynamodb", role=administrator(shop))
    for path, prefix in ((STOCK, RECORDS), (RETURNS, DECISIONS)):
        table = rehearsal.physical_id(path)
        recorded = {"TableName": table, "Key": {"pk": {"S": f"{prefix}X"}, "sk": {"S": "X"}}}
        where = f"WHERE pk = '{prefix}X' AND sk = 'X'"
        with pytest.raises(client.exceptions.ClientError, match=REFUSED):
            client.update_item(**recorded)
        with pytest.raises(client.exceptions.ClientError, match=REFUSED):
            client.delete_item(**recorded)
        for change in ("DELETE FROM", "UPDATE"):
            what = "SET price = 0 " if change == "UPDATE" else ""
            with pytest.raises(client.exceptions.ClientError, match=REFUSED):
                client.execute_statement(Statement=f'{change} "{table}" {what}{where}')
        client.delete_item(TableName=table, Key={"pk": {"S": "OTHER#X"}, "sk": {"S": "X"}})


def administrator(shop: Shop) -> str:
    """Creates a role that may do everything, and returns its ARN."""
    iam = shop.rehearsal.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
    created = iam.create_role(
        RoleName="administrator",
        AssumeRolePolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
        ),
    )
    document = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(
        RoleName="administrator",
        PolicyName="everything",
        PolicyDocument=json.dumps({"Version": "2012-10-17", **document}),
    )
    return str(created["Role"]["Arn"])


def test_nobody_changes_a_recorded_decision(shop: Shop) -> None:
    change_recorded_decisions(shop)


def test_each_permission_is_used_and_each_part_of_a_policy_decides(shop: Shop) -> None:
    unwatched = "Shipping/WatchDeadline/Queue"
    shop.rehearsal.faults.plan(FAULTS["gone"], target=unwatched, times=1)
    unpaid = Scenario(shop, "unpaid", wait=shop.settle)
    unpaid.open()
    let_an_authorization_end(unpaid)
    everything(shop)
    everything_fails(shop)
    change_recorded_decisions(shop)

    unused = [each for each in read_explanations(EXPLANATIONS) if not each.tested]
    found = permission_report(shop.rehearsal, unused)

    assert found.removals > 1_000
    assert not found.findings, "\n".join(found.findings)
