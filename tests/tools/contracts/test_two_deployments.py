"""The review says which changes need two deployments."""

import copy
from typing import Any

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import compare_assemblies
from stacks.schemas.json_schema import Schema
from tools.contracts.two_deployments import two_deployments

PLACED: Schema = {
    "type": "object",
    "properties": {"total": {"type": "integer"}, "status": {"enum": ["placed"]}},
    "required": ["total", "status"],
}
BASE: dict[str, Any] = {
    "Shop": {
        "Resources": {
            "Pack": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Key": "one.zip"},
                    "Environment": {"Variables": {"TABLE": "orders", "CITY": "Oslo"}},
                },
            },
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "EventPattern": {"detail-type": ["OrderPacked.v1"]},
                    "Targets": [{"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}],
                },
            },
        }
    }
}


def steps(head: dict[str, Any], was: dict[str, Schema], now: dict[str, Schema]) -> list[str]:
    before, after = Assembly(BASE), Assembly(head)
    return two_deployments(was, now, before, after, compare_assemblies(before, after))


def test_changed_events_settings_and_replaced_resources_need_two_deployments() -> None:
    head, schema = copy.deepcopy(BASE), copy.deepcopy(dict(PLACED))
    resources = head["Shop"]["Resources"]
    resources["Pack"]["Properties"] = {
        "Code": {"S3Key": "two.zip"},
        "Environment": {"Variables": {"TABLE": "orders", "COUNTRY": "Norway"}},
    }
    resources["Queue"]["Properties"] = {"QueueName": "another"}
    schema["properties"] = {"sum": {"type": "integer"}, "status": {"enum": ["placed", "packed"]}}
    schema["required"] = ["sum", "status"]
    found = steps(
        head, {"OrderPlaced.v1": PLACED}, {"OrderPlaced.v1": schema, "OrderPacked.v1": PLACED}
    )
    for said in (
        "OrderPlaced.v1 $.total is renamed to sum: first publish a new version",
        "OrderPlaced.v1 $.status can now be 'packed', too: first publish",
        "OrderPacked.v1 is new and has consumers: `Shop` would miss",
        "`Shop/Pack` gets the setting COUNTRY together with new code",
        "`Shop/Pack` loses the setting CITY together with new code",
        "`Shop/Queue` (AWS::SQS::Queue) would be replaced",
    ):
        assert sum(said in line for line in found) == 1, (said, found)
    assert len(found) == 6


def test_new_settings_without_new_code_and_optional_fields_need_one_deployment() -> None:
    head, schema = copy.deepcopy(BASE), copy.deepcopy(dict(PLACED))
    variables = head["Shop"]["Resources"]["Pack"]["Properties"]["Environment"]["Variables"]
    variables["COUNTRY"] = "Norway"
    schema["properties"] = {**PLACED["properties"], "gift": {"type": "boolean"}}
    assert steps(head, {"OrderPlaced.v1": PLACED}, {"OrderPlaced.v1": schema}) == []
