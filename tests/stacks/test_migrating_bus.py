"""A stage with both buses: what it adds to either, its bridges, and what each step changes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template
from constructs import Construct

from cdk_rehearsal import Assembly, Resource
from cdk_rehearsal.topology import losses
from stacks.constructs.migrating_bus import MigratingBus
from stacks.constructs.outbox_table import OutboxTable
from stacks.constructs.packaging import Target, prepare
from stacks.constructs.platform import Platform
from stacks.constructs.queues import BufferQueue
from stacks.constructs.vault import Vault
from stacks.environment import DEV, Migration
from workspace.isolation import PROJECT

RULE, SUBSCRIBER = "AWS::Events::Rule", "AWS::EventsV2::Subscriber"


def by_id(shop: Assembly) -> dict[tuple[str, str], Resource]:
    return {(each.stack, each.logical_id): each for each in shop.resources}


ADDED = {
    RULE: {"State"},
    SUBSCRIBER: {"State"},
    # The relay may publish on both buses, and each queue admits both.
    "AWS::IAM::Policy": {"PolicyDocument"},
    "AWS::SQS::QueuePolicy": {"PolicyDocument"},
    "AWS::SNS::TopicPolicy": {"PolicyDocument"},
    "AWS::KMS::Key": {"KeyPolicy"},
    "AWS::CloudWatch::Dashboard": {"DashboardBody"},
    "AWS::Lambda::Function": {"Environment"},
    "AWS::Lambda::Alias": {"FunctionVersion"},
}
"""The properties in which a stage with both buses may differ from one with either."""


@pytest.mark.parametrize("kind", ["classic", "custom"])
def test_the_first_and_the_last_deployment_replace_nothing(
    migrating: Assembly, request: pytest.FixtureRequest, kind: str
) -> None:
    both = by_id(migrating)
    alone: Assembly = request.getfixturevalue(kind)
    for key, resource in by_id(alone).items():
        if resource.type == "AWS::Lambda::Version":
            continue  # Another environment is another version.
        found = both[key]
        names = {*resource.properties, *found.properties}
        changed = {
            each for each in names if resource.properties.get(each) != found.properties.get(each)
        }
        assert changed <= ADDED.get(resource.type, set()), resource.path


def test_a_stage_with_both_buses_loses_nothing(migrating: Assembly) -> None:
    assert losses(migrating) == []


def stated(migrating: Assembly, kind: str) -> dict[str, object]:
    """The state of each rule or subscriber of the bus, by its path."""
    return {
        each.path: each.properties.get("State")
        for each in migrating.all_of(kind)
        if kind == SUBSCRIBER or "EventPattern" in each.properties
    }


def test_before_the_first_move_each_rule_delivers_and_each_subscriber_rests(
    migrating: Assembly,
) -> None:
    rules, subscribers = stated(migrating, RULE), stated(migrating, SUBSCRIBER)
    assert rules.pop("Backbone/Bus/ToCustom/Rule") == "ENABLED"
    assert subscribers.pop("Backbone/Bus/ToClassic/Subscriber") is None  # It runs.
    assert set(rules.values()) == {"ENABLED"}
    assert set(subscribers.values()) == {"STOPPED"}
    assert {path.rpartition("/")[0] for path in rules} == {
        path.rpartition("/")[0] for path in subscribers
    }


# -- the steps ----------------------------------------------------------------------------


def stage_in(migration: Migration) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The templates of the buses and of a context that consumes and publishes."""
    prepare(Target.HOST)
    environment = replace(DEV, bus="migrating", migration=migration)
    app = App()
    backbone, shipping = Stack(app, "Backbone"), Stack(app, "Shipping")
    bus = MigratingBus(backbone, "Bus", environment=environment, prefix="orderflow.")
    platform = Platform(
        environment=environment,
        bus=bus,
        vault=Vault(backbone, "Vault", environment=environment),
        alarm_topic=sns.Topic(backbone, "Alarms"),
        target=Target.HOST,
    )
    scope = Construct(shipping, "RequestShipment")
    queue = BufferQueue(scope, "Queue", platform=platform, visibility_timeout=Duration.seconds(30))
    pattern = events.EventPattern(source=["orderflow.orders"])
    bus.to_queue(scope, platform=platform, pattern=pattern, queue=queue)
    OutboxTable(shipping, "Shipments", platform=platform)
    return Template.from_stack(backbone).to_json(), Template.from_stack(shipping).to_json()


def shipping_in(migration: Migration) -> Mapping[str, Any]:
    """The resources of the context."""
    resources: Mapping[str, Any] = stage_in(migration)[1]["Resources"]
    return resources


def imports(template: Any) -> set[str]:
    """The exports that a template imports."""
    if isinstance(template, Mapping):
        found = {template["Fn::ImportValue"]} if "Fn::ImportValue" in template else set()
        return found.union(*map(imports, template.values()))
    return set().union(*map(imports, template)) if isinstance(template, list) else set()


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The properties of resources that differ, by type and name."""
    assert before.keys() == after.keys()
    return {
        f"{resource['Type']} {name}": (value, after[key]["Properties"].get(name))
        for key, resource in before.items()
        for name, value in resource["Properties"].items()
        if value != after[key]["Properties"].get(name)
    }


def test_each_step_of_a_consumer_changes_one_state() -> None:
    moved = frozenset({"Shipping/RequestShipment"})
    classic, both, custom = (
        shipping_in(each) for each in (Migration(), Migration(both=moved), Migration(custom=moved))
    )
    assert changes(classic, both) == {f"{SUBSCRIBER} State": ("STOPPED", "RUNNING")}
    assert changes(both, custom) == {f"{RULE} State": ("ENABLED", "DISABLED")}


def test_the_step_of_a_producer_changes_the_bus_of_its_relay() -> None:
    classic, custom = (
        shipping_in(each) for each in (Migration(), Migration(custom=frozenset({"Shipping"})))
    )
    ((name, environments),) = changes(classic, custom).items()
    assert name == "AWS::Lambda::Function Environment"
    before, after = (each["Variables"] for each in environments)
    assert {each for each in before if before[each] != after[each]} == {"EVENT_BUS_ARN"}
    assert "EventBusArn" in str(after["EVENT_BUS_ARN"])
    assert "EventBusArn" not in str(before["EVENT_BUS_ARN"])


def test_the_classic_bus_ends_in_two_deployments() -> None:
    """CloudFormation refuses to remove an export that another stack still imports.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
    """
    moved = frozenset({"Shipping", "Shipping/RequestShipment"})
    _, before = stage_in(Migration(custom=moved))
    backbone, after = stage_in(Migration(finished=True))
    exported = {each["Export"]["Name"] for each in backbone["Outputs"].values()}
    assert imports(before) <= exported
    assert imports(after) < imports(before)
    assert len(imports(before) - imports(after)) == 2  # the classic bus's ARN and name
    types = {each["Type"] for each in after["Resources"].values()}
    assert SUBSCRIBER in types
    assert RULE not in types


def test_the_settings_in_the_guide_are_those_of_steps() -> None:
    guide = (PROJECT / "docs/how-to/move-to-the-custom-bus.md").read_text()
    settings = re.findall(r"```python\n\s*(.+)\n\s*```", guide)
    both, custom, producer = (eval(each, {"Migration": Migration}) for each in settings)
    steps = [shipping_in(each) for each in (Migration(), both, custom, producer)]
    changed = [changes(before, after) for before, after in pairwise(steps)]
    assert [key for each in changed for key in each] == [
        f"{SUBSCRIBER} State",
        f"{RULE} State",
        "AWS::Lambda::Function Environment",
    ]


@pytest.mark.parametrize("name", ["Shiping", "Shipping/Nobody"])
def test_a_name_that_nothing_has_is_an_error(name: str) -> None:
    with pytest.raises(RuntimeError, match=rf"the migration names {name}, but no .* Shipping"):
        shipping_in(Migration(both=frozenset({name})))
