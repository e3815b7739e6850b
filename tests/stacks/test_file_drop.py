"""Buckets for partners' files: private, encrypted, with notifications to their queue."""

import json
from typing import Any

import boto3
import pytest

from cdk_rehearsal import Assembly, Resource, identity_allows, nodes, texts
from lambdas.inventory.supplier_files import INCOMING, REPORTS

DAY = 24 * 3600


def buckets(shop: Assembly) -> list[Resource]:
    return shop.of_type("AWS::S3::Bucket")


def notification(bucket: Resource) -> dict[str, Any]:
    (found,) = bucket.properties["NotificationConfiguration"]["QueueConfigurations"]
    assert isinstance(found, dict)
    return found


def statements(shop: Assembly, kind: str, target: str, resource: Resource) -> list[dict[str, Any]]:
    """The statements about a resource in policies of this type."""
    return [
        statement
        for policy in shop.of_type(kind)
        for node in nodes(policy.properties[target])
        if shop.refers(policy.stack, node) and shop.referred(policy.stack, node) == resource
        for statement in policy.properties["PolicyDocument"]["Statement"]
    ]


def test_each_bucket_is_versioned_encrypted_and_private(shop: Assembly) -> None:
    for bucket in buckets(shop):
        properties = bucket.properties
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(properties["PublicAccessBlockConfiguration"]) == 4
        (owner,) = properties["OwnershipControls"]["Rules"]
        assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
        (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_each_bucket_rejects_requests_without_tls(shop: Assembly) -> None:
    for bucket in buckets(shop):
        (denied,) = statements(shop, "AWS::S3::BucketPolicy", "Bucket", bucket)
        assert (denied["Effect"], denied["Action"]) == ("Deny", "s3:*")
        assert denied["Principal"] == {"AWS": "*"}
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_files_are_kept_as_long_as_their_messages_can_wait_and_then_deleted(shop: Assembly) -> None:
    # Imported here, because it starts the CDK library in each process that collects tests.
    from stacks.constructs.file_drop import KEPT_DAYS

    for bucket in buckets(shop):
        (rule,) = bucket.properties["LifecycleConfiguration"]["Rules"]
        queue = shop.referred(bucket.stack, notification(bucket)["Queue"])
        parking = shop.referred(
            queue.stack, queue.properties["RedrivePolicy"]["deadLetterTargetArn"]
        )
        waits = sum(q.properties["MessageRetentionPeriod"] for q in (queue, parking))
        assert rule["Status"] == "Enabled"
        assert rule["ExpirationInDays"] == rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        assert KEPT_DAYS == rule["ExpirationInDays"] > waits / DAY
        assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] <= 7


def test_the_importer_is_notified_of_every_object(
    shop: Assembly,
) -> None:
    """tests/inventory and tests/flows check that a report does not get a report."""
    for bucket in buckets(shop):
        configured = notification(bucket)
        assert configured.keys() == {"Event", "Queue"}
        assert configured["Event"] == "s3:ObjectCreated:*"
        assert not REPORTS.startswith(INCOMING)
        assert not INCOMING.startswith(REPORTS)


def test_the_queue_policy_admits_the_bucket_and_is_created_before_it(shop: Assembly) -> None:
    for bucket in buckets(shop):
        queue = shop.referred(bucket.stack, notification(bucket)["Queue"])
        (admitted,) = [
            statement
            for statement in statements(shop, "AWS::SQS::QueuePolicy", "Queues", queue)
            if statement["Effect"] == "Allow"
        ]
        assert admitted["Principal"] == {"Service": "s3.amazonaws.com"}
        assert admitted["Action"] == "sqs:SendMessage"
        assert admitted["Condition"]["StringEquals"] == {
            "aws:SourceAccount": {"Ref": "AWS::AccountId"}
        }
        source = admitted["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert texts(source).endswith(f":s3:::{texts(bucket.properties['BucketName'])}")
        policies = {
            resource.logical_id
            for resource in shop.of_type("AWS::SQS::QueuePolicy")
            if queue
            in [shop.referred(resource.stack, name) for name in resource.properties["Queues"]]
        }
        assert policies <= set(bucket.definition["DependsOn"])


def test_roles_may_only_read_incoming_files_list_the_bucket_and_write_reports(
    shop: Assembly,
) -> None:
    for bucket in buckets(shop):
        allowed = {
            action: texts(statement["Resource"]).rpartition("Arn")[2]
            for policy in shop.of_type("AWS::IAM::Policy")
            for statement in policy.properties["PolicyDocument"]["Statement"]
            for action in [*nodes(statement["Action"])]
            if isinstance(action, str) and action.startswith("s3:")
            if bucket.logical_id in texts(statement["Resource"])
        }
        assert allowed == {
            "s3:GetObjectVersion": f"/{INCOMING}*",
            "s3:ListBucket": "",
            "s3:ListBucketVersions": "",
            "s3:PutObject": f"/{REPORTS}*",
        }


def test_a_bucket_name_that_is_too_long_in_some_region_is_an_error() -> None:
    # Imported here, because it starts the CDK library in each process that collects tests.
    from aws_cdk import App, Stack

    from stacks.constructs.file_drop import bucket_name

    stack = Stack(App(), "Shop")
    assert bucket_name(stack, "s" * 25)
    with pytest.raises(
        ValueError, match=r"64 characters, more than the 63 that S3 allows: shorten the name"
    ):
        bucket_name(stack, "s" * 26)


def test_the_longest_region_is_the_longest_of_botocore() -> None:
    from stacks.constructs.file_drop import LONGEST_REGION

    session = boto3.Session()
    partitions = session.get_available_partitions()
    regions = [name for each in partitions for name in session.get_available_regions("ec2", each)]
    assert max(map(len, regions)) <= len(LONGEST_REGION)


def test_the_name_of_the_bucket_is_an_output_of_its_stack(shop: Assembly) -> None:
    for bucket in buckets(shop):
        outputs = shop.templates[bucket.stack]["Outputs"]
        ((name, output),) = [each for each in outputs.items() if "BucketName" in each[0]]
        assert name.startswith("SupplierFilesBucketName")
        assert shop.referred(bucket.stack, output["Value"]) == bucket


DROP = "arn:aws:s3:::drop"


@pytest.fixture(scope="module")
def drop() -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The template of a bucket with two suppliers, and the policies of each role."""
    from dataclasses import replace

    from aws_cdk import App, Duration, Stack
    from aws_cdk import aws_sns as sns

    from stacks.constructs.classic_bus import ClassicBus
    from stacks.constructs.file_drop import FileDrop
    from stacks.constructs.packaging import Target
    from stacks.constructs.platform import Platform
    from stacks.constructs.queues import BufferQueue
    from stacks.constructs.vault import Vault
    from stacks.environment import DEV, Supplier

    suppliers = (
        Supplier(name="north", account="111122223333"),
        Supplier(name="north-east", account="444455556666"),
    )
    app = App()
    stack = Stack(app, "Shop")
    platform = Platform(
        environment=replace(DEV, suppliers=suppliers),
        bus=ClassicBus(stack, "Bus", environment=DEV, prefix="orderflow."),
        alarm_topic=sns.Topic(stack, "Alarms"),
        vault=Vault(stack, "Vault", environment=DEV),
        target=Target.HOST,
    )
    queue = BufferQueue(stack, "Queue", platform=platform, visibility_timeout=Duration.seconds(30))
    drop = FileDrop(stack, "Files", platform=platform, name="files", queue=queue)
    for supplier in suppliers:
        drop.admit(supplier, incoming=INCOMING, reports=REPORTS)
    template = app.synth().get_stack_by_name("Shop").template
    ((bucket, _),) = [
        each for each in template["Resources"].items() if each[1]["Type"] == "AWS::S3::Bucket"
    ]
    text = json.dumps(template["Resources"]).replace(
        json.dumps({"Fn::GetAtt": [bucket, "Arn"]}), json.dumps(DROP)
    )
    joined = json.loads(text, object_hook=_join)
    policies: dict[str, list[Any]] = {supplier.name: [] for supplier in suppliers}
    for resource in joined.values():
        if resource["Type"] == "AWS::IAM::Policy":
            (role,) = resource["Properties"]["Roles"]
            name = template["Resources"][role["Ref"]]["Properties"]["Description"]
            policies[name.split()[2].rstrip(":")].append(resource["Properties"]["PolicyDocument"])
    return template, policies


class TestSuppliers:
    """Each supplier has a role, which the policies in the template keep in its own folders."""

    ACTIONS = (
        "s3:PutObject",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:DeleteObject",
        "s3:PutObjectAcl",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:PutBucketPolicy",
    )

    @pytest.mark.parametrize("name", ["north", "north-east"])
    def test_a_supplier_can_write_and_read_only_in_its_own_folders(
        self, drop: tuple[dict[str, Any], dict[str, list[Any]]], name: str
    ) -> None:
        keys = [
            f"{prefix}{folder}a.csv"
            for prefix in (INCOMING, REPORTS, "")
            for folder in ("", "north/", "north-east/", "north-east/north/", "other/")
        ]
        allowed = {
            (action, key)
            for action in self.ACTIONS
            for key in keys
            if identity_allows(drop[1][name], action=action, resource=f"{DROP}/{key}", context={})
        }
        own = {f"{name}/"} | ({"north-east/north/"} if name == "north-east" else set())
        assert allowed == {
            *(("s3:PutObject", f"{INCOMING}{folder}a.csv") for folder in own),
            *(("s3:GetObject", f"{REPORTS}{folder}a.csv") for folder in own),
        }

    @pytest.mark.parametrize("name", ["north", "north-east"])
    def test_a_supplier_can_list_only_its_own_folders(
        self, drop: tuple[dict[str, Any], dict[str, list[Any]]], name: str
    ) -> None:
        prefixes = [
            f"{prefix}{folder}"
            for prefix in (INCOMING, REPORTS)
            for folder in ("", "north", "north/", "north-east/", "other/")
        ]
        listed = {
            prefix
            for prefix in prefixes
            if identity_allows(
                drop[1][name],
                action="s3:ListBucket",
                resource=DROP,
                context={"s3:prefix": prefix},
            )
        }
        assert listed == {f"{INCOMING}{name}/", f"{REPORTS}{name}/"}
        assert not identity_allows(drop[1][name], action="s3:ListBucket", resource=DROP, context={})

    def test_a_role_trusts_only_the_suppliers_account_with_its_external_id(
        self, drop: tuple[dict[str, Any], dict[str, list[Any]]]
    ) -> None:
        roles = [
            resource["Properties"]
            for resource in drop[0]["Resources"].values()
            if resource["Type"] == "AWS::IAM::Role"
        ]
        trusted = {}
        for role in roles:
            (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
            account = texts(statement["Principal"]["AWS"]).split("::")[-1]
            trusted[account] = statement["Condition"]
        assert trusted == {
            f"{account}:root": {"StringEquals": {"sts:ExternalId": f"orderflow-dev-{name}"}}
            for name, account in (("north", "111122223333"), ("north-east", "444455556666"))
        }

    @pytest.mark.parametrize(
        ("name", "account", "said"),
        [
            ("North", "111122223333", "its name is a folder"),
            ("a/b", "111122223333", "its name is a folder"),
            ("north", "1111", "is no AWS account: give 12 digits"),
        ],
    )
    def test_an_impossible_supplier_is_an_error(self, name: str, account: str, said: str) -> None:
        from stacks.environment import Supplier

        with pytest.raises(ValueError, match=said):
            Supplier(name=name, account=account)

    def test_two_suppliers_with_one_folder_are_an_error(self) -> None:
        from dataclasses import replace

        from stacks.environment import DEV, Supplier

        twice = 2 * (Supplier(name="north", account="111122223333"),)
        with pytest.raises(ValueError, match="north is there twice: name each supplier once"):
            replace(DEV, suppliers=twice)


def _join(node: dict[str, Any]) -> Any:
    """Replaces a join of texts by its text."""
    match node:
        case {"Fn::Join": [str() as separator, list() as parts]} if all(
            isinstance(part, str) for part in parts
        ):
            return separator.join(parts)
    return node
