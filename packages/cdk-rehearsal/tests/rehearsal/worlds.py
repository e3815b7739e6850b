"""A rehearsal is one of two worlds in which a test can run; the other one is AWS itself."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError
from urllib3.util import SKIP_HEADER

from cdk_rehearsal import Rehearsal, RehearsalError
from cdk_rehearsal.services.apis import HttpResponse
from cdk_rehearsal.services.functions import InvocationResult
from rehearsal.cloud import Cloud

T = TypeVar("T")

PREFIX = "rehearsal-parity-"
"""How the names of all stacks begin that a replay creates."""

_ARNS = {
    "AWS::DynamoDB::Table": ("Arn", "StreamArn"),
    "AWS::Events::EventBus": ("Arn",),
    "AWS::Events::Rule": ("Arn",),
    "AWS::IAM::Role": ("Arn",),
    "AWS::KMS::Key": ("Arn",),
    "AWS::Kinesis::Stream": ("Arn",),
    "AWS::Lambda::Function": ("Arn",),
    "AWS::Lambda::Url": ("FunctionUrl",),
    "AWS::S3::Bucket": ("Arn",),
    "AWS::SQS::Queue": ("Arn", "QueueName"),
}
"""Attributes of resources that a replay can ask for."""


class Refused(Exception):
    """A template cannot be deployed."""


class Deployed(Protocol):
    """A resource that was created."""

    @property
    def physical_id(self) -> str:
        """The value of ``Ref``."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Values of ``Fn::GetAtt``."""


class Front(Protocol):
    """The front of the HTTP and REST APIs."""

    def request(
        self, method: str, path: str, *, headers: Any = None, body: Any = None
    ) -> HttpResponse:
        """Sends a request to the only API."""


class World(Protocol):
    """A deployed template: the part of a rehearsal that AWS has as well.

    A test whose `shop` is a world can be replayed; mypy sees to it that it asks for no more.
    """

    @property
    def account(self) -> str:
        """The id of the account."""

    @property
    def region(self) -> str:
        """The region."""

    @property
    def http(self) -> Front:
        """The front of the only API."""

    def client(self, service: str) -> Any:
        """Returns a boto3 client that may do everything."""

    def physical_id(self, path: str) -> str:
        """Returns the physical id of a resource."""

    def resource(self, path: str, kind: str | None = None) -> Deployed:
        """Returns a resource."""

    def invoke(self, path: str, payload: Any) -> InvocationResult:
        """Invokes a function and waits for its answer."""

    def logs(self, path: str) -> str:
        """Returns what the handler of a function has printed."""

    def messages(self, path: str) -> list[dict[str, Any]]:
        """Returns the messages of a queue."""

    def run_until_idle(self) -> None:
        """Lets everything happen that is due."""


def eventually(world: World, probe: Callable[[], T]) -> T:
    """Returns what the probe returns when nothing more happens."""
    world.run_until_idle()
    return world.eventually(probe) if isinstance(world, Replayed) else probe()


def propagated(world: World) -> None:
    """Waits until a changed policy has its effect, which AWS does not report."""
    if isinstance(world, Replayed):
        time.sleep(world.patience)


def pause(world: World, seconds: float) -> None:
    """Lets some seconds pass."""
    if isinstance(world, Rehearsal):
        world.run_for(seconds)
    else:
        time.sleep(seconds)


def rehearsed(world: World) -> Rehearsal:
    """Returns the world of a test that cannot be replayed."""
    assert isinstance(world, Rehearsal)
    return world


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turns the errors of a rehearsal that cannot load a template into what a replay raises."""
    try:
        yield
    except (RehearsalError, ClientError) as error:
        raise Refused(str(error)) from error


@contextlib.contextmanager
def refused(problem: str) -> Iterator[None]:
    """Expects that a template cannot be deployed; a rehearsal gives this reason for it.

    The words of AWS are other ones.
    """
    with pytest.raises(Refused) as raised:
        yield
    if isinstance(raised.value.__cause__, RehearsalError):
        assert problem in str(raised.value)


@dataclass(frozen=True)
class _Resource:
    type: str
    physical_id: str
    attributes: dict[str, Any]


class Replayed:
    """A stack in an account, or at an endpoint that behaves as AWS: a world."""

    def __init__(self, endpoint: Endpoint, template: Cloud, stack: str | None) -> None:
        self._endpoint = endpoint
        self.client = endpoint.client
        self.region = endpoint.region
        self.patience = endpoint.patience
        self._resources: dict[str, _Resource] = {}
        self._stage = _stage(template)
        self._received: dict[str, dict[str, dict[str, Any]]] = {}
        if stack is not None:
            cloudformation = self.client("cloudformation")
            found = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
            (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
            outputs = {o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", ())}
            ids = {each.get("LogicalResourceId"): each.get("PhysicalResourceId") for each in found}
            self._resources = {
                f"{template.stack}/{name}": _Resource(
                    definition["Type"],
                    str(ids.get(name)),
                    {key: outputs.get(f"{name}{key}") for key in _ARNS.get(definition["Type"], ())},
                )
                for name, definition in template.resources.items()
            }

    @property
    def account(self) -> str:
        return str(self.client("sts").get_caller_identity()["Account"])

    @property
    def http(self) -> Front:
        return self

    def physical_id(self, path: str) -> str:
        return self._resources[path].physical_id

    def resource(self, path: str, kind: str | None = None) -> Deployed:
        return self._resources[path]

    def invoke(self, path: str, payload: Any) -> InvocationResult:
        answer = self.client("lambda").invoke(
            FunctionName=self.physical_id(path), Payload=json.dumps(payload)
        )
        return InvocationResult(
            json.loads(answer["Payload"].read() or "null"),
            answer.get("FunctionError"),
            answer["ResponseMetadata"].get("RequestId", ""),
        )

    def logs(self, path: str) -> str:
        group = f"/aws/lambda/{self.physical_id(path)}"
        own = ("INIT_START", "START ", "END ", "REPORT ")

        def look() -> str:
            with contextlib.suppress(self.client("logs").exceptions.ResourceNotFoundException):
                found = self.client("logs").filter_log_events(logGroupName=group)["events"]
                texts = [event["message"].rstrip("\n") for event in found]
                return "\n".join(text for text in texts if not text.startswith(own))
            return ""

        return self.eventually(look)

    def messages(self, path: str) -> list[dict[str, Any]]:
        """Receives them, and hides them for a while; so each is found once more without a call."""
        found = self._received.setdefault(path, {})

        def look() -> list[dict[str, Any]]:
            while (
                messages := self.client("sqs")
                .receive_message(
                    QueueUrl=self.physical_id(path),
                    AttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                    MessageAttributeNames=["All"],
                    MaxNumberOfMessages=10,
                    VisibilityTimeout=600,
                )
                .get("Messages")
            ):
                messages.sort(key=lambda message: int(message["Attributes"]["SentTimestamp"]))
                found.update({message["MessageId"]: _message(message) for message in messages})
            return list(found.values())

        return list(self.eventually(look))

    def run_until_idle(self) -> None:
        """Does nothing: what looks for an effect waits for it."""

    def eventually(self, probe: Callable[[], T]) -> T:
        """Asks until an answer that is not empty stays the same, or patience is at its end."""
        deadline = time.monotonic() + self.patience
        last = probe()
        while time.monotonic() < deadline:
            time.sleep(self.patience / 20)
            found = probe()
            if found and found == last:
                return found
            last = found
        return last

    def request(
        self, method: str, path: str, *, headers: Any = None, body: Any = None
    ) -> HttpResponse:
        kinds = ("::Api", "::RestApi", "::Url")
        (api,) = (r for r in self._resources.values() if r.type.endswith(kinds))
        host = f"{api.physical_id}.execute-api.{self.region}.amazonaws.com"
        if url := api.attributes.get("FunctionUrl"):
            host = urlsplit(url).netloc
        sent = dict(headers or {})
        if self._endpoint.url:  # emulators tell APIs apart by a name that they have agreed on
            port = urlsplit(self._endpoint.url).port
            name, service = host.split(".")[:2]
            sent["Host"] = f"{name}.{service}.localhost:{port}"
        if body is not None and not isinstance(body, str | bytes):
            body, sent = json.dumps(body), {"content-type": "application/json", **sent}
        url = self._endpoint.url or f"https://{host}"
        names = {name.lower() for name in sent}
        for name in {"accept-encoding", "user-agent"} - names:
            sent[name] = SKIP_HEADER  # or else urllib3 adds its own
        fields = urllib3.HTTPHeaderDict()
        for name, value in sent.items():
            for each in [value] if isinstance(value, str) else value:
                fields.add(name, each)
        answer = urllib3.request(
            method.upper(), url + self._stage + path, headers=fields, body=body
        )
        got = {name.lower(): value for name, value in answer.headers.items()}
        got.pop("set-cookie", None)
        cookies = answer.headers.getlist("set-cookie")
        return HttpResponse(answer.status, got, answer.data.decode(), cookies)


def _stage(template: Cloud) -> str:
    """The first part of the paths of the template's API."""
    for resource in template.resources.values():
        name = resource["Properties"].get("StageName", "$default")
        if resource["Type"].endswith("::Stage") and name != "$default":
            return f"/{name}"
    return ""


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message in the form in which a rehearsal shows it."""
    return {
        "message_id": message["MessageId"],
        "body": message["Body"],
        "attributes": {
            name: attribute.get("StringValue", attribute.get("BinaryValue"))
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
        "receive_count": int(message["Attributes"]["ApproximateReceiveCount"]) - 1,
    }


class Endpoint:
    """An endpoint of AWS, or the account of a session, and the stacks that tests create there."""

    def __init__(self, session: boto3.Session, url: str | None, patience: float) -> None:
        self._session = session
        attempts = 5 if url is None else 1
        self._config = Config(retries={"mode": "standard", "total_max_attempts": attempts})
        self._shared: dict[str, World] = {}
        self._stacks = contextlib.ExitStack()
        self._clients: dict[str, Any] = {}
        self.url = url
        self.patience = patience
        self.region = str(session.region_name)

    def client(self, service: str) -> Any:
        """Returns a client, which keeps its connections."""
        if service not in self._clients:
            make: Any = self._session.client
            self._clients[service] = make(service, endpoint_url=self.url, config=self._config)
        return self._clients[service]

    def close(self) -> None:
        """Deletes the stacks that tests have shared."""
        self._stacks.close()

    def shared(self, template: Cloud) -> World:
        """Returns a stack for all tests with the same template, deleted by ``close``."""
        text = json.dumps(template.template)
        if text not in self._shared:
            self._shared[text] = self._stacks.enter_context(self.deployed(template))
        return self._shared[text]

    @contextlib.contextmanager
    def deployed(self, template: Cloud) -> Iterator[World]:
        """Creates a stack, and deletes it afterwards. Raises Refused if it cannot be created."""
        if not template.resources:
            yield Replayed(self, template, None)
            return
        if template.files:
            raise Refused("a replay has no files: give the function its code inline")
        outputs = {
            f"{name}{attribute}": {"Value": {"Fn::GetAtt": [name, attribute]}}
            for name, resource in template.resources.items()
            for attribute in _ARNS.get(resource["Type"], ())
            if attribute != "StreamArn" or "StreamSpecification" in resource["Properties"]
        } | template.template.get("Outputs", {})
        name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
        client = self.client("cloudformation")
        try:
            client.create_stack(
                StackName=name,
                TemplateBody=json.dumps({**template.template, "Outputs": outputs}),
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
                OnFailure="DO_NOTHING",
            )
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                raise Refused(error.response["Error"]["Message"]) from error
            raise
        try:
            self._wait(name)
            yield Replayed(self, template, name)
        finally:
            self._clean(name)
            client.delete_stack(StackName=name)

    def _wait(self, stack: str) -> None:
        client = self.client("cloudformation")
        deadline = time.monotonic() + 30 * self.patience
        while True:
            (found,) = client.describe_stacks(StackName=stack)["Stacks"]
            if found["StackStatus"] == "CREATE_COMPLETE":
                return
            if found["StackStatus"] != "CREATE_IN_PROGRESS":
                break
            if time.monotonic() > deadline:
                raise Refused(f"the stack {stack} is not complete")
            time.sleep(self.patience / 20)
        events = client.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in reversed(events)
            if event["ResourceStatus"] == "CREATE_FAILED"
        ]
        raise Refused("; ".join(reasons) or found.get("StackStatusReason", found["StackStatus"]))

    def _clean(self, stack: str) -> None:
        """Removes objects, because only empty buckets can be deleted, and the logs of functions."""
        found = self.client("cloudformation").describe_stack_resources(StackName=stack)
        for resource in found["StackResources"]:
            name = resource.get("PhysicalResourceId")
            with contextlib.suppress(ClientError):
                match resource.get("ResourceType"):
                    case "AWS::S3::Bucket" if name:
                        self._empty(name)
                    case "AWS::Lambda::Function" if name:
                        self.client("logs").delete_log_group(logGroupName=f"/aws/lambda/{name}")

    def _empty(self, bucket: str) -> None:
        client = self.client("s3")
        found = client.list_object_versions(Bucket=bucket)
        for each in [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]:
            client.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
