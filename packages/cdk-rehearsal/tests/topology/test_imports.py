"""Retained resources of a deleted stack are mapped for `cdk import` by their identifiers."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import imports
from cdk_rehearsal.topology.imports import mapping
from rehearsal.cloud import write_assembly

GENERATION = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
RESOURCES: dict[str, dict[str, Any]] = {
    "Orders": {"Type": "AWS::DynamoDB::GlobalTable"},
    "Customers": {"Type": "AWS::Cognito::UserPool"},
    "Stream": {"Type": "AWS::Kinesis::Stream"},
    "Secret": {"Type": "AWS::SecretsManager::Secret"},
    "Key": {"Type": "AWS::KMS::Key"},
    "Log": {"Type": "AWS::Logs::LogGroup"},
    "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": GENERATION}},
    "Archive": {"Type": "AWS::Events::Archive", "Properties": {"SourceArn": {"Ref": "Bus"}}},
    "Staff": {"Type": "AWS::Cognito::UserPoolGroup", "Properties": {"UserPoolId": "pool"}},
    "Queue": {"Type": "AWS::SQS::Queue"},
}
SHOP = Assembly({"Shop": {"Resources": RESOURCES}})


def summary(logical_id: str, status: str = "DELETE_SKIPPED") -> dict[str, str]:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackResourceSummary.html."""
    return {
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": f"the-{logical_id}",
        "ResourceStatus": status,
    }


def test_an_independent_resource_is_identified_by_its_types_identifier() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import.html"""
    kept = ["Orders", "Customers", "Stream", "Secret", "Key", "Log"]
    mapped, left = mapping(SHOP, "Shop", map(summary, kept))
    assert mapped == {
        "Orders": {"TableName": "the-Orders"},
        "Customers": {"UserPoolId": "the-Customers"},
        "Stream": {"Name": "the-Stream"},
        "Secret": {"Id": "the-Secret"},
        "Key": {"KeyId": "the-Key"},
        "Log": {"LogGroupName": "the-Log"},
    }
    assert left == []


def test_a_deleted_resource_is_not_imported() -> None:
    assert mapping(SHOP, "Shop", [summary("Queue", "DELETE_COMPLETE")]) == ({}, [])


@pytest.mark.parametrize(
    ("logical_id", "why"),
    [
        ("Archive", "it depends on Shop/Bus"),
        ("Bus", "its name changes with each creation of the stack"),
        ("Staff", "it is a part of another resource"),
        ("Gone", "the template has no such resource any more"),
    ],
)
def test_a_resource_that_cannot_be_imported_is_named_with_the_reason(
    logical_id: str, why: str
) -> None:
    mapped, left = mapping(SHOP, "Shop", [summary(logical_id)])
    assert mapped == {}
    assert left == [f"{logical_id} (the-{logical_id}): {why}"]


def test_an_unknown_stack_is_an_error_that_lists_the_stacks() -> None:
    with pytest.raises(LookupError, match="no stack Orders: choose one of Shop"):
        mapping(SHOP, "Orders", [])


def test_as_a_command_it_reads_the_list_and_writes_the_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_assembly(tmp_path, dict(SHOP.templates))
    listed = {"StackResourceSummaries": [summary("Orders"), summary("Gone")]}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(listed)))
    monkeypatch.setattr(sys, "argv", ["imports", str(tmp_path), "Shop"])
    monkeypatch.setattr(
        imports, "__spec__", type("Spec", (), {"name": "cdk_rehearsal.topology.imports"})
    )
    imports.main()
    said = capsys.readouterr()
    assert json.loads(said.out) == {"Orders": {"TableName": "the-Orders"}}
    assert said.err.startswith("not imported: Gone (the-Gone)")
