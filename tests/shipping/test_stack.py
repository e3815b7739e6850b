"""The shipping stack: permissions for reminders and callbacks, and its alarms."""

from collections.abc import Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource

ROLE = "Shipping/Reminders/Group/Role"


@pytest.fixture(params=["dev", "prod"])
def shop(request: pytest.FixtureRequest, templates: Mapping[str, Assembly]) -> Assembly:
    """The templates of each stage."""
    return templates[request.param]


def statements(shop: Assembly, role: str) -> list[dict[str, Any]]:
    """The statements in the policies of the role at a path."""
    return [
        statement
        for policy in shop.of_type("AWS::IAM::Policy")
        if policy.stack == "Shipping"
        for reference in policy.properties["Roles"]
        if shop.referred("Shipping", reference).path == role
        for statement in policy.properties["PolicyDocument"]["Statement"]
    ]


def group(shop: Assembly) -> Resource:
    return shop.at("Shipping/Reminders/Group")


def test_only_the_scheduler_may_assume_the_role_and_only_for_this_group(shop: Assembly) -> None:
    role = shop.at(ROLE)
    (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    condition = statement["Condition"]["StringEquals"]
    assert condition["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert shop.referred("Shipping", condition["aws:SourceArn"]) == group(shop)


def test_the_role_may_only_send_to_the_queue_and_its_dead_letter_queue(shop: Assembly) -> None:
    (statement,) = statements(shop, ROLE)
    assert statement["Action"] == "sqs:SendMessage"
    assert {shop.referred("Shipping", arn).path for arn in statement["Resource"]} == {
        "Shipping/WatchDeadline/Queue",
        "Shipping/WatchDeadline/DeadLetters",
    }


def test_one_function_may_create_schedules_and_one_delete_them_and_only_in_this_group(
    shop: Assembly,
) -> None:
    statements = {
        (shop.referred(policy.stack, policy.properties["Roles"][0]).path, statement["Action"]): (
            statement
        )
        for policy in shop.of_type("AWS::IAM::Policy")
        if policy.stack == "Shipping"
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if any(word in str(statement["Action"]) for word in ("scheduler:", "iam:"))
    }
    create = ("Shipping/RequestShipment/FunctionRole", "scheduler:CreateSchedule")
    delete = ("Shipping/TakeCarrierEventRole", "scheduler:DeleteSchedule")
    hand = statements.pop(("Shipping/RequestShipment/FunctionRole", "iam:PassRole"))
    assert statements.keys() == {create, delete}
    for statement in statements.values():
        *_, end = statement["Resource"]["Fn::Join"][1]
        assert end == f":schedule/{group(shop).properties['Name']}/*"
    assert shop.referred("Shipping", hand["Resource"]).path == ROLE
    assert hand["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}


def test_schedules_are_deleted_in_the_group_in_which_they_are_created(shop: Assembly) -> None:
    variables = shop.at("Shipping/TakeCarrierEvent").properties["Environment"]["Variables"]
    assert shop.referred("Shipping", variables["SCHEDULE_GROUP_NAME"]) == group(shop)


def test_schedules_are_created_with_the_group_role_and_queues_of_the_stack(shop: Assembly) -> None:
    function = shop.at("Shipping/RequestShipment/Function")
    variables = function.properties["Environment"]["Variables"]
    assert shop.referred("Shipping", variables["SCHEDULE_GROUP_NAME"]) == group(shop)
    found = {
        name: shop.referred("Shipping", variables[name]).path
        for name in ("SCHEDULE_ROLE_ARN", "REMINDER_QUEUE_ARN", "REMINDER_PARKING_ARN")
    }
    assert found == {
        "SCHEDULE_ROLE_ARN": ROLE,
        "REMINDER_QUEUE_ARN": "Shipping/WatchDeadline/Queue",
        "REMINDER_PARKING_ARN": "Shipping/WatchDeadline/DeadLetters",
    }


def test_overdue_parcels_late_recalls_failed_deliveries_and_forged_callbacks_have_alarms(
    shop: Assembly,
) -> None:
    for path, name in (
        ("Shipping/Overdue", "OverdueShipments"),
        ("Shipping/TooLate", "RecallsTooLate"),
        ("Shipping/Failed", "FailedDeliveries"),
        ("Shipping/Forged", "ForgedCallbacks"),
    ):
        alarm = shop.at(path).properties
        function = shop.at("Shipping/TakeCarrierEvent").properties["Environment"]["Variables"]
        assert alarm["MetricName"] == name
        assert alarm["Namespace"] == function["POWERTOOLS_METRICS_NAMESPACE"]
        assert alarm["Dimensions"] == [
            {"Name": "service", "Value": function["POWERTOOLS_SERVICE_NAME"]}
        ]


def readers(shop: Assembly, secret: str) -> set[str]:
    """The roles that may read the secret at a path."""
    return {
        shop.referred(policy.stack, role).path
        for policy in shop.of_type("AWS::IAM::Policy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if "secretsmanager" in str(statement["Action"])
        for resource in as_list(statement["Resource"])
        if shop.refers(policy.stack, resource)
        and shop.referred(policy.stack, resource).path == secret
        for role in policy.properties["Roles"]
    }


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_only_one_function_may_read_the_carriers_secret(shop: Assembly) -> None:
    assert readers(shop, "Shipping/CarrierSecret") == {"Shipping/TakeCarrierEventRole"}
    secret = shop.at("Shipping/CarrierSecret").properties
    assert secret["GenerateSecretString"]["PasswordLength"] >= 32
    # Spaces separate several keys.
    assert "IncludeSpace" not in secret["GenerateSecretString"]


def test_each_stage_has_what_its_carrier_needs_and_nothing_of_the_other(
    templates: Mapping[str, Assembly],
) -> None:
    dev, prod = templates["dev"], templates["prod"]
    callers = {
        "Shipping/RequestShipment/FunctionRole",
        "Shipping/RecallShipment/FunctionRole",
        "Shipping/TakeCarrierEventRole",
    }
    assert readers(prod, "Shipping/EasyPostKey") == callers
    for shop, there, absent in (
        (dev, "Shipping/SandboxCarrier", "Shipping/EasyPostKey"),
        (prod, "Shipping/EasyPostKey", "Shipping/SandboxCarrier"),
    ):
        paths = {resource.path for resource in shop.resources}
        assert there in paths
        assert absent not in paths
        for function in ("RequestShipment/Function", "RecallShipment/Function", "TakeCarrierEvent"):
            variables = shop.at(f"Shipping/{function}").properties["Environment"]["Variables"]
            assert shop.referred("Shipping", variables["CARRIER_RESOURCE"]).path == there
