"""Stand-ins: stubs of functions, values from outside, and resources outside the assembly."""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
import pytest

from cdk_rehearsal import LoadingError, Rehearsal, RehearsalError, check
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

ECHO = "def handler(event, context): return event"
HERE = "eu-central-1:123456789012"
QUEUE = f"arn:aws:sqs:{HERE}:partner"


def node(template: Cloud, name: str = "Node", **properties: Any) -> None:
    template.function(name, "exports.handler = async () => 1", **properties)
    template.resources[name]["Properties"]["Runtime"] = "nodejs22.x"


def image(template: Cloud) -> None:
    template.function("Image", ECHO)
    properties = template.resources["Image"]["Properties"]
    for name in ("Runtime", "Handler"):
        del properties[name]
    properties |= {"PackageType": "Image", "Code": {"ImageUri": "registry/image:1"}}


# -- stubs --------------------------------------------------------------------------------


def test_a_stub_answers_for_a_function_in_another_language(
    template: Cloud, rehearse: Rehearse
) -> None:
    node(template, Environment={"Variables": {"SHOP": "vents"}})

    def stub(event: Any, context: Any) -> Any:
        return [event, os.environ["SHOP"], context.function_name != ""]

    shop = rehearse(stubs={"Shop/Node": stub})
    assert shop.invoke("Shop/Node", {"a": 1}).payload == [{"a": 1}, "vents", True]
    assert [str(each) for each in shop.stand_ins] == ["Shop/Node: answered by its stub"]


def test_a_stub_fails_as_a_handler_does(template: Cloud, rehearse: Rehearse) -> None:
    node(template)

    def stub(event: Any, context: Any) -> Any:
        raise ValueError("no")

    answer = rehearse(stubs={"Shop/Node": stub}).invoke("Shop/Node", {})
    assert answer.function_error == "Unhandled"
    assert answer.payload["errorType"] == "ValueError"


def test_calls_of_a_stub_are_recorded_as_those_of_its_function(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.queue("Queue")
    node(template, Environment={"Variables": {"QUEUE": ref("Queue")}})

    def stub(event: Any, context: Any) -> None:
        import boto3

        boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody="x")

    shop = rehearse(stubs={"Shop/Node": stub})
    shop.invoke("Shop/Node", {})
    calls = [r for r in shop.meter.records if r.kind == "call"]
    assert [(r.source, r.target) for r in calls] == [("Shop/Node", "Shop/Queue")]


def test_a_pattern_is_for_functions_that_cannot_run(template: Cloud, rehearse: Rehearse) -> None:
    node(template)
    image(template)
    template.function("Python", ECHO)
    shop = rehearse(stubs={"Shop/*": lambda event, context: "stub"})
    answers = {name: shop.invoke(f"Shop/{name}", 1).payload for name in ("Node", "Image", "Python")}
    assert answers == {"Node": "stub", "Image": "stub", "Python": 1}


def test_a_stub_by_its_exact_path_replaces_a_handler_that_could_run(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.function("Python", ECHO)
    shop = rehearse(stubs={"Shop/Python": lambda event, context: "stub"})
    assert shop.invoke("Shop/Python", 1).payload == "stub"


@pytest.mark.parametrize("options", [{"stubs": {"Shop/Nod": print}}, {"values": {"Price": "1"}}])
def test_a_stand_in_for_nothing_is_an_error_that_names_it(
    template: Cloud, rehearse: Rehearse, options: dict[str, Any]
) -> None:
    template.function("Python", ECHO)
    (name,) = next(iter(options.values()))
    with pytest.raises(RehearsalError, match=f"nothing in the assembly takes .*{name}"):
        rehearse(**options)


def test_a_function_that_cannot_run_is_an_error_that_advises_a_stub(template: Cloud) -> None:
    node(template)
    image(template)
    template.function("Disk", ECHO, FileSystemConfigs=[{"Arn": "a", "LocalMountPath": "/mnt/a"}])
    found = [each.problem for each in check(template.write())]
    assert [
        f"stubs={{'Shop/{name}': handler}}" in text
        for name, text in zip(("Node", "Image", "Disk"), found, strict=True)
    ] == [True] * 3


# -- values -------------------------------------------------------------------------------


def variable(template: Cloud, value: Any) -> None:
    template.function(
        "Tell",
        "import os\ndef handler(event, context): return os.environ['V']",
        Environment={"Variables": {"V": value}},
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (ref("Price"), "Price"),
        (ref("Price"), "Shop/Price"),
        (ref("Stored"), "/shop/price"),
        ({"Fn::ImportValue": "other:Price"}, "other:Price"),
        ("{{resolve:ssm:/shop/price:3}}", "/shop/price"),
        ("{{resolve:secretsmanager:key:SecretString:a}}", "secretsmanager:key:SecretString:a"),
        ({"Fn::Join": ["", ["{{resolve:ssm:/shop/", "price}}"]]}, "/shop/price"),
        ({"Fn::Sub": "{{resolve:ssm:/${AWS::StackName}/price}}"}, "/Shop/price"),
    ],
)
def test_values_from_outside_are_given_by_name(
    template: Cloud, rehearse: Rehearse, value: Any, name: str
) -> None:
    stored = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/shop/price"}
    template.template["Parameters"] = {"Price": {"Type": "String"}, "Stored": stored}
    variable(template, value)
    assert rehearse(values={name: "29"}).invoke("Shop/Tell", {}).payload == "29"


def test_a_parameter_with_a_default_can_be_given_another_value(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.template["Parameters"] = {"Price": {"Type": "String", "Default": "9"}}
    variable(template, ref("Price"))
    assert rehearse(values={"Price": "29"}).invoke("Shop/Tell", {}).payload == "29"


def test_a_stored_parameter_and_a_secret_of_the_assembly_are_resolved(
    template: Cloud, rehearse: Rehearse
) -> None:
    variable(template, "{{resolve:ssm:/shop/price}}{{resolve:secretsmanager:key:SecretString:a}}")
    template.add("Price", "AWS::SSM::Parameter", Name="/shop/price", Type="String", Value="29")
    template.add("Key", "AWS::SecretsManager::Secret", Name="key", SecretString='{"a": "b"}')
    template.resources["Tell"]["DependsOn"] = ["Key"]
    assert rehearse().invoke("Shop/Tell", {}).payload == "29b"


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (ref("Price"), "values['Price']"),
        ({"Fn::ImportValue": "other:Price"}, "values['other:Price']"),
        ("{{resolve:ssm:/shop/price}}", "values['ssm:/shop/price']"),
    ],
)
def test_a_value_that_is_not_given_is_an_error_that_advises_one(
    template: Cloud, value: Any, advice: str
) -> None:
    template.template["Parameters"] = {"Price": {"Type": "String"}}
    variable(template, value)
    (problem,) = check(template.write())
    assert advice in problem.problem


# -- resources outside --------------------------------------------------------------------


def test_what_an_arn_names_outside_the_assembly_is_given_a_stand_in(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Topic", "AWS::SNS::Topic")
    template.add(
        "Send", "AWS::SNS::Subscription", TopicArn=ref("Topic"), Protocol="sqs", Endpoint=QUEUE
    )
    shop = rehearse(stubs={QUEUE: None})
    shop.client("sns").publish(TopicArn=shop.physical_id("Shop/Topic"), Message="hello")
    shop.run_until_idle()
    (message,) = shop.messages(QUEUE)
    assert json.loads(message["body"])["Message"] == "hello"


@pytest.mark.parametrize(
    "name", [f"sns:{HERE}:x", f"kinesis:{HERE}:stream/x", f"lambda:{HERE}:function:x"]
)
def test_a_target_outside_the_assembly_is_an_error_unless_it_is_given(
    template: Cloud, name: str
) -> None:
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    target = {"Arn": f"arn:aws:{name}", "RoleArn": f"arn:aws:iam::123456789012:role/{name[0]}"}
    template.rule("Rule", {"source": ["shop"]}, target)
    directory = template.write()
    (problem,) = check(directory)
    assert f"arn:aws:{name} is not in the assembly" in problem.problem
    stub = (lambda event, context: None) if "lambda" in name else None
    assert check(directory, stubs={f"arn:aws:{name}": stub}) == []


def test_an_imported_bus_and_function_are_given(template: Cloud, rehearse: Rehearse) -> None:
    got: list[Any] = []
    function = f"arn:aws:lambda:{HERE}:function:partner"
    template.rule("Rule", {"source": ["shop"]}, {"Arn": function})
    template.resources["Rule"]["Properties"]["EventBusName"] = "imported"
    bus = f"arn:aws:events:{HERE}:event-bus/imported"
    shop = rehearse(stubs={bus: None, function: lambda event, context: got.append(event)})
    entry = {"EventBusName": "imported", "Source": "shop", "DetailType": "Sold", "Detail": "{}"}
    shop.client("events").put_events(Entries=[entry])
    shop.run_until_idle()
    assert [event["detail-type"] for event in got] == ["Sold"]


def test_an_imported_bus_takes_events_of_rules(template: Cloud, rehearse: Rehearse) -> None:
    bus = f"arn:aws:events:{HERE}:event-bus/imported"
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.rule("Rule", {"source": ["shop"]}, {"Arn": bus})
    shop = rehearse(stubs={bus: None})
    entry = {"EventBusName": "bus", "Source": "shop", "DetailType": "Sold", "Detail": "{}"}
    shop.client("events").put_events(Entries=[entry])
    shop.run_until_idle()
    (delivery,) = [r for r in shop.meter.records if r.kind == "delivery"]
    assert delivery.detail["outcome"] == "delivered"


@pytest.mark.parametrize(("action", "depth"), [("sqs:SendMessage", 1), ("sqs:GetQueueUrl", 0)])
def test_a_role_needs_a_permission_for_what_is_imported(
    template: Cloud, rehearse: Rehearse, action: str, depth: int
) -> None:
    template.role("Role", {"Effect": "Allow", "Action": action, "Resource": "*"})
    code = """
    import boto3

    def handler(event, context):
        url = f"https://sqs.eu-central-1.amazonaws.com/123456789012/{event}"
        boto3.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    """
    template.function("Send", code)
    template.queue("First", RedrivePolicy={"deadLetterTargetArn": QUEUE, "maxReceiveCount": 3})
    shop = rehearse(stubs={QUEUE: None})
    shop.client("lambda").invoke(
        FunctionName=shop.physical_id("Shop/Send"), Payload=json.dumps(QUEUE.rpartition(":")[2])
    )
    assert shop.queue_depths()[QUEUE] == depth


def test_an_imported_function_may_do_everything(template: Cloud, rehearse: Rehearse) -> None:
    function = f"arn:aws:lambda:{HERE}:function:partner"
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.rule("Rule", {"source": ["shop"]}, {"Arn": function})
    template.queue("Queue", QueueName="queue")

    def partner(event: Any, context: Any) -> None:
        client = boto3.client("sqs", region_name="eu-central-1")
        url = client.get_queue_url(QueueName="queue")["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody="x")

    shop = rehearse(stubs={function: partner})
    entry = {"EventBusName": "bus", "Source": "shop", "DetailType": "Sold", "Detail": "{}"}
    shop.client("events").put_events(Entries=[entry])
    shop.run_until_idle()
    assert shop.queue_depths() == {"Shop/Queue": 1}


def test_a_name_in_an_arn_may_be_that_of_a_later_resource(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.queue("First", RedrivePolicy={"deadLetterTargetArn": QUEUE, "maxReceiveCount": 3})
    template.queue("Second", QueueName="partner")
    assert set(rehearse().queue_depths()) == {"Shop/First", "Shop/Second"}


def test_a_resource_of_another_account_is_no_stand_in(template: Cloud) -> None:
    other = "arn:aws:sqs:eu-central-1:999999999999:partner"
    template.queue("First", RedrivePolicy={"deadLetterTargetArn": other, "maxReceiveCount": 3})
    (problem,) = check(template.write(), stubs={other: None})
    assert "is in another account or region" in problem.problem


# -- all at once --------------------------------------------------------------------------


def test_with_invented_stand_ins_everything_of_a_known_kind_loads_and_is_listed(
    template: Cloud,
) -> None:
    node(template)
    image(template)
    template.template["Parameters"] = {
        "Price": {"Type": "Number"},
        "Zones": {"Type": "List<String>"},
        "Size": {"Type": "String", "AllowedValues": ["S", "M"]},
    }
    variable(template, {"Fn::Join": ["", [ref("Price"), ref("Size"), {"Fn::ImportValue": "x"}]]})
    template.queue("First", RedrivePolicy={"deadLetterTargetArn": QUEUE, "maxReceiveCount": 3})
    template.add("Front", "AWS::CloudFront::Distribution")
    template.function("Front2", ECHO, Environment={"Variables": {"V": arn("Front", "DomainName")}})
    template.add("Custom", "Custom::Own", ServiceToken=arn("Node"))
    directory = template.write()

    assert len(check(directory)) > 5
    with Rehearsal(directory, stand_ins=True) as shop:
        assert shop.invoke("Shop/Node", {}).payload is None
        assert shop.invoke("Shop/Tell", {}).payload == "1Sstand-in-x"
        found = {each.path for each in shop.stand_ins}
    assert found == {
        *("Shop/Node", "Shop/Image", "Shop/Price", "Shop/Size", "x", QUEUE),
        *("Shop/Front", "Shop/Custom"),
    }


def test_an_invented_arn_can_stand_in_a_policy(template: Cloud, rehearse: Rehearse) -> None:
    template.template["Parameters"] = {"ModelARN": {"Type": "String"}}
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": ref("ModelARN")}
    template.role("Writer", statement)
    shop = rehearse(stand_ins=True)
    assert any("Shop/ModelARN: the value 'arn:aws:" in str(each) for each in shop.stand_ins)


def test_a_target_of_an_unknown_kind_may_idle(template: Cloud, rehearse: Rehearse) -> None:
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.add("Build", "AWS::CodeBuild::Project")
    template.rule("Rule", {"source": ["shop"]}, {"Arn": arn("Build")})
    (known, problem) = (each.problem for each in check(template.write()))
    assert "unknown resource type" in known
    assert "does not know targets" in problem or "unknown" in problem
    shop = rehearse(stand_ins=True)
    entry = {"EventBusName": "bus", "Source": "shop", "DetailType": "d", "Detail": "{}"}
    shop.client("events").put_events(Entries=[entry])
    shop.run_until_idle()
    assert "Shop/Build: takes events, and does nothing" in map(str, shop.stand_ins)
    assert [r.target for r in shop.meter.records if r.kind == "delivery"] == ["Shop/Build"]


def test_an_unknown_type_is_an_error_even_with_invented_stand_ins(template: Cloud) -> None:
    template.add("New", "AWS::Teleport::Beam")
    with (
        pytest.raises(LoadingError, match="unknown resource type"),
        Rehearsal(template.write(), stand_ins=True),
    ):
        pass


def test_the_network_and_public_layers_of_a_function_have_no_effect(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Vpc", "AWS::EC2::VPC", CidrBlock="10.0.0.0/16")
    template.add(
        "Subnet",
        "AWS::EC2::Subnet",
        VpcId=ref("Vpc"),
        AvailabilityZone={"Fn::Select": [0, {"Fn::GetAZs": ""}]},
    )
    template.add("Group", "AWS::EC2::SecurityGroup", VpcId=arn("Vpc", "VpcId"))
    template.function(
        "Python",
        ECHO,
        VpcConfig={"SubnetIds": [ref("Subnet")], "SecurityGroupIds": [arn("Group", "GroupId")]},
        Layers=["arn:aws:lambda:eu-central-1:017000801446:layer:Powertools:7"],
    )
    assert rehearse().invoke("Shop/Python", 1).payload == 1


def test_an_attribute_of_a_custom_resource_that_idles_is_made_up(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Writer", "Custom::Writer", ServiceToken="arn:aws:lambda:x:1:function:f")
    code = "import os\ndef handler(event, context): return os.environ['KEY']"
    variables = {"KEY": arn("Writer", "Key")}
    template.function("Read", code, Environment={"Variables": variables})
    with pytest.raises(RehearsalError, match="unknown resource type"):
        rehearse()
    shop = rehearse(stand_ins=True)
    assert shop.invoke("Shop/Read", {}).payload == "stand-in-Shop-Writer-Key"
    assert "Shop/Writer.Key: the value 'stand-in-Shop-Writer-Key'" in map(str, shop.stand_ins)
