"""A stage under a customer-managed key: everything that stores data uses it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from cdk_rehearsal import Assembly, Resource, texts
from stacks.constructs.customer_key import SENDERS, VIA
from stacks.constructs.packaging import Target
from stacks.synthesis import SynthesisError, synthesize
from workspace.isolation import PROJECT

_KEYS = {
    "AWS::DynamoDB::GlobalTable": ("Replicas", 0, "SSESpecification", "KMSMasterKeyId"),
    "AWS::EventsV2::EventBus": ("EncryptionConfiguration", "KmsKeyIdentifier"),
    "AWS::Kinesis::Stream": ("StreamEncryption", "KeyId"),
    "AWS::Lambda::Function": ("KmsKeyArn",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::S3::Bucket": (
        *("BucketEncryption", "ServerSideEncryptionConfiguration", 0),
        *("ServerSideEncryptionByDefault", "KMSMasterKeyID"),
    ),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::SecretsManager::Secret": ("KmsKeyId",),
}
"""Where a resource names its key. checkov looks for four of these: CKV_AWS_26 (topics), 27
(queues), 149 (secrets), 158 (log groups) and 173 (environment variables)."""


@pytest.fixture(scope="module")
def directory(shared_directory: Path) -> Path:
    """The cloud assembly of a stage with the setting; the first process that needs it makes it."""
    made = shared_directory / "encrypted"
    app = PROJECT / "tests" / "support" / "encrypted_app.py"
    with FileLock(shared_directory / "encrypted.lock"):
        if not made.exists():
            # The pack has findings on other subjects, which its report lists.
            with pytest.raises(SynthesisError, match="validation-report"):
                synthesize("dev", made, target=Target.HOST, validation=False, app=app)
    return made


@pytest.fixture(scope="module")
def encrypted(directory: Path) -> Assembly:
    return Assembly(directory)


@pytest.fixture(scope="module")
def key(encrypted: Assembly) -> Resource:
    """The only key of the stage."""
    (key,) = encrypted.of_type("AWS::KMS::Key")
    return key


def named(properties: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        properties = properties[step]
    return properties


def test_everything_that_stores_data_names_the_key(encrypted: Assembly, key: Resource) -> None:
    counts: Counter[str] = Counter()
    for kind, path in _KEYS.items():
        for resource in encrypted.of_type(kind):
            value = named(resource.properties, path)
            assert encrypted.referred(resource.stack, value) is key, resource
            counts[kind] += 1
    assert counts.keys() == _KEYS.keys()
    assert counts["AWS::SQS::Queue"] > 40


def test_queues_do_not_use_a_key_of_sqs_too(encrypted: Assembly) -> None:
    queues = list(encrypted.of_type("AWS::SQS::Queue"))
    assert {queue.properties["SqsManagedSseEnabled"] for queue in queues} == {False}


def test_the_rules_of_nist_800_53_about_encryption_report_nothing(directory: Path) -> None:
    report = json.loads((directory / "validation-report.json").read_text())
    rules = {
        violation["ruleName"]
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
    }
    assert "NIST.800.53.R5-LambdaInsideVPC" in rules  # The pack has run.
    about = [rule for rule in rules if "Encrypt" in rule or "KMS" in rule or "SSE" in rule]
    assert about == []


class TestKeyPolicy:
    def test_it_names_each_service_that_uses_the_key(self, key: Resource) -> None:
        statements = list(_statements(key))
        through = [each for each in statements if "kms:ViaService" in _equals(each)]
        assert len(through) == 2
        for each in through:
            assert len(_equals(each)["kms:ViaService"]) == len(VIA)
        senders = {
            each["Principal"]["Service"]
            for each in statements
            if "aws:SourceAccount" in _equals(each)
        }
        assert senders == {f"{service}.amazonaws.com" for service in SENDERS}

    def test_it_admits_a_custom_bus_of_this_account_alone(self, key: Resource) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-encryption.html."""
        (bus,) = [each for each in _statements(key) if each.get("Sid") == "Bus"]
        needed = ("Decrypt", "Encrypt", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom")
        for action in (*needed, "ReEncryptTo"):
            assert any(fnmatchcase(f"kms:{action}", each) for each in bus["Action"]), action
        assert bus["Principal"] == {"Service": "events.amazonaws.com"}
        assert _equals(bus) == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        named = (
            bus["Condition"]["ArnLike"]["aws:SourceArn"],
            bus["Condition"]["StringLike"]["kms:EncryptionContext:aws:events:event-busv2:arn"],
        )
        assert all(texts(each).endswith(":event-busv2/*") for each in named)

    def test_publishers_may_use_it_through_the_bus(self, key: Resource) -> None:
        assert "events" in VIA
        (through, _) = [each for each in _statements(key) if "kms:ViaService" in _equals(each)]
        services = [texts(each) for each in _equals(through)["kms:ViaService"]]
        assert any(each.startswith("events.") for each in services)

    def test_nobody_outside_the_account_may_use_the_key(self, key: Resource) -> None:
        for each in _statements(key):
            if each["Principal"] in ("*", {"AWS": "*"}):
                assert _equals(each)["kms:CallerAccount"] == {"Ref": "AWS::AccountId"}

    def test_it_rotates(self, key: Resource) -> None:
        assert key.properties["EnableKeyRotation"] is True


def _statements(key: Resource) -> Iterator[dict[str, Any]]:
    yield from key.properties["KeyPolicy"]["Statement"]


def _equals(statement: dict[str, Any]) -> dict[str, Any]:
    equals: dict[str, Any] = statement.get("Condition", {}).get("StringEquals", {})
    return equals


def test_without_the_setting_the_stage_has_no_such_key(shop: Assembly) -> None:
    assert [key.path for key in shop.of_type("AWS::KMS::Key")] == ["Notifications/Requests/Key"]
