"""An AWS account, as the console sees it: calls, what they are refused, and the account's time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

from cdk_rehearsal.errors import RehearsalError

Client = Callable[[str], Any]
"""Returns the boto3 client of a service."""

_PREFIXES = {"monitoring": "cloudwatch"}
"""Prefixes of actions that are not the name with which the service signs."""
_REFUSED = re.compile(r"AccessDenied|Unauthorized|AuthorizationError|NotAuthorized")
_EXPIRED = re.compile(r"Expired|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId")
_THROTTLED = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|LimitExceeded")
_SKEW_S = 2.0
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 2},
    user_agent_extra="cdk-rehearsal-console",
)


class CallFailed(RehearsalError):
    """A call that AWS has refused or not answered; the message says which, and what to do."""


class Attempts:
    """The calls of a round that have failed."""

    def __init__(self) -> None:
        self.failed: list[tuple[str, CallFailed]] = []
        """What each was about, and its error."""

    @contextmanager
    def at(self, name: str = "") -> Iterator[None]:
        """Goes on after a call that fails. `name` is what it is about."""
        try:
            yield
        except CallFailed as error:
            self.failed.append((name, error))


class Account:
    """The account of a deployed application.

    Calls that fail are problems: they are kept until the same calls succeed, and what they would
    have shown is missing.
    """

    def __init__(self, client: Client, region: str) -> None:
        """``client`` returns the client of a service, in the application's region."""
        self._client = client
        self.region = region
        self.identity = ""
        """The ARN of the caller, once `identify` has been called."""
        self.id = ""
        """The number of the account."""
        self.partition = "aws"
        self._problems: dict[str, str] = {}
        self._ahead_s = 0.0

    def identify(self) -> None:
        """Asks who the caller is, for which no permission is needed. Raises CallFailed.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
        """
        answer = self.require("sts", "get_caller_identity")
        self.identity, self.id = answer["Arn"], answer["Account"]
        self.partition = self.identity.split(":")[1]

    def now(self) -> float:
        """Returns the time of the account, which the clock of this machine may not have."""
        return time.time() + self._ahead_s

    @property
    def problems(self) -> list[str]:
        """What cannot be shown, and why."""
        return [*self._problems.values()]

    def client(self, service: str) -> Any:
        """Returns the client of a service."""
        return self._client(service)

    def pages(self, service: str, method: str, /, **arguments: Any) -> Iterator[Any]:
        """Yields all pages of an answer. Raises CallFailed."""
        # A paginator would hide which call fails.
        paginator = self.client(service).get_paginator(method)
        (sent,), (received,) = paginator._input_token, paginator._output_token
        while True:
            page = self.require(service, method, **arguments)
            yield page
            token = received.search(page)
            if not token:
                return
            arguments[sent] = token

    @contextmanager
    def attempts(self, missing: str) -> Iterator[Attempts]:
        """Collects what fails in a round of calls: it is one problem until the next round."""
        attempts = Attempts()
        yield attempts
        self._problems.pop(missing, None)
        if attempts.failed:
            names = [name for name, _ in attempts.failed if name]
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            place = f" of {names[0]}{more}" if names else ""
            self.note(missing, f"{missing}{place} cannot be shown: {attempts.failed[0][1]}")

    def note(self, key: str, problem: str) -> None:
        """Keeps a problem. A later one with the same key replaces it."""
        self._problems[key] = problem

    def require(self, service: str, method: str, /, **arguments: Any) -> Any:
        """Calls an API. Raises CallFailed."""
        try:
            client = self.client(service)
            answer = getattr(client, method)(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise CallFailed(_said(error, self._action(service, method), self.identity)) from error
        self._set_clock(answer["ResponseMetadata"].get("HTTPHeaders", {}))
        return answer

    def _action(self, service: str, method: str) -> str:
        try:
            meta = self.client(service).meta
        except BotoCoreError:
            return f"{service}:{method}"
        prefix = meta.service_model.signing_name
        return f"{_PREFIXES.get(prefix, prefix)}:{meta.method_to_api_mapping[method]}"

    def _set_clock(self, headers: Mapping[str, str]) -> None:
        if date := headers.get("date"):
            ahead = parsedate_to_datetime(date).timestamp() - time.time()
            if abs(ahead - self._ahead_s) > _SKEW_S:
                self._ahead_s = ahead

    def moment(self, seconds: float) -> datetime:
        """Returns a time in the form in which APIs take it."""
        return datetime.fromtimestamp(seconds, UTC)


def open_account(region: str | None) -> Account:
    """Returns the account of the shell's credentials.

    ``region`` is that of the stacks; without one, the shell's counts. Variables such as
    `AWS_ENDPOINT_URL` and `AWS_PROFILE` count as for all tools of AWS. Raises RehearsalError.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    try:
        # The AWS command line and other SDKs read this variable, boto3 only AWS_DEFAULT_REGION.
        session = boto3.Session(region_name=region or os.environ.get("AWS_REGION"))
    except BotoCoreError as error:
        raise CallFailed(_said(error, "", "")) from error
    if not session.region_name:
        raise CallFailed(_said(NoRegionError(), "", ""))
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in clients:
            make: Any = session.client
            clients[service] = make(service, config=_CONFIG)
        return clients[service]

    account = Account(client, session.region_name)
    account.identify()
    return account


def _said(error: ClientError | BotoCoreError, action: str, identity: str) -> str:
    """Says what went wrong in a call, and what to do."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "the shell has no AWS credentials: sign in (`aws sso login`), "
            "or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, NoRegionError):
        return "the stacks are for no particular region: set AWS_REGION to the one of the stage"
    if isinstance(error, BotoCoreError):
        return f"{action or 'the configuration of AWS'}: {error}"
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if _REFUSED.search(code):
        return (
            f"{identity} may not {action}: permit it (`rehearse console DIR --policy`): {message}"
        )
    if _EXPIRED.search(code):
        return f"{action}: the credentials are not valid any more: sign in again: {message}"
    if _THROTTLED.search(code):
        return f"{action}: AWS takes no more calls at the moment, which are tried again: {message}"
    return f"{action}: {code}: {message}"
