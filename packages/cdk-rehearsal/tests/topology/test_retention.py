"""The retention rules: no fixed names and no deleted dependencies of retained resources."""

import copy
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import RetentionRule as Rule
from cdk_rehearsal.topology import is_name, leftovers
from cdk_rehearsal.topology.retention import MAY_REPEAT, dependencies

Template = dict[str, Any]

FIXED, DEPENDENT = Rule.FixedName, Rule.DeletedDependency
GENERATION = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
UNLIKE_OTHERS = {
    "AWS::AppFlow::Connector.ConnectorLabel",
    "AWS::CloudFormation::ModuleDefaultVersion.ModuleName",
    "AWS::CloudFormation::ResourceDefaultVersion.TypeName",
    "AWS::ECR::PullThroughCacheRule.EcrRepositoryPrefix",
    "AWS::S3::StorageLens.StorageLensConfiguration/Id",
    "AWS::S3Vectors::VectorBucketPolicy.VectorBucketName",
    "AWS::StorageGateway::Tape.TapeBarcode",
}
"""Names that do not follow the convention. No such resource holds an application's data."""


def kept(type_: str, policy: str = "Retain", **properties: Any) -> dict[str, Any]:
    return {"Type": type_, "Properties": properties, "DeletionPolicy": policy}


def deleted(type_: str, **properties: Any) -> dict[str, Any]:
    return {"Type": type_, "Properties": properties}


def stack(**resources: Any) -> Template:
    return {"Resources": resources}


def found(**templates: Template) -> set[tuple[Rule, str]]:
    return {
        (finding.rule, finding.resource.logical_id)
        for finding in leftovers(Assembly(copy.deepcopy(templates)))
    }


@pytest.mark.parametrize("policy", ["Retain", "RetainExceptOnCreate"])
@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("AWS::DynamoDB::GlobalTable", "TableName"),
        ("AWS::ECR::Repository", "RepositoryName"),
        ("AWS::ElastiCache::ReplicationGroup", "ReplicationGroupId"),
        ("AWS::Events::EventBus", "Name"),
        ("AWS::KMS::Alias", "AliasName"),
        ("AWS::Kinesis::Stream", "Name"),
        ("AWS::Logs::LogGroup", "LogGroupName"),
        ("AWS::OpenSearchService::Domain", "DomainName"),
        ("AWS::RDS::DBInstance", "DBInstanceIdentifier"),
        ("AWS::S3::Bucket", "BucketName"),
        ("AWS::SES::EmailIdentity", "EmailIdentity"),
        ("AWS::SSM::Parameter", "Name"),
        ("AWS::SecretsManager::Secret", "Name"),
        ("AWS::Timestream::Table", "TableName"),
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "mine",
        {"Fn::Join": ["-", ["mine", {"Ref": "AWS::AccountId"}, {"Ref": "AWS::Region"}]]},
        {"Fn::Sub": "${AWS::StackName}-mine"},
        {"Ref": "NameAsAParameter"},
    ],
    ids=["literal", "place", "stack's name", "parameter"],
)
def test_a_name_that_would_be_taken_is_found(
    policy: str, type_: str, name: str, value: object
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html"""
    assert found(Shop=stack(Mine=kept(type_, policy, **{name: value}))) == {(FIXED, "Mine")}


@pytest.mark.parametrize(
    "value",
    [
        GENERATION,
        {"Fn::Sub": "mine-${AWS::StackId}"},
        {"Fn::Sub": ["mine-${it}", {"it": GENERATION}]},
        {"Fn::Join": ["-", ["mine", {"Ref": "Key"}]]},
        {"Fn::Sub": "mine-${Key.Arn}"},
    ],
)
def test_a_name_that_changes_with_each_creation_is_accepted(value: object) -> None:
    template = stack(Key=kept("AWS::KMS::Key"), Mine=kept("AWS::S3::Bucket", BucketName=value))
    assert found(Shop=template) == set()


def test_a_name_that_contains_a_fixed_name_is_fixed() -> None:
    template = stack(
        Files=kept("AWS::S3::Bucket", BucketName="mine"),
        Log=kept("AWS::Logs::LogGroup", LogGroupName={"Fn::Sub": "/of/${Files}"}),
    )
    assert found(Shop=template) == {(FIXED, "Files"), (FIXED, "Log")}


@pytest.mark.parametrize("policy", ["Delete", "Snapshot"])
def test_a_resource_that_is_deleted_with_its_stack_may_have_any_name(policy: str) -> None:
    assert found(Shop=stack(Mine=kept("AWS::S3::Bucket", policy, BucketName="mine"))) == set()


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Key"},
        {"Fn::GetAtt": ["Key", "Arn"]},
        {"Fn::GetAtt": "Key.Arn"},
        {"Fn::Sub": "${Key}"},
        {"Fn::Sub": "${Key.Arn}"},
        {"Fn::Sub": ["${it}", {"it": {"Ref": "Key"}}]},
        {"Fn::If": ["Encrypted", {"Fn::Join": ["", ["arn:", {"Ref": "Key"}]]}, "none"]},
    ],
    ids=str,
)
def test_a_reference_to_a_deleted_resource_is_found_in_each_form(value: object) -> None:
    table = kept("AWS::DynamoDB::Table", SSESpecification={"KMSMasterKeyId": value})
    assert found(Shop=stack(Key=deleted("AWS::KMS::Key"), Orders=table)) == {(DEPENDENT, "Orders")}
    assert found(Shop=stack(Key=kept("AWS::KMS::Key"), Orders=table)) == set()


@pytest.mark.parametrize("waits", ["Key", ["Key"]])
def test_a_depends_on_of_a_deleted_resource_is_found(waits: object) -> None:
    orders = {**kept("AWS::DynamoDB::Table"), "DependsOn": waits}
    template = stack(Key=deleted("AWS::KMS::Key"), Orders=orders)
    assert found(Shop=template) == {(DEPENDENT, "Orders")}


def test_a_deleted_resource_of_another_stack_is_found_through_its_export() -> None:
    def export(name: str, value: object) -> Template:
        return {"It": {"Export": {"Name": name}, "Value": value}}

    keys = {**stack(Key=deleted("AWS::KMS::Key")), "Outputs": export("key", {"Ref": "Key"})}
    middle = {**stack(), "Outputs": export("same", {"Fn::ImportValue": "key"})}
    use = {"KMSMasterKeyId": {"Fn::ImportValue": "same"}}
    orders = stack(Orders=kept("AWS::DynamoDB::Table", SSESpecification=use))
    assert found(Keys=keys, Middle=middle, Orders=orders) == {(DEPENDENT, "Orders")}
    # Exports of other applications are not checked.
    assert found(Orders=orders) == set()


def test_a_deleted_resource_may_depend_on_a_retained_one() -> None:
    policy = deleted("AWS::S3::BucketPolicy", Bucket={"Ref": "Files"})
    assert found(Shop=stack(Files=kept("AWS::S3::Bucket"), Policy=policy)) == set()


def test_a_resource_does_not_depend_on_itself_or_on_a_text() -> None:
    log = kept("AWS::Logs::LogGroup", Tags=[{"Value": {"Ref": "Log"}}, {"Value": "Key"}])
    shop = Assembly({"Shop": stack(Key=deleted("AWS::KMS::Key"), Log=log)})
    (_, resource) = shop.resources
    assert dependencies(shop, resource) == []


def test_a_finding_names_the_resource_the_problem_and_the_fix() -> None:
    shop = Assembly({"Shop": stack(Mine=kept("AWS::S3::Bucket", BucketName="mine"))})
    (finding,) = leftovers(shop)
    assert str(finding).startswith("Shop/Mine: stays when its stack is deleted, and its BucketName")
    assert "put a part of AWS::StackId into it" in str(finding)


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("AWS::Cognito::UserPool", "UserPoolName"),
        ("AWS::EC2::Volume", "SourceVolumeId"),
        ("AWS::Lambda::LayerVersion", "LayerName"),
        ("AWS::RDS::DBInstance", "SourceDBInstanceIdentifier"),
        ("AWS::S3::Bucket", "BucketEncryption"),
    ],
)
def test_labels_and_other_properties_are_no_names(type_: str, name: str) -> None:
    assert found(Shop=stack(Mine=kept(type_, **{name: "mine"}))) == set()


def test_a_name_that_may_repeat_can_be_changed() -> None:
    """If a property identifies the resource, CloudFormation replaces it instead."""
    for type_ in MAY_REPEAT:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
        fixed = {*schema.get("createOnlyProperties", []), *schema["primaryIdentifier"]}
        names = [f"/properties/{name}" for name in schema["properties"] if name.endswith("Name")]
        assert names
        assert not fixed.intersection(names), type_


def test_the_convention_of_names_holds_for_all_types_of_cloudformation() -> None:
    """Synthesis has no access to schemas. This compares the convention with all of them."""
    unlike = set()
    for type_ in PROVIDER_SCHEMA_MANAGER.get_resource_types("us-east-1"):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
        given = set(schema.get("readOnlyProperties", [])) | {
            f"/properties/{name}" for name in schema.get("required", [])
        }
        identifiers = [
            schema.get("primaryIdentifier", []),
            *schema.get("additionalIdentifiers", []),
        ]
        for identifier in filter(None, identifiers):
            (pointer, *others) = identifier
            name = pointer.removeprefix("/properties/")
            # A required property, or one with this ending, mostly names another resource.
            if others or pointer in given or name.endswith(("Arn", "Identifier", "DomainId")):
                continue
            if not is_name(type_, name):
                unlike.add(f"{type_}.{name}")
    assert unlike == UNLIKE_OTHERS
