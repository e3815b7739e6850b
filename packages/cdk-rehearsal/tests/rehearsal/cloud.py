"""Builds small cloud assemblies by hand: only what a test is about, in plain CloudFormation."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any


class Cloud:
    """One stack, to which a test adds resources by logical id, and then writes it."""

    def __init__(self, directory: Path, stack: str = "Shop") -> None:
        self.directory = directory
        self.stack = stack
        self.resources: dict[str, dict[str, Any]] = {}
        self.template: dict[str, Any] = {"Resources": self.resources}
        self.files: dict[str, Any] = {}

    def add(self, logical_id: str, kind: str, **properties: Any) -> str:
        """Add a resource of any type; return its logical id."""
        self.resources[logical_id] = {
            "Type": kind,
            "Properties": properties,
            "Metadata": {"aws:cdk:path": f"{self.stack}/{logical_id}/Resource"},
        }
        return logical_id

    def role(self, logical_id: str, *statements: dict[str, Any]) -> str:
        """Add a role for services; without statements it may do everything."""
        services = ["codedeploy", "events", "lambda", "scheduler", "states"]
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": [f"{service}.amazonaws.com" for service in services]},
            "Action": "sts:AssumeRole",
        }
        granted = statements or ({"Effect": "Allow", "Action": "*", "Resource": "*"},)
        document = {"Version": "2012-10-17", "Statement": list(granted)}
        return self.add(
            logical_id,
            "AWS::IAM::Role",
            AssumeRolePolicyDocument={"Statement": [trust]},
            Policies=[{"PolicyName": "Policy", "PolicyDocument": document}],
        )

    def function(self, logical_id: str, code: str, **properties: Any) -> str:
        """Add a function whose module ``index`` is ``code``; by default with a role for all."""
        if "Role" not in properties and "Role" not in self.resources:
            self.role("Role")
        return self.add(
            logical_id,
            "AWS::Lambda::Function",
            **{
                "Runtime": "python3.13",
                "Role": arn("Role"),
                "Handler": "index.handler",
                "Code": {"ZipFile": textwrap.dedent(code)},
                **properties,
            },
        )

    def permission(self, logical_id: str, function: Any, principal: str, **conditions: Any) -> str:
        """Permit a service to invoke a function, given by its ARN or name."""
        return self.add(
            logical_id,
            "AWS::Lambda::Permission",
            Action="lambda:InvokeFunction",
            FunctionName=function,
            Principal=principal,
            **conditions,
        )

    def queue(
        self,
        logical_id: str,
        *,
        dead_letters: str | None = None,
        receives: int = 3,
        **properties: Any,
    ) -> str:
        """Add a queue that EventBridge may send to."""
        if dead_letters is not None:
            properties["RedrivePolicy"] = {
                "deadLetterTargetArn": arn(dead_letters),
                "maxReceiveCount": receives,
            }
        self.add(logical_id, "AWS::SQS::Queue", **properties)
        self.add(
            f"{logical_id}Policy",
            "AWS::SQS::QueuePolicy",
            Queues=[{"Ref": logical_id}],
            PolicyDocument={
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": arn(logical_id),
                    }
                ]
            },
        )
        return logical_id

    def bus(self, logical_id: str) -> str:
        """Add an event bus, whose name is the stack's with a suffix, as every bus needs one."""
        name = {"Fn::Sub": f"${{AWS::StackName}}-{logical_id}"}
        return self.add(logical_id, "AWS::Events::EventBus", Name=name)

    def table(self, logical_id: str, view: str = "NEW_AND_OLD_IMAGES") -> str:
        """Add a table with a key ``pk`` and a stream."""
        return self.add(
            logical_id,
            "AWS::DynamoDB::Table",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamViewType": view},
        )

    def mapping(self, logical_id: str, source: Any, function: str, **properties: Any) -> str:
        """Add an event source mapping from an ARN to a function."""
        return self.add(
            logical_id,
            "AWS::Lambda::EventSourceMapping",
            EventSourceArn=source,
            FunctionName={"Ref": function},
            **properties,
        )

    def rule(
        self, logical_id: str, pattern: dict[str, Any], *targets: dict[str, Any], bus: str = "Bus"
    ) -> str:
        """Add a rule on a bus, with targets that get their ``Id`` here."""
        return self.add(
            logical_id,
            "AWS::Events::Rule",
            EventBusName={"Ref": bus},
            EventPattern=pattern,
            Targets=[{"Id": f"Target{index}", **target} for index, target in enumerate(targets)],
        )

    def write(self) -> Path:
        """Write the assembly and return its directory."""
        write_assembly(self.directory, {self.stack: self.template}, self.files)
        return self.directory


def write_assembly(
    directory: Path, stacks: dict[str, dict[str, Any]], files: dict[str, Any] | None = None
) -> Path:
    """Write an assembly of several stacks, and assets by object key and directory."""
    directory.mkdir(parents=True, exist_ok=True)
    artifacts: dict[str, Any] = {
        "Assets": {"type": "cdk:asset-manifest", "properties": {"file": "assets.json"}}
    }
    for name, template in stacks.items():
        (directory / f"{name}.template.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": f"{name}.template.json"},
            "displayName": name,
        }
    assets = {
        key: {
            "source": {"path": path, "packaging": "zip"},
            "destinations": {"here": {"bucketName": "assets", "objectKey": key}},
        }
        for key, path in (files or {}).items()
    }
    (directory / "assets.json").write_text(json.dumps({"version": "1", "files": assets}))
    (directory / "manifest.json").write_text(
        json.dumps({"version": "55.0.0", "artifacts": artifacts})
    )
    return directory


def ref(logical_id: str) -> dict[str, str]:
    """Return a reference."""
    return {"Ref": logical_id}


def arn(logical_id: str, attribute: str = "Arn") -> dict[str, list[str]]:
    """Return the ARN, or another attribute, of a resource."""
    return {"Fn::GetAtt": [logical_id, attribute]}
