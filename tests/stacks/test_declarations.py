"""Grants follow from what handlers declare; a stack that cannot grant it is refused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_sns as sns
from aws_cdk.aws_lambda import CfnEventSourceMapping

from cdk_rehearsal import Assembly, Resource, listed
from lambdas.eventing.declaration import Handler, Use
from lambdas.inventory.stock_store import RECORDS
from lambdas.notifications import call_webhook
from lambdas.orders import get_order, place_order
from lambdas.returns import list_returns
from lambdas.returns.return_store import DECISIONS
from stacks.constructs.classic_bus import ClassicBus
from stacks.constructs.context_table import ContextTable
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.packaging import Target, prepare
from stacks.constructs.platform import Platform
from stacks.constructs.python_function import PythonFunction
from stacks.constructs.queue_consumer import QueueConsumer
from stacks.constructs.vault import Vault
from stacks.environment import DEV
from tests.stacks.hops import role_of
from tests.support.handlers import handler_of


def handlers(shop: Assembly) -> Mapping[str, Handler[Any]]:
    return {
        function.path: handler
        for function in shop.of_type("AWS::Lambda::Function")
        if isinstance(handler := handler_of(function), Handler)
    }


def granted(shop: Assembly, function: Resource) -> set[Use]:
    """How the role of a function may use the table that its variables name."""
    name = function.properties["Environment"]["Variables"].get("TABLE_NAME")
    table = shop.find(function.stack, name) if name else None
    found = set()
    for policy in shop.of_type("AWS::IAM::Policy"):
        roles = [shop.referred(policy.stack, role) for role in policy.properties["Roles"]]
        if role_of(shop, function) not in roles:
            continue
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            actions, resources = statement["Action"], statement.get("Resource")
            for whole in resources if isinstance(resources, list) else [resources]:
                resource, index = whole, None
                if isinstance(whole, dict) and "Fn::Join" in whole:
                    resource, index = whole["Fn::Join"][1][0], whole["Fn::Join"][1][-1]
                if table and resource and shop.find(policy.stack, resource) == table:
                    for action in [actions] if isinstance(actions, str) else actions:
                        operation: Any = action.removeprefix("dynamodb:")
                        found.add(Use(operation, index and index.removeprefix("/index/")))
    return found


def test_each_function_may_use_its_table_as_its_handler_declares_and_in_no_other_way(
    shop: Assembly,
) -> None:
    declared = {path: set(handler.granted) for path, handler in handlers(shop).items()}
    assert {path: granted(shop, shop.at(path)) for path in declared} == declared


def granted_in_vault(shop: Assembly, function: Resource) -> set[tuple[str, str]]:
    """What the role of a function may do in the vault, with the keys that it may use."""
    vault = shop.at("Backbone/Vault/Table")
    found = set()
    for policy in shop.of_type("AWS::IAM::Policy"):
        roles = [shop.referred(policy.stack, role) for role in policy.properties["Roles"]]
        if role_of(shop, function) not in roles:
            continue
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            resource = statement.get("Resource")
            if isinstance(resource, dict) and shop.find(policy.stack, resource) == vault:
                condition = statement["Condition"]
                assert condition["Null"] == {"dynamodb:LeadingKeys": "false"}
                keys = listed(condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
                found |= {(action, *keys) for action in listed(statement["Action"])}
    return found


def test_each_function_may_use_the_vault_as_its_handler_declares_and_in_no_other_way(
    shop: Assembly,
) -> None:
    declared = {
        path: {
            (f"dynamodb:{use.operation}", f"{use.kind.__name__}#*")
            for use in handler.in_vault
            if use.kind
        }
        for path, handler in handlers(shop).items()
    }
    assert {path: granted_in_vault(shop, shop.at(path)) for path in declared} == declared


def test_few_functions_read_personal_data(shop: Assembly) -> None:
    """Extend this list only for a function that cannot do without the data."""
    readers = {
        (path, use.kind.__name__)
        for path, handler in handlers(shop).items()
        for use in handler.in_vault
        if use.kind and use.operation == "GetItem"
    }
    senders = ("AddressCustomer", "CallWebhook", "SendEmail", "SendSms")
    assert readers == {
        *((f"Notifications/{name}/Function", "Preferences") for name in senders),
        ("Notifications/GetPreferences", "Preferences"),
        ("Orders/CancelOrder", "Address"),
        ("Orders/GetOrder", "Address"),
        ("Payments/AuthorizePayment", "PaymentMethod"),
        ("Shipping/RequestShipment/Function", "Address"),
    }


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("Inventory/Stock/Table", RECORDS), ("Returns/Returns/Table", DECISIONS)],
)
def test_nobody_may_change_or_delete_a_recorded_decision(
    shop: Assembly, path: str, prefix: str
) -> None:
    table = shop.at(path)
    (replica,) = table.properties["Replicas"]
    (statement,) = replica["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", {"AWS": "*"})
    assert {"dynamodb:DeleteItem", "dynamodb:UpdateItem"} < set(statement["Action"])
    assert statement["Resource"] == "*"
    assert statement["Condition"] == {
        "ForAnyValue:StringLike": {"dynamodb:LeadingKeys": f"{prefix}*"}
    }


def test_all_functions_but_the_relays_have_a_declaration(shop: Assembly) -> None:
    others = {f.path for f in shop.of_type("AWS::Lambda::Function")} - handlers(shop).keys()
    assert others
    assert {path.rpartition("/")[2] for path in others} == {"Relay"}


@pytest.fixture(scope="module")
def platform() -> Platform:
    prepare(Target.HOST)
    stack = Stack(App(), "Sample")
    return Platform(
        environment=DEV,
        bus=ClassicBus(stack, "Bus", environment=DEV, prefix="orderflow."),
        vault=Vault(stack, "Vault", environment=DEV),
        alarm_topic=sns.Topic(stack, "Alarms"),
        target=Target.HOST,
    )


class TestConcurrency:
    @pytest.mark.parametrize(
        ("rate", "seconds", "batches"), [(1, 0.001, 2), (100, 0.5, 60), (250, 1.21, 363)]
    )
    def test_it_follows_from_the_rate_of_orders_with_a_fifth_to_spare(
        self, platform: Platform, rate: int, seconds: float, batches: int
    ) -> None:
        sized = replace(platform, environment=replace(DEV, orders_per_second=rate))
        assert concurrency(sized, f"Consumer{rate}", seconds) == batches

    def test_more_than_a_mapping_admits_is_an_error_that_names_the_consumer(
        self, platform: Platform
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html."""
        sized = replace(platform, environment=replace(DEV, orders_per_second=1_000))
        with pytest.raises(ValueError, match=r"Sample/TooSlow needs 1,200 batches .* stage dev"):
            concurrency(sized, "TooSlow", 1.0)


def concurrency(platform: Platform, id_: str, seconds_per_order: float) -> int:
    """The batches that a consumer handles at the same time."""
    stack = Stack.of(platform.bus)
    consumer = QueueConsumer(
        stack,
        id_,
        platform=platform,
        consumer=call_webhook.handler,
        table=ContextTable(stack, f"{id_}Table", platform=platform),
        seconds_per_order=seconds_per_order,
    )
    (mapping,) = [
        node for node in consumer.node.find_all() if isinstance(node, CfnEventSourceMapping)
    ]
    return int(stack.resolve(mapping.scaling_config)["maximumConcurrency"])


class TestWhatCannotBeGranted:
    def test_a_function_that_uses_a_table_has_to_get_one(self, platform: Platform) -> None:
        with pytest.raises(TypeError, match=r"orders\.get_order uses a table: .*table=…"):
            PythonFunction(
                Stack.of(platform.bus), "GetOrder", platform=platform, handler=get_order.handler
            )

    @pytest.mark.parametrize(
        ("kind", "handler", "message"),
        [
            (ContextTable, place_order.handler, r"place_order publishes .* be an OutboxTable"),
            (OutboxTable, list_returns.handler, r"list_returns uses index ByTime, which .* lacks"),
        ],
    )
    def test_a_table_needs_the_outbox_and_the_indexes_that_are_used(
        self, platform: Platform, kind: Any, handler: Handler[Any], message: str
    ) -> None:
        table = kind(Stack.of(platform.bus), kind.__name__, platform=platform)
        with pytest.raises(TypeError, match=message):
            PythonFunction(table, "Function", platform=platform, handler=handler, table=table)
