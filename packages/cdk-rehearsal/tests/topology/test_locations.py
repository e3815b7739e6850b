"""Resources that a change moves: merely, with a change, beside other changes, or among twins."""

import copy
from collections.abc import Callable
from typing import Any

from cdk_rehearsal import Assembly, Template
from cdk_rehearsal.topology import Moves, moves
from topology.post import arn, ref

Templates = dict[str, Template]

QUEUE, TABLE, FUNCTION = "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::Lambda::Function"


def resource(type_: str, path: str, **properties: Any) -> dict[str, Any]:
    metadata = {"aws:cdk:path": f"{path}/Resource"}
    return {"Type": type_, "Properties": properties, "Metadata": metadata}


def using(table: Any) -> dict[str, Any]:
    return resource(FUNCTION, "Shop/Sell", Environment={"TABLE": table})


def shop() -> Templates:
    """A table, and a function that uses it; a second stack with a queue."""
    return {
        "Shop": {
            "Resources": {
                "Items": resource(TABLE, "Shop/Items", BillingMode="PAY_PER_REQUEST"),
                "Sell": using(ref("Items")),
            }
        },
        "Depot": {"Resources": {"Inbox": resource(QUEUE, "Depot/Inbox")}},
    }


def found(change: Callable[[Templates], object], base: Templates | None = None) -> Moves:
    before = base or shop()
    after = copy.deepcopy(before)
    change(after)
    return moves(Assembly(before), Assembly(after))


def rename(after: Templates) -> None:
    """Gives the table another construct id; the function refers to it by the new one."""
    resources = after["Shop"]["Resources"]
    table = resources.pop("Items")
    resources["Goods"] = {**table, "Metadata": {"aws:cdk:path": "Shop/Goods/Resource"}}
    resources["Sell"] = using(ref("Goods"))


def relocate(after: Templates) -> None:
    """Moves the table to the other stack, which exports it."""
    table = after["Shop"]["Resources"].pop("Items")
    after["Depot"]["Resources"]["DepotItems"] = {
        **table,
        "Metadata": {"aws:cdk:path": "Depot/Items/Resource"},
    }
    after["Depot"]["Outputs"] = {
        "Items": {"Value": ref("DepotItems"), "Export": {"Name": "depot:Items"}}
    }
    after["Shop"]["Resources"]["Sell"] = using({"Fn::ImportValue": "depot:Items"})


def test_a_renamed_table_merely_moves_and_the_function_that_refers_to_it_is_unchanged() -> None:
    moved = found(rename)
    assert moved.mapping == {"Shop.Items": "Shop.Goods"}
    assert moved.alone
    assert [*moved.lines()] == [
        f"`Shop/Items` → `Shop/Goods` ({TABLE}): unchanged, so `cdk refactor` can keep it"
    ]


def test_a_table_moves_to_another_stack_though_references_become_imports() -> None:
    moved = found(relocate)
    assert moved.mapping == {"Shop.Items": "Depot.DepotItems"}
    assert moved.alone


def test_folders_of_assets_are_no_change() -> None:
    base = shop()
    base["Shop"]["Resources"]["Sell"]["Metadata"]["aws:asset:path"] = "/tmp/base/asset"

    def change(after: Templates) -> None:
        rename(after)
        after["Shop"]["Resources"]["Sell"]["Metadata"]["aws:asset:path"] = "/tmp/head/asset"

    assert found(change, base).alone


def test_a_reference_to_another_attribute_is_another_change() -> None:
    def change(after: Templates) -> None:
        rename(after)
        after["Shop"]["Resources"]["Sell"] = using(arn("Goods"))

    moved = found(change)
    assert moved.mapping == {"Shop.Items": "Shop.Goods"}
    assert moved.besides == ["Shop/Sell"]


def test_a_table_that_also_changes_is_refused_with_its_properties() -> None:
    def change(after: Templates) -> None:
        relocate(after)
        table = after["Depot"]["Resources"]["DepotItems"]
        table["Properties"]["BillingMode"] = "PROVISIONED"
        table["DeletionPolicy"] = "Retain"

    moved = found(change)
    assert not moved.mapping
    [line] = moved.lines()
    assert line.startswith("**moved and changed**: `Shop/Items` → `Depot/Items`")
    assert "changes BillingMode, DeletionPolicy: " in line


def test_a_resource_that_uses_the_name_of_its_stack_changes_with_the_stack() -> None:
    base = shop()
    base["Shop"]["Resources"]["Items"]["Properties"]["Tags"] = [
        {"Key": "of", "Value": {"Ref": "AWS::StackName"}}
    ]
    assert found(rename, base).mapping == {"Shop.Items": "Shop.Goods"}
    assert not found(relocate, base).mapping


def test_moves_beside_other_changes_need_a_commit_of_their_own() -> None:
    base = shop()
    base["Depot"]["Resources"]["Drive"] = resource(FUNCTION, "Depot/Drive", Role=arn("Inbox"))

    def change(after: Templates) -> None:
        rename(after)
        after["Depot"]["Resources"]["Inbox"]["Properties"]["VisibilityTimeout"] = 60

    moved = found(change, base)
    assert moved.mapping == {"Shop.Items": "Shop.Goods"}
    assert [*moved.lines()][-1].endswith(
        "put the moves into a commit of their own, without the changes of `Depot/Inbox`"
    )


def test_another_target_of_a_reference_is_a_change() -> None:
    base = shop()
    base["Shop"]["Resources"]["Prices"] = resource(TABLE, "Shop/Prices", BillingMode="PROVISIONED")

    def change(after: Templates) -> None:
        after["Shop"]["Resources"]["Sell"] = using(ref("Prices"))

    assert found(change, base).besides == ["Shop/Sell"]


def test_twins_that_move_are_not_guessed() -> None:
    base = shop()
    queues = base["Depot"]["Resources"]
    queues["Outbox"] = resource(QUEUE, "Depot/Outbox")

    def change(after: Templates) -> None:
        after["Depot"]["Resources"] = {
            "In": resource(QUEUE, "Depot/In"),
            "Out": resource(QUEUE, "Depot/Out"),
        }

    moved = found(change, base)
    assert not moved.mapping
    assert moved.alone
    [line] = moved.lines()
    assert line.startswith(
        "**ambiguous**: `Depot/Inbox`, `Depot/Outbox` moved to `Depot/In`, `Depot/Out`"
    )


def test_a_twin_that_stays_makes_a_move_no_less_certain() -> None:
    base = shop()
    base["Depot"]["Resources"]["Outbox"] = resource(QUEUE, "Depot/Outbox")

    def change(after: Templates) -> None:
        queues = after["Depot"]["Resources"]
        del queues["Outbox"]
        queues["Out"] = resource(QUEUE, "Depot/Out")

    assert found(change, base).mapping == {"Depot.Outbox": "Depot.Out"}
