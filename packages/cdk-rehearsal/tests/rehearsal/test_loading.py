"""Loading an assembly: names, references, and errors that say where they are."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, RehearsalError, UnsupportedTemplateError, check
from rehearsal.cloud import Cloud, arn, ref, write_assembly
from rehearsal.conftest import Rehearse

ECHO = "def handler(event, context): return event"


def queue(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


def test_an_unknown_resource_type_is_an_error_that_names_it(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Machine", "AWS::EC2::Instance")
    with pytest.raises(
        UnsupportedTemplateError, match=r"stack Shop, Machine \(AWS::EC2::Instance\): unknown"
    ):
        rehearse()


def test_an_unknown_property_is_an_error_that_names_it(template: Cloud, rehearse: Rehearse) -> None:
    template.add("Queue", "AWS::SQS::Queue", Flavour="sweet")
    with pytest.raises(
        UnsupportedTemplateError,
        match=r"stack Shop, Queue \(AWS::SQS::Queue\): unknown property Flavour",
    ):
        rehearse()


def test_all_problems_of_an_assembly_are_reported_at_once(template: Cloud) -> None:
    template.add("Machine", "AWS::EC2::Instance")
    template.add("Queue", "AWS::SQS::Queue", Flavour="sweet", Colour="red")
    template.add("Topic", "AWS::SNS::Topic", ArchivePolicy={"MessageRetentionPeriod": 1})
    template.add("Other", "AWS::SQS::Queue", QueueName={"Fn::Length": []}, Tags={"Fn::Cidr": []})
    lost = {name: {"Fn::ImportValue": name} for name in ("DelaySeconds", "QueueName")}
    template.add("Lost", "AWS::SQS::Queue", **lost)
    template.add("Rude", "AWS::SQS::Queue", MaximumMessageSize=1)
    template.function("Fine", ECHO)
    # These problems are mere consequences of others.
    template.function("Function", ECHO)
    template.resources["Function"]["Properties"]["Runtime"] = "nodejs22.x"
    template.mapping("Mapping", arn("Machine", "Stream"), "Function")
    template.resources["Role"]["Creation"] = True
    template.resources["Fine"]["Condition"] = "Never"
    template.template["Transform"] = "AWS::Serverless"
    directory = template.write()

    found = [str(problem) for problem in check(directory)]

    assert found == [
        "stack Shop: unknown section of the template: Transform: remove it",
        "stack Shop, Machine (AWS::EC2::Instance): unknown resource type; write a creator for it "
        "in cdk_rehearsal/resources, or list it there as without part in delivery",
        *(
            f"stack Shop, Queue (AWS::SQS::Queue): {problem}"
            for problem in (
                "unknown property Colour; teach the rehearsal what it means, or to ignore it",
                "unknown property Flavour; teach the rehearsal what it means, or to ignore it",
            )
        ),
        "stack Shop, Topic (AWS::SNS::Topic): the rehearsal does not know ArchivePolicy = "
        "{'MessageRetentionPeriod': 1}",
        "stack Shop, Other (AWS::SQS::Queue): the function Fn::Length is unknown",
        "stack Shop, Other (AWS::SQS::Queue): the function Fn::Cidr is unknown",
        *(
            f"stack Shop, Lost (AWS::SQS::Queue): no stack of the assembly exports {name}; "
            f"synthesize all of them, or give its value as values['{name}']"
            for name in lost
        ),
        "stack Shop, Rude (AWS::SQS::Queue): cannot be created: An error occurred "
        "(InvalidAttributeValue) when calling the CreateQueue operation: Invalid value for the "
        "parameter MaximumMessageSize.",
        "stack Shop, Role (AWS::IAM::Role): unknown attribute Creation: remove it",
        "stack Shop, Fine (AWS::Lambda::Function): there is no condition Never",
        "stack Shop, Function (AWS::Lambda::Function): the rehearsal runs Python, not the runtime "
        "nodejs22.x: give a stub for it, as in stubs={'Shop/Function': handler}",
    ]
    with pytest.raises(UnsupportedTemplateError) as raised, Rehearsal(directory):
        pass
    assert str(raised.value) == "\n".join(found)


@pytest.mark.parametrize(
    ("kind", "properties", "problem", "unknown"),
    [
        ("AWS::SQS::Queue", {"MaximumMessageSize": 1}, "cannot be created", "Flavour"),
        ("AWS::SecretsManager::Secret", {}, "a secret has a SecretString", "Flavour"),
        ("AWS::Kinesis::Stream", {"ShardCount": "many"}, "cannot be created", "Flavour"),
        ("AWS::Lambda::Function", {"Code": {"Taste": 1}}, "Runtime is missing", "Taste"),
        ("AWS::Events::Rule", {"EventPattern": {}}, "empty object", "Flavour"),
    ],
)
def test_a_resource_that_cannot_be_created_has_its_unknown_properties_reported_too(
    template: Cloud, kind: str, properties: dict[str, Any], problem: str, unknown: str
) -> None:
    template.add("Thing", kind, **properties, Tags=[], Flavour="sweet")
    found = [each.problem for each in check(template.write())]
    assert any(problem in each for each in found)
    assert any(f"unknown property {unknown}" in each for each in found)
    assert not any("Tags" in each for each in found)


def test_a_check_uses_the_account_and_region_that_the_stacks_name(template: Cloud) -> None:
    template.queue("Queue")
    manifest = template.write() / "manifest.json"
    text = manifest.read_text()
    named = text.replace("unknown-account/unknown-region", "111122223333/us-west-2")
    manifest.write_text(named)
    assert check(template.directory) == []
    artifacts = json.loads(named)["artifacts"]
    other = {**artifacts["Shop"], "environment": "aws://444455556666/us-west-2"}
    manifest.write_text(json.dumps({"artifacts": {**artifacts, "Other": other}}))
    with pytest.raises(RehearsalError, match="for the accounts 111122223333, 444455556666"):
        check(template.directory)


def test_an_assembly_that_can_be_rehearsed_has_no_problems(template: Cloud) -> None:
    template.queue("Queue")
    assert check(template.write()) == []


def test_an_unknown_property_within_a_property_is_an_error(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.queue("Dead")
    template.queue("Queue", dead_letters="Dead")
    template.resources["Queue"]["Properties"]["RedrivePolicy"]["patience"] = 3
    with pytest.raises(
        UnsupportedTemplateError, match=r"Queue .*RedrivePolicy: unknown property patience"
    ):
        rehearse()


def test_a_property_value_that_cannot_be_rehearsed_is_an_error(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Topic", "AWS::SNS::Topic", ArchivePolicy={"MessageRetentionPeriod": 1})
    with pytest.raises(UnsupportedTemplateError, match="ArchivePolicy = "):
        rehearse()


def test_types_without_part_in_delivery_get_a_name_and_are_left_alone(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Alarm", "AWS::CloudWatch::Dashboard", Whatever=1)
    template.queue("Queue", QueueName="queue")
    template.template["Outputs"] = {"Alarm": {"Value": arn("Alarm")}}
    shop = rehearse()
    assert shop.physical_id("Shop/Alarm").startswith("Shop-Alarm-")


def test_resources_are_found_by_construct_path_or_else_by_logical_id(tmp_path: Path) -> None:
    template = {
        "Resources": {
            "NamedABC123": {
                **queue(QueueName="one"),
                "Metadata": {"aws:cdk:path": "dev/Shop/Consumer/Queue/Resource"},
            },
            "Nameless": queue(QueueName="two"),
        }
    }
    directory = write_assembly(tmp_path / "out", {"Shop": template})
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["artifacts"]["Shop"]["displayName"] = "dev/Shop"
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with Rehearsal(directory) as shop:
        assert shop.physical_id("dev/Shop/Consumer/Queue").endswith("/one")
        assert shop.physical_id("dev/Shop/Nameless").endswith("/two")
        with pytest.raises(RehearsalError, match="there are dev/Shop/Consumer/Queue"):
            shop.physical_id("Queue")


def test_intrinsic_functions_are_resolved(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html"""
    template.template |= {
        "Parameters": {
            "BootstrapVersion": {
                "Type": "AWS::SSM::Parameter::Value<String>",
                "Default": "/cdk-bootstrap/hnb659fds/version",
            },
            "Names": {"Type": "CommaDelimitedList", "Default": "a,b"},
        },
        "Mappings": {"Sizes": {"eu-central-1": {"Large": "9"}}},
        "Conditions": {
            "Here": {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-central-1"]},
            "Nowhere": {"Fn::Not": [{"Condition": "Here"}]},
        },
        "Rules": {"CheckBootstrapVersion": {"Assertions": []}},
    }
    template.queue("Queue", QueueName="queue")
    template.function(
        "Function",
        "import os\ndef handler(event, context): return dict(os.environ)",
        Environment={
            "Variables": {
                "REF": ref("Queue"),
                "ATT": arn("Queue"),
                "JOIN": {"Fn::Join": ["-", ["a", {"Ref": "AWS::AccountId"}, 3]]},
                "SUB": {"Fn::Sub": "${Queue.QueueName}/${AWS::Partition}/${!Literal}"},
                "SUB2": {"Fn::Sub": ["${Name}!", {"Name": {"Fn::Select": [1, ref("Names")]}}]},
                "SPLIT": {"Fn::Select": ["2", {"Fn::Split": [":", arn("Queue")]}]},
                "MAP": {"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "Large"]},
                "IF": {"Fn::If": ["Nowhere", "no", "yes"]},
                "GONE": {"Fn::If": ["Nowhere", "no", {"Ref": "AWS::NoValue"}]},
            }
        },
    )
    template.add("Absent", "AWS::SQS::Queue", QueueName="absent")
    template.resources["Absent"]["Condition"] = "Nowhere"
    shop = rehearse()

    variables = shop.invoke("Shop/Function", {}).payload
    assert variables["REF"] == "https://sqs.eu-central-1.amazonaws.com/123456789012/queue"
    assert variables["ATT"] == "arn:aws:sqs:eu-central-1:123456789012:queue"
    assert variables["JOIN"] == "a-123456789012-3"
    assert variables["SUB"] == "queue/aws/${Literal}"
    assert variables["SUB2"] == "b!"
    assert variables["SPLIT"] == "sqs"
    assert variables["MAP"] == "9"
    assert variables["IF"] == "yes"
    assert "GONE" not in variables
    assert [r.path for r in shop.resources if r.type == "AWS::SQS::Queue"] == ["Shop/Queue"]


def test_the_id_of_a_stack_has_a_uuid_that_names_are_made_of(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html"""
    generation = {"Fn::Select": [2, {"Fn::Split": ["/", ref("AWS::StackId")]}]}
    last = {"Fn::Select": [4, {"Fn::Split": ["-", generation]}]}
    template.add("Queue", "AWS::SQS::Queue", QueueName=last)
    name = rehearse().resource("Shop/Queue").attributes["QueueName"]
    assert re.fullmatch("[0-9a-f]{12}", name)


def test_an_unknown_function_is_an_error(template: Cloud, rehearse: Rehearse) -> None:
    template.add("Queue", "AWS::SQS::Queue", QueueName={"Fn::Length": []})
    with pytest.raises(UnsupportedTemplateError, match=r"Queue .*Fn::Length is unknown"):
        rehearse()


def test_a_stack_takes_what_another_exports(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html"""
    uses = {
        "Resources": {
            "Policy": {
                "Type": "AWS::SQS::QueuePolicy",
                "Properties": {
                    "Queues": [{"Fn::ImportValue": "the-queue"}],
                    "PolicyDocument": {"Statement": []},
                },
            }
        }
    }
    has = {
        "Resources": {"Queue": queue(QueueName="far")},
        "Outputs": {"Out": {"Value": ref("Queue"), "Export": {"Name": "the-queue"}}},
    }
    directory = write_assembly(tmp_path / "out", {"Uses": uses, "Has": has})
    with Rehearsal(directory) as shop:
        assert shop.resource("Uses/Policy").properties["Queues"] == [shop.physical_id("Has/Queue")]


def test_a_missing_export_is_an_error(template: Cloud, rehearse: Rehearse) -> None:
    template.add("Queue", "AWS::SQS::Queue", QueueName={"Fn::ImportValue": "nobody-has-it"})
    with pytest.raises(RehearsalError, match="exports nobody-has-it"):
        rehearse()


def test_resources_that_depend_on_each_other_are_an_error(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("One", "AWS::SQS::Queue", QueueName=arn("Two", "QueueName"))
    template.add("Two", "AWS::SQS::Queue", QueueName=arn("One", "QueueName"))
    with pytest.raises(RehearsalError, match=r"depend on each other: .*One.* -> .*Two.* -> .*One"):
        rehearse()


def test_a_stack_for_another_account_or_region_is_an_error(tmp_path: Path) -> None:
    directory = write_assembly(tmp_path / "out", {"Shop": {"Resources": {"Q": queue()}}})
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["artifacts"]["Shop"]["environment"] = "aws://123456789012/us-east-1"
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RehearsalError, match="give region='us-east-1'"), Rehearsal(directory):
        pass
    with Rehearsal(directory, region="us-east-1") as shop:
        assert "us-east-1" in shop.physical_id("Shop/Q")


def test_a_directory_without_an_assembly_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RehearsalError, match=r"manifest\.json is missing"):
        Rehearsal(tmp_path)


def test_code_comes_from_the_asset_be_it_a_directory_or_a_zip_file(
    template: Cloud, rehearse: Rehearse
) -> None:
    source = "def handler(event, context): return __name__"
    asset = template.directory / "asset.one" / "lambdas" / "orders"
    asset.mkdir(parents=True)
    (asset / "place.py").write_text(source)
    with zipfile.ZipFile(template.directory / "asset.two.zip", "w") as archive:
        archive.writestr("zipped.py", source)
    template.files = {"one.zip": "asset.one", "two.zip": "asset.two.zip"}
    for name, key, handler in (
        ("One", "one.zip", "lambdas.orders.place.handler"),
        ("Two", "two.zip", "zipped.handler"),
    ):
        template.function(name, "")
        template.resources[name]["Properties"] |= {
            "Code": {"S3Bucket": "assets", "S3Key": key},
            "Handler": handler,
        }
    shop = rehearse()
    assert shop.invoke("Shop/One", {}).payload == "lambdas.orders.place"
    assert shop.invoke("Shop/Two", {}).payload == "zipped"


def test_a_reserved_variable_is_an_error(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
    template.function("Function", ECHO, Environment={"Variables": {"AWS_REGION": "mars"}})
    with pytest.raises(UnsupportedTemplateError, match="reserves the variable AWS_REGION"):
        rehearse()


def test_what_aws_refuses_is_an_error_with_its_logical_id(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.queue("Queue", MaximumMessageSize=1)
    with pytest.raises(RehearsalError, match=r"Queue \(AWS::SQS::Queue\): cannot be created"):
        rehearse()


def test_an_event_pattern_that_is_wrong_is_an_error_with_its_logical_id(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.rule("Rule", {"source": [{"sounds-like": "shop"}]})
    with pytest.raises(RehearsalError, match=r"Rule \(AWS::Events::Rule\)"):
        rehearse()


def test_two_rehearsals_at_once_are_refused(template: Cloud, rehearse: Rehearse) -> None:
    template.queue("Queue")
    rehearse()
    with pytest.raises(RehearsalError, match="another rehearsal"):
        rehearse()


def test_a_rehearsal_that_could_not_begin_leaves_nothing_behind(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Queue", "AWS::SQS::Queue", Flavour="sweet")
    with pytest.raises(UnsupportedTemplateError):
        rehearse()
    del template.resources["Queue"]["Properties"]["Flavour"]
    assert rehearse().queue_depths() == {"Shop/Queue": 0}
