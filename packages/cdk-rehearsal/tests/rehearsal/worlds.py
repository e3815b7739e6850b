"""Two places in which the same test can run: a rehearsal, and an endpoint of AWS or an account."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import boto3
import urllib3
from botocore.exceptions import ClientError

from cdk_rehearsal import Rehearsal, RehearsalError
from cdk_rehearsal.latency import NONE
from rehearsal.cloud import Cloud

T = TypeVar("T")

PREFIX = "rehearsal-parity-"
"""How the names of all stacks begin that a replay creates."""

_ARNS = {
    *("AWS::DynamoDB::Table", "AWS::Events::EventBus", "AWS::Events::Rule", "AWS::IAM::Role"),
    *("AWS::KMS::Key", "AWS::Kinesis::Stream", "AWS::Lambda::Function", "AWS::Logs::LogGroup"),
    *("AWS::S3::Bucket", "AWS::SQS::Queue"),
}
"""Types with an attribute ``Arn``; the physical id of all others that tests use is their ARN."""


class Refused(Exception):
    """A template cannot be deployed."""


class World(Protocol):
    """A deployed template."""

    def client(self, service: str) -> Any:
        """A boto3 client of a service, with all permissions."""

    def physical_id(self, logical_id: str) -> str:
        """The physical id of a resource of the template."""

    def arn(self, logical_id: str) -> str:
        """The ARN of a resource of the template."""

    def eventually(self, probe: Callable[[], T]) -> T:
        """What the probe returns when nothing more happens."""

    def request(self, api: str, method: str, path: str, **options: Any) -> tuple[int, str]:
        """Status and body of the answer of an HTTP or REST API: options as for urllib3."""


def received(world: World, queue: str) -> list[dict[str, Any]]:
    """All messages that arrive in a queue, each once, in any order."""
    found: dict[str, dict[str, Any]] = {}

    def look() -> list[dict[str, Any]]:
        while (
            messages := world.client("sqs")
            .receive_message(
                QueueUrl=world.physical_id(queue),
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
                MaxNumberOfMessages=10,
                VisibilityTimeout=600,
            )
            .get("Messages")
        ):
            found.update({message["MessageId"]: message for message in messages})
        return list(found.values())

    return world.eventually(look)


def invoked(world: World, function: str, payload: Any = None) -> tuple[Any, str | None]:
    """What a function answers, and the kind of its error, if any."""
    answer = world.client("lambda").invoke(
        FunctionName=world.physical_id(function), Payload=json.dumps(payload)
    )
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def executed(world: World, machine: str, data: Any = None) -> dict[str, Any]:
    """The end of an execution of a state machine; its output is decoded."""
    client = world.client("stepfunctions")
    execution = client.start_execution(
        stateMachineArn=world.physical_id(machine), input=json.dumps(data or {})
    )["executionArn"]

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_execution(executionArn=execution)
        return None if found["status"] == "RUNNING" else found

    found = world.eventually(look)
    assert found is not None, "the execution does not end"
    return {**found, "output": json.loads(found.get("output") or "null")}


class Rehearsed:
    """A rehearsal of a template, which shows only what AWS shows as well."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self.client = rehearsal.client

    def physical_id(self, logical_id: str) -> str:
        return str(self._resource(logical_id).physical_id)

    def arn(self, logical_id: str) -> str:
        resource = self._resource(logical_id)
        return str(resource.attributes["Arn"] if resource.type in _ARNS else resource.physical_id)

    def eventually(self, probe: Callable[[], T]) -> T:
        self._rehearsal.run_until_idle()
        return probe()

    def request(self, api: str, method: str, path: str, **options: Any) -> tuple[int, str]:
        answer = self._rehearsal.http.request(method, path, api=self._path(api), **options)
        return answer.status, answer.body

    def _resource(self, logical_id: str) -> Any:
        (found,) = (r for r in self._rehearsal.resources if r.logical_id == logical_id)
        return found

    def _path(self, logical_id: str) -> str:
        return str(self._resource(logical_id).path)


@contextlib.contextmanager
def rehearsed(template: Cloud) -> Iterator[World]:
    """Rehearses a template with no delays. Raises Refused if it cannot be deployed."""
    with contextlib.ExitStack() as stack:
        try:
            rehearsal = stack.enter_context(Rehearsal(template.write(), latency=NONE))
        except (RehearsalError, ClientError) as error:
            raise Refused(str(error)) from error
        yield Rehearsed(rehearsal)


class Replayed:
    """A stack in an account, or at an endpoint that behaves as AWS."""

    def __init__(self, endpoint: Endpoint, stack: str | None) -> None:
        self._endpoint = endpoint
        self.client = endpoint.client
        self._ids: dict[str, str] = {}
        self._outputs: dict[str, str] = {}
        if stack is not None:
            cloudformation = self.client("cloudformation")
            found = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
            self._ids = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found}
            (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
            self._outputs = {
                each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", ())
            }

    def physical_id(self, logical_id: str) -> str:
        return self._ids[logical_id]

    def arn(self, logical_id: str) -> str:
        return self._outputs.get(f"{logical_id}Arn") or self._ids[logical_id]

    def eventually(self, probe: Callable[[], T]) -> T:
        """Asks until an answer that is not empty stays the same, or patience is at its end."""
        deadline = time.monotonic() + self._endpoint.patience
        last = probe()
        while time.monotonic() < deadline:
            time.sleep(self._endpoint.patience / 20)
            found = probe()
            if found and found == last:
                return found
            last = found
        return last

    def request(self, api: str, method: str, path: str, **options: Any) -> tuple[int, str]:
        host = f"{self._ids[api]}.execute-api.{self._endpoint.region}.amazonaws.com"
        url, headers = self._endpoint.url or f"https://{host}", options.pop("headers", {})
        if self._endpoint.url:
            headers = {**headers, "Host": host}
        body = options.pop("body", None)
        if body is not None and not isinstance(body, str | bytes):
            body, headers = json.dumps(body), {"content-type": "application/json", **headers}
        answer = urllib3.request(method, url + path, headers=headers, body=body, **options)
        return answer.status, answer.data.decode()


class Endpoint:
    """An endpoint of AWS, or the account of a session, and the stacks that tests create there."""

    def __init__(self, session: boto3.Session, url: str | None, patience: float) -> None:
        self._session = session
        self._clients: dict[str, Any] = {}
        self.url = url
        self.patience = patience
        self.region = session.region_name

    def client(self, service: str) -> Any:
        """A client that keeps its connections."""
        if service not in self._clients:
            make: Any = self._session.client
            self._clients[service] = make(service, endpoint_url=self.url)
        return self._clients[service]

    @contextlib.contextmanager
    def deployed(self, template: Cloud) -> Iterator[World]:
        """Creates a stack, and deletes it afterwards. Raises Refused if it cannot be created."""
        if not template.resources:
            yield Replayed(self, None)
            return
        if template.files:
            raise Refused("a replay has no files: give the function its code inline")
        arns = {
            f"{name}Arn": {"Value": {"Fn::GetAtt": [name, "Arn"]}}
            for name, resource in template.resources.items()
            if resource["Type"] in _ARNS
        }
        outputs = {**arns, **template.template.get("Outputs", {})}
        name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
        client = self.client("cloudformation")
        try:
            client.create_stack(
                StackName=name,
                TemplateBody=json.dumps({**template.template, "Outputs": outputs}),
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
                OnFailure="DO_NOTHING",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                raise Refused(error.response["Error"]["Message"]) from error
            raise
        try:
            self._wait(name)
            yield Replayed(self, name)
        finally:
            self._empty_buckets(name)
            client.delete_stack(StackName=name)

    def _wait(self, stack: str) -> None:
        client = self.client("cloudformation")
        deadline = time.monotonic() + 60 * self.patience
        while True:
            (found,) = client.describe_stacks(StackName=stack)["Stacks"]
            if found["StackStatus"] == "CREATE_COMPLETE":
                return
            if found["StackStatus"] != "CREATE_IN_PROGRESS":
                break
            if time.monotonic() > deadline:
                raise Refused(f"the stack is not complete: {found['StackStatus']}")
            time.sleep(self.patience / 20)
        events = client.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in reversed(events)
            if event["ResourceStatus"] == "CREATE_FAILED"
        ]
        raise Refused("; ".join(reasons) or found.get("StackStatusReason", found["StackStatus"]))

    def _empty_buckets(self, stack: str) -> None:
        """CloudFormation deletes only empty buckets."""
        resources = self.client("cloudformation").describe_stack_resources(StackName=stack)
        for resource in resources["StackResources"]:
            if resource["ResourceType"] == "AWS::S3::Bucket" and "PhysicalResourceId" in resource:
                client, bucket = self.client("s3"), resource["PhysicalResourceId"]
                with contextlib.suppress(ClientError):
                    for found in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
                        client.delete_object(Bucket=bucket, Key=found["Key"])
