"""Every kind of change that CloudFormation refuses, and similar changes that it accepts."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Template
from cdk_rehearsal.topology import compare_assemblies
from cdk_rehearsal.topology.changes import Side, Sides
from cdk_rehearsal.topology.refusals import Refusal, refusals
from topology.post import arn, ref

Templates = dict[str, Template]
Change = Callable[[Templates], object]

QUEUE = "AWS::SQS::Queue"


def resource(type_: str, path: str, **properties: Any) -> dict[str, Any]:
    metadata = {"aws:cdk:path": f"{path}/Resource"}
    return {"Type": type_, "Properties": properties, "Metadata": metadata}


def exported(name: str, value: Any) -> dict[str, Any]:
    return {"Value": value, "Export": {"Name": name}}


def imported(name: str) -> dict[str, str]:
    return {"Fn::ImportValue": name}


def two() -> Templates:
    """A depot with a queue, and a van that sends to it."""
    return {
        "Depot": {
            "Resources": {"Inbox": resource(QUEUE, "Depot/Inbox")},
            "Outputs": {"Inbox": exported("depot:Inbox", arn("Inbox"))},
        },
        "Van": {
            "Resources": {
                "Drive": resource(
                    "AWS::Lambda::Function", "Van/Drive", Environment=imported("depot:Inbox")
                )
            },
        },
    }


def refused(change: Change, base: Templates | None = None) -> list[Refusal]:
    before = base or two()
    after = copy.deepcopy(before)
    change(after)
    return found(Assembly(before), Assembly(after))


def found(before: Assembly, after: Assembly) -> list[Refusal]:
    return refusals(Sides(Side(before), Side(after)))


def written(directory: Path, templates: Templates, **stacks: Mapping[str, Any]) -> Assembly:
    """An assembly with a manifest, which contains the dependencies and names of stacks."""
    directory.mkdir()
    artifacts: dict[str, Any] = {"Tree": {"type": "cdk:tree"}}
    for stack, template in templates.items():
        (directory / f"{stack}.template.json").write_text(json.dumps(template))
        said: dict[str, Any] = {"dependencies": (), "name": stack, **stacks.get(stack, {})}
        artifacts[stack] = {
            "type": "aws:cloudformation:stack",
            "dependencies": [*said["dependencies"], f"{stack}.assets"],
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"stackName": said["name"], "templateFile": f"{stack}.template.json"},
        }
    (directory / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return Assembly(directory)


def rename_inbox(after: Templates) -> None:
    depot = after["Depot"]
    depot["Resources"] = {"Tray": resource(QUEUE, "Depot/Tray")}
    depot["Outputs"] = {"Tray": exported("depot:Tray", arn("Tray"))}
    after["Van"]["Resources"]["Drive"]["Properties"]["Environment"] = imported("depot:Tray")


def stop_importing(after: Templates) -> None:
    after["Van"]["Resources"]["Drive"]["Properties"]["Environment"] = "none"
    after["Depot"]["Outputs"] = {}


def replace_inbox(after: Templates) -> None:
    after["Depot"]["Resources"]["Inbox"]["Properties"]["FifoQueue"] = True


def retype_inbox(after: Templates) -> None:
    after["Depot"]["Resources"]["Inbox"]["Type"] = "AWS::SNS::Topic"


def export_something_else(after: Templates) -> None:
    after["Depot"]["Resources"]["Tray"] = resource(QUEUE, "Depot/Tray")
    after["Depot"]["Outputs"]["Inbox"]["Value"] = arn("Tray")


def move_inbox_to_the_van(after: Templates) -> None:
    after["Van"]["Resources"]["Inbox"] = after["Depot"]["Resources"].pop("Inbox")
    after["Van"]["Resources"]["Drive"]["Properties"]["Environment"] = arn("Inbox")
    after["Depot"]["Outputs"] = {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (rename_inbox, "is no longer exported"),
        (stop_importing, "is no longer exported"),
        (move_inbox_to_the_van, "is no longer exported"),
        (replace_inbox, "would be replaced: FifoQueue changes from nothing to true"),
        (retype_inbox, "its logical id Inbox is taken by a AWS::SNS::Topic"),
        (export_something_else, "is exported with another value"),
    ],
)
def test_an_export_in_use_can_neither_change_nor_go(change: Change, why: str) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html"""
    [refusal] = refused(change)
    assert refusal.path == "Depot/Inbox"
    assert why in refusal.what
    assert (
        "`Depot` cannot change or remove its export `depot:Inbox` while `Van` imports it"
        in refusal.what
    )
    assert "self.export_value(" in refusal.how


def test_an_export_may_be_a_literal_or_composed() -> None:
    for before, after in (
        ("queue-1", "queue-2"),
        ({"Fn::Join": ["/", ["a", ref("Inbox")]]}, {"Fn::Join": ["/", ["b", ref("Inbox")]]}),
    ):
        base, head = two(), two()
        base["Depot"]["Outputs"]["Inbox"]["Value"] = before
        head["Depot"]["Outputs"]["Inbox"]["Value"] = after
        [refusal] = found(Assembly(base), Assembly(head))
        assert "is exported with another value" in refusal.what
    base["Depot"]["Outputs"]["Inbox"]["Value"] = {"Fn::Sub": "x/${Inbox.Arn}/${AWS::Region}"}
    [refusal] = refused(replace_inbox, base)
    assert refusal.path == "Depot/Inbox"


def test_all_importing_stacks_are_named() -> None:
    base = two()
    base["Bike"] = copy.deepcopy(base["Van"])
    [refusal] = refused(rename_inbox, base)
    assert refusal.what.endswith("while `Van` and `Bike` import it")


def test_both_deployments_of_the_advice_are_accepted() -> None:
    first, second = two(), two()
    rename_inbox(second)
    rename_inbox(first)
    # The old construct and its export stay for one deployment.
    first["Depot"]["Resources"] |= two()["Depot"]["Resources"]
    first["Depot"]["Outputs"] |= two()["Depot"]["Outputs"]
    assert found(Assembly(two()), Assembly(first)) == []
    assert found(Assembly(first), Assembly(second)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda after: None,
        lambda after: after["Depot"]["Resources"]["Inbox"]["Properties"].update(DelaySeconds=5),
        lambda after: after["Depot"]["Outputs"].update(Tray=exported("depot:Tray", "new")),
        lambda after: after["Van"]["Resources"].pop("Drive"),
    ],
)
def test_a_change_that_keeps_the_exports_is_accepted(change: Change) -> None:
    assert refused(change) == []


def test_an_export_without_importers_may_be_removed() -> None:
    base = two()
    base["Van"] = {"Resources": {}}
    assert refused(lambda after: after["Depot"].update(Outputs={}), base) == []


def test_the_order_of_deployment_decides(tmp_path: Path) -> None:
    """With this manifest, the stack that stops importing is deployed first."""
    after = two()
    stop_importing(after)
    before = Assembly(two())
    first = written(tmp_path / "a", after, Depot={"dependencies": ["Van"]})
    last = written(tmp_path / "b", after, Van={"dependencies": ["Depot"]})
    far = written(
        tmp_path / "c",
        {**after, "Road": {}},
        Depot={"dependencies": ["Road"]},
        Road={"dependencies": ["Van"]},
    )
    assert found(before, first) == found(before, far) == []
    assert len(found(before, last)) == 1
    # Without a dependency, the order is undefined.
    assert len(found(before, written(tmp_path / "d", after))) == 1


def test_removing_an_export_in_use_is_refused_in_any_order(tmp_path: Path) -> None:
    after = two()
    after["Depot"]["Outputs"] = {}
    for number, order in enumerate(({"Depot": "Van"}, {"Van": "Depot"})):
        stacks = {stack: {"dependencies": [other]} for stack, other in order.items()}
        head = written(tmp_path / str(number), after, **stacks)
        assert len(found(Assembly(two()), head)) == 1


def test_a_stack_that_leaves_the_application_still_imports() -> None:
    """`cdk deploy --all` does not delete it."""

    def change(after: Templates) -> None:
        rename_inbox(after)
        del after["Van"]

    [refusal] = refused(change)
    assert "while `Van` imports it" in refusal.what


def test_a_renamed_stack_leaves_the_old_one_and_its_names_behind(tmp_path: Path) -> None:
    templates = two()
    templates["Depot"]["Resources"]["Inbox"]["Properties"]["QueueName"] = "inbox"
    before = written(tmp_path / "a", templates, Depot={"name": "shop-depot"})
    after = copy.deepcopy(templates)
    after["Depot"]["Outputs"] = {"Inbox": exported("store:Inbox", arn("Inbox"))}
    after["Van"]["Resources"]["Drive"]["Properties"]["Environment"] = imported("store:Inbox")
    [refusal] = found(before, written(tmp_path / "b", after, Depot={"name": "shop-store"}))
    assert refusal.path == "Depot/Inbox"
    assert refusal.what == (
        "is created by `shop-store` with the QueueName inbox while `Depot/Inbox` of `shop-depot` "
        "still has it"
    )


def test_an_export_keeps_its_name_in_a_renamed_stack_only_if_the_old_one_is_gone(
    tmp_path: Path,
) -> None:
    before = written(tmp_path / "a", two(), Depot={"name": "shop-depot"})
    after = written(tmp_path / "b", two(), Depot={"name": "shop-store"})
    [refusal] = found(before, after)
    assert "while `Depot` still exports it" in refusal.what


def test_an_export_that_moves_to_a_stack_deployed_before_its_owner_has_two_owners() -> None:
    base = {**two(), "Attic": {"Resources": {}}}
    base["Van"] = {"Resources": {}}

    def move(after: Templates) -> None:
        after["Attic"]["Outputs"] = after["Depot"].pop("Outputs")
        after["Attic"]["Outputs"]["Inbox"]["Value"] = "queue"

    [refusal] = refused(move, base)
    assert refusal.what.startswith("is exported as `depot:Inbox` by `Attic`")


def test_a_new_import_needs_its_export_to_be_deployed_before() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html"""
    base = two()
    base["Van"] = {"Resources": {}}

    def ask_each_other(after: Templates) -> None:
        after["Van"]["Outputs"] = {"Plate": exported("van:Plate", "B-ER 1")}
        after["Van"]["Resources"] = {"Drive": resource(QUEUE, "Van/Drive", A=imported("depot:New"))}
        after["Depot"]["Outputs"]["New"] = exported("depot:New", "new")
        after["Depot"]["Resources"]["Inbox"]["Properties"]["B"] = imported("van:Plate")

    assert [each.path for each in refused(ask_each_other, base)] == ["depot:New", "van:Plate"]

    def ask_one_way(after: Templates) -> None:
        ask_each_other(after)
        del after["Depot"]["Resources"]["Inbox"]["Properties"]["B"]

    assert refused(ask_one_way, base) == []


def test_an_import_from_another_application_is_ignored() -> None:
    assert (
        refused(
            lambda after: after["Van"]["Resources"]["Drive"]["Properties"].update(
                Role=imported("network:role")
            )
        )
        == []
    )


def test_a_reversed_dependency_is_accepted_without_other_conflicts() -> None:
    def turn(after: Templates) -> None:
        after["Depot"]["Outputs"] = {}
        after["Depot"]["Resources"]["Inbox"]["Properties"]["A"] = imported("van:Drive")
        after["Van"]["Resources"]["Drive"]["Properties"] = {}
        after["Van"]["Outputs"] = {"Drive": exported("van:Drive", arn("Drive"))}

    assert refused(turn) == []


# Names.


def named() -> Templates:
    """Resources of types that define their names in different ways."""
    return {
        "Depot": {
            "Resources": {
                "Inbox": resource(QUEUE, "Depot/Inbox", QueueName="inbox"),
                "Log": resource("AWS::Logs::LogGroup", "Depot/Log", LogGroupName="/log"),
                "Api": resource("AWS::ApiGatewayV2::Api", "Depot/Api"),
                "Route": resource(
                    "AWS::ApiGatewayV2::Route", "Depot/Route", ApiId=ref("Api"), RouteKey="GET /"
                ),
                "Bus": resource("AWS::Events::EventBus", "Depot/Bus"),
                "Rule": resource(
                    "AWS::Events::Rule", "Depot/Rule", EventBusName=ref("Bus"), Name="all"
                ),
                "Sort": resource("AWS::Lambda::Function", "Depot/Sort"),
                "Mapping": resource(
                    "AWS::Lambda::EventSourceMapping",
                    "Depot/Mapping",
                    EventSourceArn=arn("Inbox"),
                    FunctionName=ref("Sort"),
                ),
                "Live": resource(
                    "AWS::Lambda::Alias", "Depot/Live", FunctionName=ref("Sort"), Name="live"
                ),
                "Files": resource("AWS::S3::Bucket", "Depot/Files"),
                "FilesPolicy": resource(
                    "AWS::S3::BucketPolicy", "Depot/Files/Policy", Bucket=ref("Files")
                ),
                "Other": {"Type": "Custom::Other", "Properties": {"Name": "other"}},
                "Newest": {"Type": "AWS::Newest::Thing", "Properties": {"Name": "new"}},
            }
        },
        "Attic": {"Resources": {}},
    }


NAMED = ["Inbox", "Log", "Route", "Rule", "Mapping", "Live", "FilesPolicy"]


def with_other_id(name: str) -> Change:
    def change(after: Templates) -> None:
        resources = after["Depot"]["Resources"]
        resources[f"{name}Two"] = resources.pop(name)

    return change


def settings() -> Templates:
    """What is set on a queue, a topic and a role."""
    return {
        "Depot": {
            "Resources": {
                "Inbox": resource(QUEUE, "Depot/Inbox"),
                "News": resource("AWS::SNS::Topic", "Depot/News"),
                "Clerk": resource("AWS::IAM::Role", "Depot/Clerk"),
                "InboxPolicy": resource(
                    "AWS::SQS::QueuePolicy", "Depot/Inbox/Policy", Queues=[ref("Inbox")]
                ),
                "NewsPolicy": resource(
                    "AWS::SNS::TopicPolicy", "Depot/News/Policy", Topics=[ref("News")]
                ),
                "Letters": resource(
                    "AWS::SNS::Subscription",
                    "Depot/Letters",
                    TopicArn=ref("News"),
                    Protocol="sqs",
                    Endpoint=arn("Inbox"),
                ),
                "ClerkPolicy": resource(
                    "AWS::IAM::Policy", "Depot/Clerk/Policy", PolicyName="p", Roles=[ref("Clerk")]
                ),
            }
        }
    }


@pytest.mark.parametrize("name", ["InboxPolicy", "NewsPolicy", "Letters", "ClerkPolicy"])
def test_a_new_logical_id_loses_what_the_old_one_has_set(name: str) -> None:
    [refusal] = refused(with_other_id(name), settings())
    assert refusal.what.startswith("gets another logical id, and is created with the ")
    assert "deleting the old one deletes the setting" in refusal.how


def test_what_is_set_on_another_resource_is_set_anew() -> None:
    def rename(after: Templates) -> None:
        text = json.dumps(after)
        for name in ("Inbox", "News", "Clerk"):
            text = text.replace(f'"{name}', f'"{name}Two')
        after.update(json.loads(text))

    assert refused(rename, settings()) == []


@pytest.mark.parametrize("name", ["Log", "Route", "Rule", "Mapping", "Live", "FilesPolicy"])
def test_a_new_logical_id_conflicts_with_the_name_of_the_old(name: str) -> None:
    [refusal] = refused(with_other_id(name), named())
    assert refusal.what.startswith("gets another logical id, and is created with the ")
    assert refusal.what.endswith("while the old one still has it")
    assert "another name" in refusal.how


def test_the_name_of_an_alias_is_unique_for_its_function_or_state_machine() -> None:
    def add(after: Templates) -> None:
        alias = "AWS::StepFunctions::StateMachineAlias"
        after["Attic"]["Resources"] = {
            "Other": resource("AWS::Lambda::Function", "Attic/Other"),
            "Live": resource(
                "AWS::Lambda::Alias", "Attic/Live", FunctionName=ref("Other"), Name="live"
            ),
            "Flow": resource(alias, "Attic/Flow", Name="live"),
        }

    before = named()
    before["Depot"]["Resources"]["Flow"] = resource(
        "AWS::StepFunctions::StateMachineAlias", "Depot/Flow", Name="live"
    )
    assert refused(add, before) == []


@pytest.mark.parametrize("name", ["Sort", "Api", "Files", "Bus", "Other", "Newest"])
def test_a_resource_without_a_name_of_its_own_may_get_another_logical_id(name: str) -> None:
    def change(after: Templates) -> None:
        with_other_id(name)(after)
        text = json.dumps(after)
        for old, new in (
            (json.dumps(ref(name)), json.dumps(ref(f"{name}Two"))),
            (json.dumps(arn(name)), json.dumps(arn(f"{name}Two"))),
        ):
            text = text.replace(old, new)
        after.update(json.loads(text))

    assert refused(change, named()) == []


def test_a_named_resource_cannot_be_replaced_under_its_name() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html"""
    [refusal] = refused(
        lambda after: after["Depot"]["Resources"]["Inbox"]["Properties"].update(FifoQueue=True),
        named(),
    )
    assert refusal.path == "Depot/Inbox"
    assert refusal.what == (
        "would be replaced: FifoQueue changes from nothing to true, and keeps the QueueName inbox"
    )


def test_a_name_within_a_new_parent_is_free() -> None:
    def change(after: Templates) -> None:
        after["Depot"]["Resources"]["Bus"]["Properties"]["Name"] = "another"
        with_other_id("Rule")(after)

    assert refused(change, named()) == []


def test_a_named_resource_that_takes_another_name_may_be_replaced() -> None:
    assert (
        refused(
            lambda after: after["Depot"]["Resources"]["Inbox"]["Properties"].update(
                FifoQueue=True, QueueName="inbox.fifo"
            ),
            named(),
        )
        == []
    )


@pytest.mark.parametrize("name", ["Inbox", "Log"])
def test_a_named_resource_can_only_move_to_a_stack_deployed_after_its_own(
    tmp_path: Path, name: str
) -> None:
    base = named()
    if name == "Inbox":
        del base["Depot"]["Resources"]["Mapping"]
    after = copy.deepcopy(base)
    after["Attic"]["Resources"][name] = after["Depot"]["Resources"].pop(name)
    before = Assembly(base)
    late = written(tmp_path / "a", after, Attic={"dependencies": ["Depot"]})
    early = written(tmp_path / "b", after, Depot={"dependencies": ["Attic"]})
    assert found(before, late) == []
    assert [each.path for each in found(before, early)] == [f"Depot/{name}"]
    assert [each.path for each in found(before, Assembly(after))] == [f"Depot/{name}"]
    # A retained resource keeps its name.
    base["Depot"]["Resources"][name]["DeletionPolicy"] = "Retain"
    assert len(found(Assembly(base), late)) == 1


def test_resources_of_different_types_or_places_may_share_a_name() -> None:
    def add(after: Templates) -> None:
        resources = after["Depot"]["Resources"]
        resources["Topic"] = resource("AWS::SNS::Topic", "Depot/Topic", TopicName="inbox")
        resources["Api2"] = resource("AWS::ApiGatewayV2::Api", "Depot/Api2")
        resources["Route2"] = resource(
            "AWS::ApiGatewayV2::Route", "Depot/Route2", ApiId=ref("Api2"), RouteKey="GET /"
        )

    assert refused(add, named()) == []


# Indexes.


def indexed(*names: str, projected: str = "ALL", type_: str = "GlobalTable") -> Templates:
    indexes = [
        {
            "IndexName": name,
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": projected},
        }
        for name in names
    ]
    table = resource(f"AWS::DynamoDB::{type_}", "Depot/Table", GlobalSecondaryIndexes=indexes)
    return {"Depot": {"Resources": {"Table": table}}}


def between(before: Templates, after: Templates) -> list[str]:
    return [each.what for each in found(Assembly(before), Assembly(after))]


@pytest.mark.parametrize("type_", ["Table", "GlobalTable"])
def test_one_update_of_a_table_creates_or_deletes_one_index(type_: str) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html"""
    one, other, both = (
        indexed(*names, type_=type_) for names in (("one",), ("other",), ("one", "other"))
    )
    none = indexed(type_=type_)
    said = "creates or deletes the indexes one, other at once"
    assert between(one, other) == between(none, both) == between(both, none) == [said]
    assert between(one, both) == between(both, other) == between(none, one) == []


def test_an_index_cannot_change() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html"""
    before, after = indexed("one"), indexed("one", projected="KEYS_ONLY")
    assert between(before, after) == ["changes the index one"]


def test_a_new_table_may_have_several_indexes() -> None:
    assert between({"Depot": {"Resources": {}}}, indexed("one", "other")) == []


# The comment of the review, and the shop itself.


def test_the_comment_lists_refusals_and_each_advice_once() -> None:
    base = two()
    base["Depot"]["Outputs"]["Name"] = exported("depot:Name", ref("Inbox"))
    base["Van"]["Resources"]["Drive"]["Properties"]["Tags"] = imported("depot:Name")
    after = copy.deepcopy(base)
    rename_inbox(after)
    after["Van"]["Resources"]["Drive"]["Properties"].pop("Tags")
    reviewed = compare_assemblies(Assembly(base), Assembly(after))
    text = reviewed.markdown("Title", {}, "HOW")
    assert "#### Refused by CloudFormation — not acknowledged" in text
    assert text.count("❌ `Depot/Inbox` is no longer exported") == 2
    assert text.count("Use two deployments") == 1
    reasons = {"refused": {"Depot/Inbox": "it is not deployed"}}
    assert "refused" not in reviewed.unexcused(reasons)
    assert "(acknowledged: it is not deployed)" in reviewed.markdown("Title", reasons, "HOW")
