"""A deployed stage as the smoke test finds it: by its stacks, with the shell's credentials."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any
from urllib.parse import urlsplit

import urllib3
from botocore.exceptions import ClientError
from botocore.model import OperationModel

from tools.deployed import resources_of

_SUFFIX = re.compile(r"[0-9A-F]{8}$")
"""What the CDK appends to logical ids."""
_WAITING = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
"""The attributes of a queue that add up to its depth.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html"""
TIMEOUT_S = 35.0
"""Longer than API Gateway waits for a function.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""
_VIRTUAL_HOST = ".execute-api."
"""What the domain of an API has after the API's id.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-publish.html"""


class NotDeployed(Exception):
    """The stage, or a part of it that the smoke test needs, is not deployed."""


@dataclass(frozen=True)
class ApiReply:
    """An answer of the API, and how long it took in seconds."""

    status: int
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Returns the body. Raises ValueError if it is not JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, or the beginning of an answer that is none."""
        try:
            return str(self.json()["code"])
        except (ValueError, TypeError, KeyError):
            return self.body.decode(errors="replace")[:200]


class Stage:
    """The stacks of a stage, and its API."""

    def __init__(
        self, name: str, client: Callable[[str], Any], endpoint: str | None = None
    ) -> None:
        """`client` returns the boto3 client of a service. `endpoint` is that of an emulator."""
        self.name = name
        self.endpoint = endpoint
        self.calls: set[str] = set()
        """The operations of AWS that were called, such as `sqs.GetQueueAttributes`."""
        self.client = cache(partial(self._noting, client))
        self._web = urllib3.PoolManager(retries=False, timeout=TIMEOUT_S)

    def _noting(self, make: Callable[[str], Any], service: str) -> Any:
        """Returns the client of a service that notes its calls."""
        client = make(service)

        def note(model: OperationModel, **_: Any) -> None:
            self.calls.add(f"{service}.{model.name}")

        client.meta.events.register("before-call", note)
        return client

    def require(self) -> None:
        """Raises NotDeployed if the stage has no API."""
        _ = self.api

    @cached_property
    def _outputs(self) -> Mapping[str, str]:
        stack = f"orderflow-{self.name}-backbone"
        try:
            (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            raise NotDeployed(
                f"there is no stack {stack} here: choose another stage, account or Region, or "
                f"deploy it (make deploy STAGE={self.name})"
            ) from None
        return {
            _SUFFIX.sub("", each["OutputKey"]): each["OutputValue"]
            for each in found.get("Outputs", ())
        }

    def output(self, name: str) -> str:
        """Returns an output of the backbone. Raises NotDeployed."""
        if name not in self._outputs:
            raise NotDeployed(
                f"orderflow-{self.name}-backbone has no output {name}: deploy this version of it "
                f"(make deploy STAGE={self.name})"
            )
        return self._outputs[name]

    @cache  # noqa: B019 - one stage in a process
    def _resources(self, context: str, type_: str) -> Mapping[str, str]:
        stack = f"orderflow-{self.name}-{context.lower()}"
        found = resources_of(self.client("cloudformation"), stack, type_)
        return {_SUFFIX.sub("", name): physical for name, physical in found.items()}

    def find(self, context: str, type_: str, name: str) -> str | None:
        """Returns the physical id of a context's resource, by its logical id; None if none is."""
        return self._resources(context, type_).get(name)

    def resource(self, context: str, type_: str, name: str) -> str:
        """Returns the physical id of a context's resource. Raises NotDeployed."""
        found = self.find(context, type_, name)
        if found is None:
            raise NotDeployed(f"the stack of {context} has no {type_} {name}: deploy it again")
        return found

    def named(self, context: str, type_: str, beginning: str) -> list[str]:
        """Returns the physical ids of a context's resources whose logical ids begin so."""
        found = self._resources(context, type_)
        return [physical for name, physical in found.items() if name.startswith(beginning)]

    def depth(self, queue_url: str) -> int:
        """Returns how many messages are in a queue, waiting or in flight."""
        found = self.client("sqs").get_queue_attributes(
            QueueUrl=queue_url, AttributeNames=list(_WAITING)
        )
        return sum(int(found["Attributes"][name]) for name in _WAITING)

    @cached_property
    def api(self) -> tuple[str, dict[str, str]]:
        """The URL of the API, and the headers that lead there.

        No name server knows the domain of an emulator's API: its endpoint finds the API by the
        header Host.
        """
        url = self.output("ApiUrl").rstrip("/")
        host = urlsplit(url).netloc
        if self.endpoint and _VIRTUAL_HOST in host:
            return self.endpoint.rstrip("/") + urlsplit(url).path, {"host": host}
        return url, {}

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiReply:
        """Sends a request to the API. Text as `body` is sent as it is, anything else as JSON.

        Raises urllib3.exceptions.HTTPError if the API cannot be reached.
        """
        url, route = self.api
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        signed_in = {"authorization": f"Bearer {token}"} if token else {}
        begun = time.monotonic()
        answer = self._web.request(
            method,
            url + path,
            body=content,
            headers={"content-type": "application/json", **route, **signed_in, **(headers or {})},
        )
        return ApiReply(answer.status, answer.data, time.monotonic() - begun)
