"""S3: notifications of objects that come and go, to queues and functions."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote_plus

import pytest

from cdk_rehearsal import Rehearsal, RehearsalError, UnsupportedTemplateError
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.worlds import Refused, World

ANY = "arn:aws:s3:::*"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def queue(cloud: Cloud, name: str, bucket_arn: str = ANY) -> str:
    """Add a queue that S3 may send to."""
    cloud.add(name, "AWS::SQS::Queue")
    cloud.add(
        f"{name}Policy",
        "AWS::SQS::QueuePolicy",
        Queues=[ref(name)],
        PolicyDocument={
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "s3.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn(name),
                    "Condition": {"ArnLike": {"aws:SourceArn": bucket_arn}},
                }
            ]
        },
    )
    return name


def to_queue(name: str, event: str = "s3:ObjectCreated:*", **rules: str) -> dict[str, Any]:
    """A configuration that notifies a queue of keys with a prefix and a suffix."""
    entry: dict[str, Any] = {"Event": event, "Queue": arn(name)}
    if rules:
        names = [{"Name": key, "Value": value} for key, value in rules.items()]
        entry["Filter"] = {"S3Key": {"Rules": names}}
    return entry


def bucket(cloud: Cloud, *to_queues: dict[str, Any], **properties: Any) -> None:
    """Add a bucket, after the policies of its queues."""
    if to_queues:
        properties["NotificationConfiguration"] = {"QueueConfigurations": list(to_queues)}
    cloud.add("Bucket", "AWS::S3::Bucket", **properties)
    cloud.resources["Bucket"]["DependsOn"] = [
        name
        for name, resource in cloud.resources.items()
        if resource["Type"] in ("AWS::SQS::QueuePolicy", "AWS::Lambda::Permission")
    ]


def put(shop: World, key: str, body: bytes = b"x") -> None:
    shop.client("s3").put_object(Bucket=shop.physical_id("Shop/Bucket"), Key=key, Body=body)
    shop.run_until_idle()


def records(shop: World, path: str = "Shop/Queue") -> list[dict[str, Any]]:
    """The records of all notifications in a queue, without the test event."""
    found = [json.loads(message["body"]) for message in shop.messages(path)]
    return [record for body in found for record in body.get("Records", [])]


def keys(shop: World, path: str = "Shop/Queue") -> list[str]:
    return [unquote_plus(record["s3"]["object"]["key"]) for record in records(shop, path)]


def test_a_new_object_is_notified(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue"))
    shop = aws()
    put(shop, "incoming/a.csv", b"sku,count\n")
    (record,) = records(shop)
    major, minor = map(int, record["eventVersion"].split("."))
    assert (major, minor >= 5) == (2, True)
    assert record["eventSource"] == "aws:s3"
    assert record["awsRegion"] == shop.region
    assert re.fullmatch(MOMENT, record["eventTime"])
    assert record["eventName"] == "ObjectCreated:Put"
    name = shop.physical_id("Shop/Bucket")
    assert record["s3"]["bucket"]["name"] == name
    assert record["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{name}"
    item = record["s3"]["object"]
    assert (item["key"], item["size"]) == ("incoming/a.csv", 10)
    assert item["eTag"] == hashlib.md5(b"sku,count\n").hexdigest()
    assert "versionId" not in item
    if isinstance(shop, Rehearsal):
        delivered = shop.meter.of("delivery", source="Shop/Bucket", target="Shop/Queue")
        assert [(r.detail["what"], r.detail["outcome"]) for r in delivered] == [
            ("s3:TestEvent", "delivered"),
            ("s3:ObjectCreated:Put", "delivered"),
        ]


def test_a_configured_bucket_sends_a_test_event_to_its_queues(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue", prefix="a/"), to_queue("Queue", prefix="b/"))
    shop = aws()
    shop.run_until_idle()
    (message,) = shop.messages("Shop/Queue")
    body = json.loads(message["body"])
    assert re.fullmatch(MOMENT, body["Time"])
    assert {name: body[name] for name in ("Service", "Event", "Bucket")} == {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Bucket": shop.physical_id("Shop/Bucket"),
    }
    assert {"RequestId", "HostId"} < set(body)


def test_only_keys_with_the_prefix_and_the_suffix_are_notified(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html"""
    queue(template, "Queue")
    queue(template, "Other")
    bucket(
        template,
        to_queue("Queue", prefix="incoming/", suffix=".csv"),
        to_queue("Other", prefix="incoming/", suffix=".txt"),
        to_queue("Other", prefix="rejected/"),
    )
    shop = aws()
    for key in ("incoming/a.csv", "incoming/b.txt", "incoming/c.CSV", "rejected/d.csv", "e.csv"):
        put(shop, key)
    assert keys(shop) == ["incoming/a.csv"]
    assert keys(shop, "Shop/Other") == ["incoming/b.txt", "rejected/d.csv"]


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("incoming/red flower.csv", "incoming/red+flower.csv"),
        ("incoming/1+1=2.csv", "incoming/1%2B1%3D2.csv"),
        ("incoming/Grün.csv", "incoming/Gr%C3%BCn.csv"),
        ("incoming/50%.csv", "incoming/50%25.csv"),
    ],
)
def test_keys_are_encoded_as_in_forms(template: Cloud, aws: Deploy, key: str, encoded: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue"))
    shop = aws()
    put(shop, key)
    assert [record["s3"]["object"]["key"] for record in records(shop)] == [encoded]
    name = shop.physical_id("Shop/Bucket")
    assert shop.client("s3").get_object(Bucket=name, Key=keys(shop)[0])["Body"].read() == b"x"


def test_in_a_versioned_bucket_each_notification_names_its_version(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue"), VersioningConfiguration={"Status": "Enabled"})
    shop = aws()
    bucket_name = shop.physical_id("Shop/Bucket")
    put(shop, "a.csv", b"old")
    put(shop, "a.csv", b"newer")
    found = [record["s3"]["object"] for record in records(shop)]
    bodies = [
        shop.client("s3")
        .get_object(Bucket=bucket_name, Key="a.csv", VersionId=item["versionId"])["Body"]
        .read()
        for item in found
    ]
    assert bodies == [b"old", b"newer"]
    first, second = (item["sequencer"] for item in found)
    assert first < second
    int(second, 16)


def test_copies_and_uploads_in_parts_are_told_apart(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue"))
    shop = aws()
    bucket_name = shop.physical_id("Shop/Bucket")
    client = shop.client("s3")
    put(shop, "a")
    client.copy_object(Bucket=bucket_name, Key="b", CopySource={"Bucket": bucket_name, "Key": "a"})
    upload = client.create_multipart_upload(Bucket=bucket_name, Key="c")["UploadId"]
    part = client.upload_part(
        Bucket=bucket_name, Key="c", UploadId=upload, PartNumber=1, Body=b"xyz"
    )
    client.complete_multipart_upload(
        Bucket=bucket_name,
        Key="c",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    shop.run_until_idle()
    assert [(r["eventName"], r["s3"]["object"]["key"]) for r in records(shop)] == [
        ("ObjectCreated:Put", "a"),
        ("ObjectCreated:Copy", "b"),
        ("ObjectCreated:CompleteMultipartUpload", "c"),
    ]


def test_a_removed_object_is_notified(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue", "s3:ObjectRemoved:*"))
    shop = aws()
    bucket_name = shop.physical_id("Shop/Bucket")
    put(shop, "a")
    for _ in range(2):
        shop.client("s3").delete_object(Bucket=bucket_name, Key="a")
    shop.run_until_idle()
    (record,) = records(shop)
    assert (record["eventName"], record["s3"]["object"]["key"]) == ("ObjectRemoved:Delete", "a")


def test_in_a_versioned_bucket_a_removed_object_gets_a_marker(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html"""
    queue(template, "Queue")
    bucket(
        template,
        to_queue("Queue", "s3:ObjectRemoved:*"),
        VersioningConfiguration={"Status": "Enabled"},
    )
    shop = aws()
    bucket_name = shop.physical_id("Shop/Bucket")
    client = shop.client("s3")
    version = client.put_object(Bucket=bucket_name, Key="a", Body=b"x")["VersionId"]
    client.delete_object(Bucket=bucket_name, Key="a")
    client.delete_object(Bucket=bucket_name, Key="a", VersionId=version)
    shop.run_until_idle()
    marked, deleted = records(shop)
    assert marked["eventName"] == "ObjectRemoved:DeleteMarkerCreated"
    assert deleted["eventName"] == "ObjectRemoved:Delete"
    assert deleted["s3"]["object"]["versionId"] == version


def to_function(cloud: Cloud, *, permitted: bool = True) -> None:
    cloud.function("Function", "import json\ndef handler(event, context): print(json.dumps(event))")
    if permitted:
        cloud.permission(
            "Permission",
            arn("Function"),
            "s3.amazonaws.com",
            SourceAccount=ref("AWS::AccountId"),
        )
    bucket(
        cloud,
        NotificationConfiguration={
            "LambdaConfigurations": [{"Event": "s3:ObjectCreated:Put", "Function": arn("Function")}]
        },
    )


def test_a_function_is_invoked_asynchronously(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-s3.html"""
    to_function(template)
    shop = aws()
    put(shop, "a")
    (line,) = shop.logs("Shop/Function").splitlines()
    assert json.loads(line)["Records"][0]["s3"]["object"]["key"] == "a"
    if isinstance(shop, Rehearsal):
        (invocation,) = shop.meter.of("invocation")
        assert (invocation.source, invocation.detail["type"]) == ("Shop/Bucket", "async")


def test_a_handler_that_puts_an_object_starts_a_notification(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue"))
    template.function(
        "Function",
        """
        import boto3, os
        def handler(event, context):
            boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key="a", Body=b"x")
        """,
        Environment={"Variables": {"BUCKET": ref("Bucket")}},
    )
    shop = rehearse()
    assert not shop.invoke("Shop/Function", {}).failed
    shop.run_until_idle()
    assert keys(shop) == ["a"]
    (call,) = shop.meter.of("call")
    assert (call.target, call.detail["operation"]) == ("Shop/Bucket", "PutObject")


# -- templates ----------------------------------------------------------------------------


@pytest.mark.parametrize("admitted", ["arn:aws:s3:::another", None])
def test_a_queue_that_does_not_admit_the_bucket_is_an_error_at_once(
    template: Cloud, aws: Deploy, admitted: str | None
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html"""
    queue(template, "Queue", admitted or ANY)
    if admitted is None:
        del template.resources["QueuePolicy"]
    bucket(template, to_queue("Queue"))
    with pytest.raises(
        Refused,
        match=r"Bucket.*Unable to validate.*destination",
    ):
        aws()


def test_a_policy_that_comes_after_the_bucket_has_to_be_named_by_it(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html"""
    bucket(template, to_queue("Queue"))
    queue(template, "Queue")
    with pytest.raises(RehearsalError, match="DependsOn"):
        rehearse()
    template.resources["Bucket"]["DependsOn"] = ["QueuePolicy"]
    put(shop := rehearse(), "a")
    assert keys(shop) == ["a"]


def test_a_function_that_does_not_permit_the_bucket_is_an_error_at_once(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html"""
    to_function(template, permitted=False)
    with pytest.raises(Refused, match="Unable to validate"):
        aws()


@pytest.mark.parametrize(
    ("event", "rules"),
    [
        ("s3:ObjectCreated:Put", {}),
        ("s3:ObjectCreated:*", {"prefix": "in"}),
        ("s3:ObjectCreated:*", {"prefix": "incoming/now", "suffix": "v"}),
        ("s3:ObjectCreated:*", {"suffix": "1.csv"}),
    ],
)
def test_two_configurations_for_one_object_are_an_error(
    template: Cloud, aws: Deploy, event: str, rules: dict[str, str]
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html"""
    queue(template, "Queue")
    bucket(
        template,
        to_queue("Queue", prefix="incoming/", suffix=".csv"),
        to_queue("Queue", event, **rules),
    )
    with pytest.raises(Refused, match=r"Bucket.*[Cc]onfigurations.*overlap|overlap"):
        aws()


def test_what_guards_a_bucket_is_no_matter_for_its_objects(
    template: Cloud, rehearse: Rehearse
) -> None:
    bucket(
        template,
        BucketEncryption={"ServerSideEncryptionConfiguration": []},
        PublicAccessBlockConfiguration={"BlockPublicAcls": True},
        LifecycleConfiguration={"Rules": []},
        OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    )
    template.add(
        "BucketPolicy",
        "AWS::S3::BucketPolicy",
        Bucket=ref("Bucket"),
        PolicyDocument={
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": {"AWS": "*"},
                    "Action": "s3:*",
                    "Resource": [arn("Bucket"), {"Fn::Sub": "${Bucket.Arn}/*"}],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ]
        },
    )
    shop = rehearse()
    bucket_name = shop.physical_id("Shop/Bucket")
    put(shop, "a")
    assert shop.client("s3").get_object(Bucket=bucket_name, Key="a")["Body"].read() == b"x"


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        ({"WebsiteConfiguration": {}}, "WebsiteConfiguration"),
        ({"NotificationConfiguration": {"Telegrams": []}}, "Telegrams"),
        ({"ReplicationConfiguration": {}}, "ReplicationConfiguration"),
    ],
)
def test_what_a_bucket_is_not_known_to_do_is_an_error(
    template: Cloud, rehearse: Rehearse, properties: dict[str, Any], names: str
) -> None:
    bucket(template, **properties)
    with pytest.raises(UnsupportedTemplateError, match=f"Bucket.*{names}"):
        rehearse()


def test_a_custom_resource_that_is_not_the_library_s_own_is_an_error(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Own", "Custom::Own", ServiceToken="arn:aws:lambda:eu-central-1:1:function:own")
    with pytest.raises(UnsupportedTemplateError, match=r"Own \(Custom::Own\): unknown"):
        rehearse()


# -- failure ------------------------------------------------------------------------------


def test_a_notification_that_fails_for_a_while_is_sent_again(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue"))
    shop = rehearse()
    shop.run_until_idle()
    shop.faults.fail("Shop/Queue", when="delivery", times=3)
    put(shop, "a")
    outcomes = [r.detail["outcome"] for r in shop.meter.of("delivery", target="Shop/Queue")]
    assert outcomes[1:] == ["failed"] * 3 + ["delivered"]
    assert keys(shop) == ["a"]


@pytest.mark.parametrize("change", ["policy", "queue"])
def test_a_destination_that_shuts_the_bucket_out_later_loses_notifications(
    template: Cloud, rehearse: Rehearse, change: str
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html"""
    queue(template, "Queue")
    bucket(template, to_queue("Queue"))
    shop = rehearse()
    shop.run_until_idle()
    url = shop.physical_id("Shop/Queue")
    if change == "policy":
        shop.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    else:
        shop.client("sqs").delete_queue(QueueUrl=url)
    put(shop, "a")
    (record,) = shop.meter.of("discarded")
    assert (record.source, record.detail["key"]) == ("Shop/Bucket", "a")
