"""What the package says of changes to this shop's own templates, in which everything occurs."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import Comparison, compare_assemblies
from cdk_rehearsal.topology.changes import Side, Sides
from cdk_rehearsal.topology.imports import mapping
from cdk_rehearsal.topology.refusals import Refusal, refusals


def told(found: Comparison) -> list[str]:
    """All lines, with their headings."""
    return [f"{name}: {line}" for name, lines in found.sections.items() for line in lines]


def refused(before: Assembly, after: Assembly) -> list[Refusal]:
    return refusals(Sides(Side(before), Side(after)))


def shop(templates: Mapping[str, Assembly], change: Callable[[Assembly], object]) -> Comparison:
    """What is said of the shop in production when this is changed in memory."""
    base = Assembly(templates["prod"].templates)
    head = Assembly(copy.deepcopy(dict(base.templates)))
    change(head)
    return compare_assemblies(base, head)


def of(assembly: Assembly, path: str, type_: str) -> dict[str, Any]:
    [found] = [each for each in assembly.of_type(type_) if each.path == path]
    return found.properties


def test_the_same_shop_has_not_changed(templates: Mapping[str, Assembly]) -> None:
    found = shop(templates, lambda head: None)
    assert (found.replacements, found.refusals, told(found)) == ([], [], [])


def test_a_rules_pattern_is_told_by_the_events_it_gains_and_loses(classic: Assembly) -> None:
    def change(head: Assembly) -> None:
        rule = of(head, "Checkout/RunCheckout/Rule", "AWS::Events::Rule")
        rule["EventPattern"]["detail-type"] = ["OrderPlased.v1"]

    assert told(shop({"prod": classic}, change)) == [
        "Edges: rule `Checkout/RunCheckout/Rule` also takes detail-type OrderPlased.v1, "
        "no longer takes detail-type OrderPlaced.v1, OrderPlaced.v2"
    ]


def test_a_pattern_that_asks_for_less_is_told(classic: Assembly) -> None:
    def change(head: Assembly) -> None:
        rule = of(head, "Notifications/AddressCustomer/Rule", "AWS::Events::Rule")
        del rule["EventPattern"]["detail"]

    assert told(shop({"prod": classic}, change)) == [
        "Edges: rule `Notifications/AddressCustomer/Rule` no longer asks for detail.supersededby"
    ]


def test_a_publishers_wider_grant_is_told(templates: Mapping[str, Assembly]) -> None:
    def change(head: Assembly) -> None:
        for policy in head.of_type("AWS::IAM::Policy"):
            for statement in policy.properties["PolicyDocument"]["Statement"]:
                limits = statement.get("Condition", {}).get("ForAllValues:StringEquals", {})
                if "ItemPriced.v1" in limits.get("events:detail-type", ()):
                    limits["events:detail-type"].append("OrderPlaced.v2")

    assert told(shop(templates, change)) == [
        "Permissions: widened: `Inventory/Stock/Relay` may `events:PutEvents` on `Backbone/Bus` "
        "also if events:detail-type ForAllValues:StringEquals OrderPlaced.v2"
    ]


def test_a_workflow_is_told_state_by_state(templates: Mapping[str, Assembly]) -> None:
    def change(head: Assembly) -> None:
        machine = head.of_type("AWS::StepFunctions::StateMachine")[0]
        parts = machine.properties["DefinitionString"]["Fn::Join"][1]
        at = next(i for i, part in enumerate(parts) if '"MaxAttempts":' in str(part))
        parts[at] = parts[at].replace('"MaxAttempts":', '"MaxAttempts":9', 1)

    found = told(shop(templates, change))
    assert len(found) == 1
    assert "DefinitionString.States." in found[0]
    assert "→" in found[0]


def test_a_route_without_its_authorizer_is_open_to_anybody(
    templates: Mapping[str, Assembly],
) -> None:
    def change(head: Assembly) -> None:
        for route in head.of_type("AWS::ApiGatewayV2::Route"):
            if route.properties["RouteKey"] == "POST /orders":
                route.properties["AuthorizationType"] = "NONE"
                del route.properties["AuthorizerId"]

    found = told(shop(templates, change))
    assert "Permissions: widened: `anybody` may `call` on `POST /orders`" in found


def test_a_table_whose_key_changes_in_the_shop_is_a_loss(
    templates: Mapping[str, Assembly],
) -> None:
    def change(head: Assembly) -> None:
        table = of(head, "Orders/Orders/Table", "AWS::DynamoDB::GlobalTable")
        table["KeySchema"][0]["AttributeName"] = "other"

    [loss] = shop(templates, change).replacements
    assert loss.path == "Orders/Orders/Table"
    assert "KeySchema changes from" in loss.why


def test_the_unchanged_shop_is_accepted(templates: Mapping[str, Assembly]) -> None:
    for assembly in templates.values():
        assert refused(assembly, assembly) == []


def test_a_renamed_task_of_the_shops_workflow_is_refused_with_its_exports(
    templates: Mapping[str, Assembly],
) -> None:
    base = Assembly(templates["prod"].templates)
    text = json.dumps(base.templates)
    [task] = [each for each in base.resources if each.path == "Inventory/ReserveStock"]
    after = Assembly(json.loads(text.replace(task.logical_id, "HoldStock00000000")))
    [refusal] = [each for each in refused(base, after) if "export" in each.what]
    assert refusal.path == "Inventory/ReserveStock"
    assert "`Inventory` cannot change or remove its export" in refusal.what
    assert refusal.what.endswith("while `Checkout` imports it")


def test_routes_and_mappings_of_the_shop_are_identified(
    templates: Mapping[str, Assembly],
) -> None:
    base = Assembly(templates["prod"].templates)
    for type_ in ("AWS::ApiGatewayV2::Route", "AWS::Lambda::EventSourceMapping"):
        after = Assembly(copy.deepcopy(dict(base.templates)))
        moved = [(each.stack, each.logical_id) for each in after.of_type(type_)]
        for stack, logical_id in moved:
            resources = after.templates[stack]["Resources"]
            resources[f"{logical_id}Two"] = resources.pop(logical_id)
        assert len(refused(base, Assembly(after.templates))) == len(moved), type_


def test_the_tables_users_and_secrets_of_prod_can_be_imported(
    templates: Mapping[str, Assembly],
) -> None:
    prod = templates["prod"]
    for type_ in (
        "AWS::Cognito::UserPool",
        "AWS::DynamoDB::GlobalTable",
        "AWS::Kinesis::Stream",
        "AWS::SecretsManager::Secret",
    ):
        for resource in prod.of_type(type_):
            retained = {
                "LogicalResourceId": resource.logical_id,
                "PhysicalResourceId": "its-name",
                "ResourceStatus": "DELETE_SKIPPED",
            }
            mapped, left = mapping(prod, resource.stack, [retained])
            assert list(mapped) == [resource.logical_id], left
