"""Records, contexts and environments have exactly the form that they have on AWS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, RehearsalError
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import World

PRINT = "import json\ndef handler(event, context): print(json.dumps(event))"


def seen(shop: World) -> dict[str, Any]:
    """The only record of the only event that the function got."""
    shop.run_until_idle()
    (record,) = json.loads(shop.logs("Shop/Function"))["Records"]
    found: dict[str, Any] = record
    return found


def test_a_record_of_a_table(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html"""
    template.table("Table")
    template.function("Function", PRINT)
    template.mapping(
        "Mapping", arn("Table", "StreamArn"), "Function", StartingPosition="TRIM_HORIZON"
    )
    shop = aws()
    table = shop.physical_id("Shop/Table")
    shop.client("dynamodb").put_item(TableName=table, Item={"pk": {"S": "a"}})
    record = seen(shop)
    assert record["eventVersion"] == "1.1"
    created = record["dynamodb"]["ApproximateCreationDateTime"]
    assert type(created) is float
    assert record.keys() == {
        *("awsRegion", "dynamodb", "eventID", "eventName"),
        *("eventSource", "eventSourceARN", "eventVersion"),
    }
    assert record["dynamodb"].keys() == {
        *("ApproximateCreationDateTime", "Keys", "NewImage"),
        *("SequenceNumber", "SizeBytes", "StreamViewType"),
    }


@pytest.mark.parametrize("with_attributes", [True, False])
def test_a_record_of_a_queue(template: Cloud, aws: Deploy, with_attributes: bool) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""
    template.queue("Queue")
    template.function("Function", PRINT)
    template.mapping("Mapping", arn("Queue"), "Function")
    shop = aws()
    more: dict[str, Any] = {}
    if with_attributes:
        trace = {"StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793", "DataType": "String"}
        more = {
            "MessageAttributes": {"n": {"StringValue": "1", "DataType": "Number"}},
            "MessageSystemAttributes": {"AWSTraceHeader": trace},
        }
    sqs = shop.client("sqs")
    sent = sqs.send_message(QueueUrl=shop.physical_id("Shop/Queue"), MessageBody="text", **more)
    record = seen(shop)
    usual = {"ApproximateReceiveCount", "SentTimestamp", "SenderId"}
    usual.add("ApproximateFirstReceiveTimestamp")
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    if with_attributes:
        assert record["md5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
        assert record["messageAttributes"] == {
            "n": {
                "stringValue": "1",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Number",
            }
        }
        assert record["attributes"]["AWSTraceHeader"].startswith("Root=1-5759e988")
        assert record["attributes"].keys() == {*usual, "AWSTraceHeader"}
    else:
        assert "md5OfMessageAttributes" not in record
        assert record["attributes"].keys() == usual


def test_a_record_of_a_topic(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
    template.add("Topic", "AWS::SNS::Topic")
    template.function("Function", PRINT)
    template.permission(
        "Permission",
        arn("Function"),
        "sns.amazonaws.com",
    )
    template.add(
        "Subscription",
        "AWS::SNS::Subscription",
        Protocol="lambda",
        TopicArn=ref("Topic"),
        Endpoint=arn("Function"),
    )
    shop = aws()
    shop.client("sns").publish(TopicArn=shop.physical_id("Shop/Topic"), Message="text")
    record = seen(shop)
    assert record.keys() == {"EventSource", "EventSubscriptionArn", "EventVersion", "Sns"}
    assert record["Sns"].keys() == {
        *("Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp"),
        *("SignatureVersion", "Signature", "SigningCertUrl", "UnsubscribeUrl"),
        "MessageAttributes",
    }
    assert (record["Sns"]["Subject"], record["Sns"]["MessageAttributes"]) == (None, {})


def asset(template: Cloud, code: str) -> Path:
    """Adds a function whose code is an asset; returns the folder of the asset."""
    folder = template.directory / "code"
    folder.mkdir(parents=True)
    (folder / "index.py").write_text(code)
    template.files["code.zip"] = "code"
    template.function("Function", "")
    template.resources["Function"]["Properties"]["Code"] = {"S3Bucket": "b", "S3Key": "code.zip"}
    return folder


def test_a_handler_works_in_the_folder_of_its_code(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
    folder = asset(
        template,
        "import os\n"
        "from pathlib import Path\n"
        "def handler(event, context):\n"
        "    root = Path(os.environ['LAMBDA_TASK_ROOT'])\n"
        "    texts = [Path('data.txt').read_text(), (root / 'data.txt').read_text()]\n"
        "    return [*texts, str(Path.cwd())]\n",
    )
    (folder / "data.txt").write_text("data")
    shop = rehearse()
    before = Path.cwd()
    text, again, where = shop.invoke("Shop/Function", {}).payload
    assert (text, again) == ("data", "data")
    assert Path(where).samefile(folder)
    assert Path.cwd() == before


def test_a_relative_path_of_the_assembly_is_no_different(
    template: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though handlers work elsewhere."""
    asset(template, "def handler(event, context): return 7\n")
    directory = template.write()
    monkeypatch.chdir(directory.parent)
    with Rehearsal(Path(directory.name)) as shop:
        assert [shop.invoke("Shop/Function", {}).payload for _ in range(2)] == [7, 7]


def test_code_in_a_layer_is_imported(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-layers.html"""
    layer = template.directory / "layer" / "python"
    (layer / "only_in_layer").mkdir(parents=True)
    (layer / "only_in_layer" / "__init__.py").write_text("COUNT = 0\n")
    (layer / "json.py").write_text("raise ImportError('a copy of what the process has')\n")
    template.files["layer.zip"] = "layer"
    template.add(
        "Layer", "AWS::Lambda::LayerVersion", Content={"S3Bucket": "b", "S3Key": "layer.zip"}
    )
    code = """
    import json
    import only_in_layer
    def handler(event, context):
        only_in_layer.COUNT += 1
        return only_in_layer.COUNT
    """
    for name in ("One", "Two"):
        template.function(name, code, Layers=[ref("Layer")])
    shop = rehearse()
    assert [shop.invoke(f"Shop/{name}", {}).payload for name in ("One", "One", "Two")] == [1, 2, 1]


def test_each_invocation_has_a_trace(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader"""
    code = "import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']"
    template.function("Function", code)
    shop = rehearse()
    one, two = (shop.invoke("Shop/Function", {}).payload for _ in range(2))
    assert one != two
    root, parent, sampled = one.split(";")
    assert root.startswith(f"Root=1-{1_767_600_000:08x}-")
    assert (len(root), len(parent), sampled) == (40, 23, "Sampled=0")


class TestStoredParameters:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-ssm.html."""

    def queue_with(self, template: Cloud, seconds: Any) -> None:
        template.add("Queue", "AWS::SQS::Queue", VisibilityTimeout=seconds)

    def timeout(self, shop: World) -> str:
        found = shop.client("sqs").get_queue_attributes(
            QueueUrl=shop.physical_id("Shop/Queue"), AttributeNames=["VisibilityTimeout"]
        )
        return str(found["Attributes"]["VisibilityTimeout"])

    def test_a_parameter_has_its_value(self, template: Cloud, aws: Deploy) -> None:
        """For handlers and for the template."""
        template.add("Stored", "AWS::SSM::Parameter", Name="/shop/s", Type="String", Value="77")
        self.queue_with(template, arn("Stored", "Value"))
        shop = aws()
        value = shop.client("ssm").get_parameter(Name="/shop/s")["Parameter"]["Value"]
        assert (value, self.timeout(shop)) == ("77", "77")

    @pytest.mark.parametrize("value", ["{{resolve:ssm:/shop/s}}", {"Ref": "Seconds"}])
    def test_a_reference_gives_the_value_and_not_the_name(
        self, template: Cloud, rehearse: Rehearse, value: Any
    ) -> None:
        """Dynamic references, and template parameters of this type.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-ssm.html
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
        """
        template.template["Parameters"] = {
            "Seconds": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/shop/s"}
        }
        template.add("Stored", "AWS::SSM::Parameter", Name="/shop/s", Type="String", Value="77")
        self.queue_with(template, value)
        assert self.timeout(rehearse()) == "77"

    @pytest.mark.own_behaviour
    def test_a_parameter_outside_of_the_assembly_is_an_error(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """Its value is unknown, unless it is given."""
        self.queue_with(template, "{{resolve:ssm:/other}}")
        with pytest.raises(RehearsalError, match=r"ssm:/other has no value: give it as values\["):
            rehearse()
